"""Expressions whose keys begin with the words of their recipe and their step.

Covers: naming a node; naming what dask fuses into one task.

dask documents neither how an expression is named nor what the first words of a key are for;
a scheduler takes both from there, and there is no other way to them.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from dask.utils import key_split

from safeframe._dask.expressions import Expr, Fused
from safeframe._dask.trees import task_of

__all__ = ["FusedStep", "Step", "fused_step", "fused_words"]

_FUSED_WORDS = 5


class Step(Expr):  # type: ignore[misc]  # dask's expressions are untyped
    """A node that is named by its words, not by its class.

    A subclass has ``_words``, as ``"merge-stage"``, in a class attribute or a property.
    """

    _words: ClassVar[Any]

    @functools.cached_property
    def _name(self) -> str:
        return f"{self._words}-{self.deterministic_token}"


class FusedStep(Fused):  # type: ignore[misc]  # dask's expressions are untyped
    """A node and what it is fused with, under the node's words: dask names such a task by its source first."""

    @functools.cached_property
    def _name(self) -> str:
        return f"{key_split(self.exprs[0]._name)}-{self.deterministic_token}"

    def tasks(self, number: int) -> list[Any]:
        """Return the tasks that one partition is made by, that of the node first."""
        return [
            task_of(
                expr, 0 if self._broadcast_dep(expr) else number
            )  # as dask does where it makes one of them
            for expr in self.exprs
        ]


def fused_step(node: Step) -> Any:
    """Return a node fused with the steps before it, where dask can."""
    made = node.fuse()
    return FusedStep(*made.operands) if type(made) is Fused else made


def fused_words(cells: str, consumer: str) -> str:
    """Return the words of output partitions that are one task with what takes them, by the names of both.

    Examples
    --------
    >>> fused_words("merge-output-0123abcd", "assign-4567cdef")
    'merge-output-assign'
    >>> fused_words("merge-output-a-b-c-0123abcd", "assign-4567cdef")
    'merge-output-fused-assign'
    """
    words = key_split(cells).split("-")
    if len(words) >= _FUSED_WORDS:
        words = [*words[:2], "fused"]
    return "-".join([*words, key_split(consumer)])

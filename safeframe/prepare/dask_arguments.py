"""Arguments of the dask functions that recipes stand in for: mapped to ours, or answered in words.

The table of all of them is ``docs/concepts/dask-arguments.md``; a test holds it, and
the recipes' signatures, to those of the installed dask.
Does not cover: arguments that mean the same on both sides, which are the recipes' own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from safeframe.choices import check_flags, did_you_mean
from safeframe.errors import UnsupportedError, ValidationError

_METHODS = ("disk", "tasks", "p2p")
_OF_SHUFFLES = ("max_branch", "meta")
"""Options that dask's shuffles take by ``**options``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeMoves:
    """How the rows of a merge are to move, and into how many partitions."""

    strategy: str | None = None
    """The requested strategy."""
    npartitions: int | None = None
    """Partitions of the result, about."""
    may_broadcast: bool = True
    """Whether a side may be held whole by each worker."""


def merge_moves(
    recipe: str,
    *,
    strategy: str | None,
    partition_size: str | int | None,
    shuffle_method: str | None,
    npartitions: Any,
    broadcast: Any,
    sort: bool = False,
    copy: bool | None = None,
) -> MergeMoves:
    """Map dask's arguments of how a merge moves its rows.

    Raises
    ------
    ValidationError
        When they contradict each other or mean nothing.
    UnsupportedError
        When the recipe cannot do what they say.
    """
    check_flags(sort=sort)
    del copy  # pandas' own, and without effect there as well
    if sort:
        refuse(
            recipe,
            "sort",
            sort,
            "its rows have no order",
            "Use safeframe.sorted_merge, or safeframe.sort_values after it.",
        )
    n = as_npartitions(npartitions)
    if n is not None and partition_size is not None:
        msg = f"npartitions={n} and partition_size={partition_size!r} exclude each other."
        raise ValidationError(msg, hint="Pass one of them.")
    strategy = exchange_strategy(recipe, shuffle_method, strategy, with_p2p=recipe == "merge")
    if broadcast is None:
        return MergeMoves(strategy=strategy, npartitions=n)
    if not isinstance(broadcast, (bool, np.bool_, int, float)) or math.isnan(broadcast) or broadcast < 0:
        msg = f"broadcast={broadcast!r} is neither a bool nor a bias as in dask."
        raise ValidationError(msg, hint="Pass True or False, or leave it out.")
    if not isinstance(broadcast, (bool, np.bool_)):
        # A weight for dask's count of partitions; bytes need none.
        return MergeMoves(strategy=strategy, npartitions=n)
    if not broadcast:
        if strategy == "broadcast":
            msg = "strategy='broadcast' and broadcast=False contradict each other."
            raise ValidationError(msg, hint="Pass one of them.")
        return MergeMoves(strategy=strategy, npartitions=n, may_broadcast=False)
    if recipe != "merge":
        refuse(
            recipe,
            "broadcast",
            broadcast,
            "a broadcast does not keep the result in key order",
            "Leave it out.",
        )
    if strategy not in (None, "broadcast"):
        requested = (
            f"strategy={strategy!r}" if shuffle_method is None else f"shuffle_method={shuffle_method!r}"
        )
        msg = f"{requested} and broadcast=True contradict each other."
        raise ValidationError(msg, hint="Pass one of them.")
    return MergeMoves(strategy="broadcast", npartitions=n)


def exchange_strategy(
    recipe: str,
    shuffle_method: Any,
    strategy: str | None,
    *,
    with_p2p: bool = True,
    argument: str = "shuffle_method",
) -> str | None:
    """Map dask's ``shuffle_method=`` to a strategy.

    P2P is P2P. dask's other two, through a local disk or through many small tasks, have no bound: where rows
    have to move, the plan chooses how.

    Raises
    ------
    ValidationError
        When there is no such method, or another strategy is also requested.
    UnsupportedError
        When the recipe has no P2P.
    """
    if shuffle_method is None:
        return strategy
    if not isinstance(shuffle_method, str) or shuffle_method not in _METHODS:
        msg = f"{argument}={shuffle_method!r} is not a shuffle method of dask."
        raise ValidationError(
            msg,
            hint=f"{did_you_mean(shuffle_method, _METHODS)}Leave it out, or use one of {', '.join(map(repr, _METHODS))}.",
        )
    if shuffle_method != "p2p":
        return strategy
    if not with_p2p:
        refuse(recipe, argument, "p2p", "it does not use P2P", "Leave it out.")
    if strategy not in (None, "p2p"):
        msg = f"strategy={strategy!r} and shuffle_method='p2p' contradict each other."
        raise ValidationError(msg, hint="Pass one of them.")
    return "p2p"


def as_npartitions(npartitions: Any) -> int | None:
    """Read a number of partitions as dask takes it; ``"auto"`` leaves it to the plan.

    Raises
    ------
    ValidationError
        When it is no such number.

    Examples
    --------
    >>> as_npartitions("auto"), as_npartitions(3)
    (None, 3)
    """
    if npartitions is None or (isinstance(npartitions, str) and npartitions == "auto"):
        return None
    if (
        isinstance(npartitions, (bool, str))
        or not isinstance(npartitions, (int, np.integer))
        or npartitions < 1
    ):
        msg = f"npartitions={npartitions!r} is not a number of partitions."
        raise ValidationError(msg, hint='Pass an int of at least 1, or "auto", or leave it out.')
    return int(npartitions)


def no_effect(**numbers: Any) -> None:
    """Check arguments that tune an algorithm of dask that is not used here: they are taken, and decide nothing.

    Raises
    ------
    ValidationError
        When one is not even a number.
    """
    for name, value in numbers.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > 0:
            msg = f"{name}={value!r} is not a positive number."
            raise ValidationError(msg, hint=f"Leave it out: {name}= tunes a method of dask that is not used.")


def no_tree(**numbers: Any) -> None:
    """As :func:`no_effect`, for ``split_every`` and ``split_out``, whose defaults in dask may be True and False.

    Raises
    ------
    ValidationError
        When one is neither that nor a positive number.
    """
    no_effect(**{name: value for name, value in numbers.items() if not isinstance(value, bool)})


def refuse(recipe: str, argument: str, value: Any, why: str, hint: str) -> None:
    """Answer an argument of dask's that a recipe does not follow.

    Raises
    ------
    UnsupportedError
        Always.
    """
    msg = f"{recipe} does not take {argument}={value!r}: {why}."
    raise UnsupportedError(msg, hint=hint)


def refuse_options(recipe: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Answer arguments that a recipe does not have.

    Raises
    ------
    UnsupportedError
        When dask hands them on to its shuffles.
    ValidationError
        When nobody knows them.
    """
    for name, value in options.items():
        if name in _OF_SHUFFLES:
            refuse(recipe, name, value, "it tunes a shuffle of dask that is not used", "Leave it out.")
        msg = f"{recipe} has no argument {name}=."
        raise ValidationError(
            msg, hint=f"{did_you_mean(f'{name}=', [f'{one}=' for one in known])}Check the spelling."
        )

"""Says before a merge runs that it rounds integers: those of rows without a match become floats, as in pandas."""

from __future__ import annotations

import warnings
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.engine._dask import FromPandas
from safeframe.engine.exchange_nodes import in_memory
from safeframe.errors import RoundedIntegersWarning
from safeframe.kernels.join_spec import JoinSpec, SideSpec
from safeframe.sizing.integer_range import integer_ranges

__all__ = ["warn_of_rounding"]

_EXACT = 2**53
"""Up to here each integer is a float of its own."""


def warn_of_rounding(spec: JoinSpec, left: dd.DataFrame, right: dd.DataFrame, *, stacklevel: int) -> None:
    """Warn when integers become floats that are not the same numbers.

    Parameters
    ----------
    spec
        The merge.
    left, right
        Its sides.
    stacklevel
        As for :func:`warnings.warn`, of the caller.
    """
    for name, own, frame in (("left", spec.left, left), ("right", spec.right, right)):
        widened = _widened(spec, name, own)
        if not widened:
            continue
        ranges = integer_ranges(frame, widened, in_memory=_is_here(frame.expr))
        large = [one for one, found in ranges.items() if found.least < -_EXACT or found.most > _EXACT]
        if large:
            _warn(name, own, large, stacklevel + 1)


def _widened(spec: JoinSpec, name: str, own: SideSpec) -> list[Any]:
    """Return the columns of a side that hold integers of 64 bits, and floats in the result."""
    widened = []
    for column, dtype in zip(spec.output, spec.meta.dtypes, strict=False):
        at = column.left if name == "left" else column.right
        if at is not None and dtype == np.dtype("float64") and own.dtypes[at] in (np.int64, np.uint64):
            widened.append(own.names[at])
    return list(dict.fromkeys(widened))


def _is_here(expr: Any) -> bool:
    """Whether no partition has to be read, or made by a function of the user's."""
    leaves = [node for node in expr.walk() if not node.dependencies()]
    return all(isinstance(leaf, FromPandas) or in_memory(leaf) for leaf in leaves)


def _warn(side: str, own: SideSpec, large: list[Any], stacklevel: int) -> None:
    names = ", ".join(map(repr, large))
    types = {
        name: own.dtypes[own.names.index(name)].name.replace("i", "I").replace("u", "U") for name in large
    }
    msg = (
        f"The merge may have rows without a match on the {side} side, where pandas makes floats of integers: those "
        f"of {names} are beyond 2**53, and would be rounded.\n\nHint: Give them a type that has missing values: "
        f"{side}.astype({types})."
    )
    warnings.warn(RoundedIntegersWarning(msg), stacklevel=stacklevel + 1)

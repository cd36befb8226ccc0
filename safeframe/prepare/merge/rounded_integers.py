"""Integers that a merge would round: those of a side on which rows lack a match become floats, as in pandas.

Covers: finding out whether rows do lack one, where keys were sampled; a warning before the run.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe._dask.expressions import FromPandas
from safeframe.engine.exchange.nodes import in_memory
from safeframe.errors import RoundedIntegersWarning
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.prepare.merge.keys import KeyedSides
from safeframe.prepare.merge.sizes import JoinSizes
from safeframe.sizing.columns.integers import integer_ranges
from safeframe.sizing.keys.table import count_unmatched, key_presence

_EXACT = 2**53
"""Up to here each integer is a float of its own."""


def match_counted(sizes: JoinSizes) -> JoinSizes:
    """Count the rows without a match where a sample leaves it open, and it decides whether integers are rounded.

    Notes
    -----
    **Eager.** One pass over the keys of either side, only where keys were sampled
    and the other side has integers beyond 2**53.
    """
    estimate, schema, how = sizes.estimate, sizes.sides.terms.schema, sizes.estimate.how
    if len(schema.columns) > 1 or not schema.columns[0].is_whole:
        return sizes
    (left_frame, left_keys), (right_frame, right_keys) = sizes.sides.keys
    left = (left_frame, left_keys.on, sizes.left.keys)
    right = (right_frame, right_keys.on, sizes.right.keys)
    if how in ("left", "outer"):
        estimate = replace(
            estimate, left_unmatched_rows=_counted(estimate.left_unmatched_rows, left, right, schema)
        )
    if how in ("right", "outer"):
        estimate = replace(
            estimate, right_unmatched_rows=_counted(estimate.right_unmatched_rows, right, left, schema)
        )
    return replace(sizes, estimate=estimate)


_Side = tuple[dd.DataFrame, tuple[Any, ...], KeyStatistics]


def _counted(rows: Estimate, own: _Side, other: _Side, schema: KeySchema) -> Estimate:
    """Count the rows of a side that the other has no match for, where its integers are large."""
    frame, on, keys = other
    integers = [name for name, dtype in frame._meta.dtypes.items() if dtype in (np.int64, np.uint64)]
    if rows.exact or rows.upper == 0 or not _large(frame, [name for name in integers if name not in on]):
        return rows
    presence = key_presence(frame, on, schema, rows=keys.rows)
    if presence is None:
        return rows
    unmatched = count_unmatched(own[0], own[1], schema, presence)
    # A null matches a null.
    return Estimate.computed(unmatched - (own[2].null_rows if keys.null_rows else 0))


def _large(frame: dd.DataFrame, names: list[Any]) -> list[Any]:
    """Return columns of integers that no float tells apart."""
    ranges = integer_ranges(frame, names, in_memory=_is_here(frame.expr)) if names else {}
    return [name for name, found in ranges.items() if found.least < -_EXACT or found.most > _EXACT]


def warn_of_rounding(spec: JoinSpec, sides: KeyedSides, *, stacklevel: int) -> None:
    """Warn when integers become floats that are not the same numbers.

    Parameters
    ----------
    spec
        The merge.
    sides
        Its sides.
    stacklevel
        As for :func:`warnings.warn`, of the caller.
    """
    for name, own, frame in (("left", spec.left, sides.left), ("right", spec.right, sides.right)):
        widened = _widened(spec, name, own)
        if widened and (large := _large(frame, widened)):
            _warn(name, own, large, stacklevel + 1)


def _widened(spec: JoinSpec, name: str, own: SideSpec) -> list[Any]:
    """Return the columns of a side that hold integers of 64 bits, and floats in the result."""
    widened = []
    for column, dtype in zip(spec.output, spec.meta.dtypes, strict=False):
        at, other = (column.left, column.right) if name == "left" else (column.right, column.left)
        # A key that is one column of both sides is never missing.
        if (
            at is not None
            and other is None
            and dtype == np.dtype("float64")
            and own.dtypes[at] in (np.int64, np.uint64)
        ):
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
        f"The merge may have rows without a match on the {side} side, where pandas turns integers into floats: those "
        f"of {names} are beyond 2**53, and would be rounded.\n\nHint: Cast them to a type with missing values: "
        f"{side}.astype({types})."
    )
    warnings.warn(RoundedIntegersWarning(msg), stacklevel=stacklevel + 1)

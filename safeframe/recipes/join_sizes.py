"""The sizes of a join that was asked for: what every recipe that joins starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd

from safeframe.choices import did_you_mean
from safeframe.errors import UnsupportedError
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.facts.merge import MergeEstimate
from safeframe.facts.merge_facts import SideFacts
from safeframe.kernels.join_keys import JoinKeys, SideKeys
from safeframe.kernels.join_output import JoinOutput
from safeframe.kernels.key_schema import common_schema
from safeframe.planning.join_size import estimate_join
from safeframe.recipes.frames import as_frame
from safeframe.recipes.given_statistics import given_statistics
from safeframe.recipes.merge_keys import KeyArguments, KeyedSides, keyed_sides
from safeframe.recipes.row_width import missing_sides, result_row_width
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.key_bounds import bounded_schema
from safeframe.sizing.keys import gather_key_statistics

__all__ = ["HOWS", "JoinSizes", "named_keys", "side_schema", "size_join"]

HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti", "cross")
"""Kinds of merges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinSizes:
    """A join's checked arguments, and what is known of its sides and its result."""

    left: dd.DataFrame
    """The left side; with its index as the last column where the join needs it."""
    right: dd.DataFrame
    """The right side, likewise; the keys alone for a semi or anti join."""
    keys: JoinKeys
    """What is compared."""
    output: JoinOutput
    """What the result is called."""
    schema: KeySchema
    """The type in which keys are compared."""
    left_facts: SideFacts
    """Rows per key and bytes of the left side."""
    right_facts: SideFacts
    """Rows per key and bytes of the right side."""
    estimate: MergeEstimate
    """Rows and bytes of the result."""


def check_how(how: Any, recipe: str) -> None:
    """Refuse a kind of merge that there is not.

    Raises
    ------
    UnsupportedError
        With those that there are.
    """
    if not isinstance(how, str) or how not in HOWS:
        msg = f"how={how!r} is not supported by safeframe.{recipe}."
        raise UnsupportedError(msg, hint=f"{did_you_mean(how, HOWS)}Use one of {', '.join(map(repr, HOWS))}.")


def size_join(
    left: Any, right: Any, asked: KeyArguments, statistics: Any, *, recipe: str, in_order: bool = False
) -> JoinSizes:
    """Check what was asked for, and gather its sizes; with ``in_order`` by codes in key order, where there are some.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, UnsupportedError, ValidationError
        When the arguments do not name two frames that can be joined.
    """
    check_how(asked.how, recipe)
    sides = keyed_sides(as_frame(left, "left"), as_frame(right, "right"), asked)
    left, right, keys = sides.left, sides.right, sides.keys
    schema = side_schema(sides)
    frames = (left, keys.left), (right, keys.right)
    if in_order:
        schema = bounded_schema([(ddf, side.on) for ddf, side in frames], schema)
    if statistics is None:
        columns = [(ddf, side.on) for ddf, side in frames]
        gathered = gather_key_statistics(columns, schema)
        found = [named_keys(one, side) for one, (_, side) in zip(gathered, frames, strict=True)]
    else:
        found = given_statistics(statistics, schema, *frames)
    profiles = [profile_frame(ddf, one.partitions.rows) for one, (ddf, _) in zip(found, frames, strict=True)]
    estimate = estimate_join(found[0], found[1], asked.how, row_nbytes=0.0, on=keys.left.names)
    width = result_row_width(sides, profiles[0], profiles[1], missing_sides(asked.how, estimate))
    return JoinSizes(
        left=left,
        right=right,
        keys=keys,
        output=sides.output,
        schema=schema,
        left_facts=SideFacts(keys=found[0], profile=profiles[0]),
        right_facts=SideFacts(keys=found[1], profile=profiles[1]),
        estimate=replace(estimate, row_nbytes=width.expected, row_width=width),
    )


def side_schema(sides: KeyedSides) -> KeySchema:
    """Find the type in which the keys of two sides are compared.

    Raises
    ------
    SchemaMismatchError
        When they cannot be.
    """
    keys = sides.keys
    return common_schema(
        [sides.left._meta[name] for name in keys.left.on],
        [sides.right._meta[name] for name in keys.right.on],
        left_names=[_said(name) for name in keys.left.names or keys.left.on],
        right_names=[_said(name) for name in keys.right.names or keys.right.on],
    )


def named_keys(statistics: KeyStatistics, keys: SideKeys) -> KeyStatistics:
    """Call the keys in statistics what the user calls them."""
    return replace(statistics, on=keys.names)


def _said(name: Any) -> Any:
    return "the index" if name is None else name

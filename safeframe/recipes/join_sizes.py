"""The sizes of a join that was asked for: what every recipe that joins starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import KeySchema
from safeframe.facts.merge import How, MergeEstimate
from safeframe.facts.merge_facts import SideFacts
from safeframe.kernels.key_schema import common_schema
from safeframe.planning.join_size import estimate_join
from safeframe.recipes.frames import check_frame, merge_keys
from safeframe.recipes.given_statistics import given_statistics
from safeframe.recipes.row_width import result_row_nbytes
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.key_bounds import bounded_schema
from safeframe.sizing.keys import gather_key_statistics

__all__ = ["JoinSizes", "size_join"]

_HOWS = ("inner", "left", "right", "outer")


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinSizes:
    """A join's checked arguments, and what is known of its sides and its result."""

    left: dd.DataFrame
    """The left side."""
    right: dd.DataFrame
    """The right side."""
    left_on: tuple[Any, ...]
    """The key columns of the left side."""
    right_on: tuple[Any, ...]
    """The key columns of the right side."""
    schema: KeySchema
    """The type in which keys are compared."""
    left_facts: SideFacts
    """Rows per key and bytes of the left side."""
    right_facts: SideFacts
    """Rows per key and bytes of the right side."""
    estimate: MergeEstimate
    """Rows and bytes of the result."""


def size_join(
    left: Any,
    right: Any,
    how: How,
    on: Any,
    left_on: Any,
    right_on: Any,
    statistics: Any,
    *,
    recipe: str,
    in_order: bool = False,
) -> JoinSizes:
    """Check what was asked for, and gather its sizes; with ``in_order`` by codes in key order, where there are some.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, UnsupportedError, ValidationError
        When the arguments do not name two frames that can be joined.
    """
    if how not in _HOWS:
        msg = f"how={how!r} is not supported by safeframe.{recipe}."
        raise UnsupportedError(msg, hint=f"Use one of {', '.join(map(repr, _HOWS))}.")
    left, right = check_frame(left, "left"), check_frame(right, "right")
    left_keys, right_keys = merge_keys(left, right, on, left_on, right_on)
    schema = common_schema(
        [left._meta[name] for name in left_keys],
        [right._meta[name] for name in right_keys],
        left_names=left_keys,
        right_names=right_keys,
    )
    sides = (left, left_keys), (right, right_keys)
    if in_order:
        schema = bounded_schema(sides, schema)
    if statistics is None:
        left_keys_facts, right_keys_facts = gather_key_statistics(sides, schema)
    else:
        left_keys_facts, right_keys_facts = given_statistics(statistics, schema, *sides)
    left_profile = profile_frame(left, left_keys_facts.partitions.rows)
    right_profile = profile_frame(right, right_keys_facts.partitions.rows)
    row_nbytes = result_row_nbytes(left, right, left_keys, right_keys, left_profile, right_profile)
    return JoinSizes(
        left=left,
        right=right,
        left_on=left_keys,
        right_on=right_keys,
        schema=schema,
        left_facts=SideFacts(keys=left_keys_facts, profile=left_profile),
        right_facts=SideFacts(keys=right_keys_facts, profile=right_profile),
        estimate=estimate_join(left_keys_facts, right_keys_facts, how, row_nbytes=row_nbytes, on=left_keys),
    )

"""The sizes of a join: what every recipe that joins starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe.choices import did_you_mean
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Width, added
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.facts.merge import How, MergeEstimate, SideFacts
from safeframe.facts.p2p import P2PFacts
from safeframe.kernels.columns.values import missing_dtype
from safeframe.kernels.merge.output import OutputColumn, SideKeys
from safeframe.planning.merge.size import estimate_join
from safeframe.prepare.arguments import may_take_p2p
from safeframe.prepare.merge.keys import KeyedSides
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.keys.bounds import bounded_schema
from safeframe.sizing.keys.range_widths import gather_range_widths
from safeframe.sizing.keys.statistics import align_heavy_keys, gather_key_statistics
from safeframe.sizing.p2p import p2p_facts

HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti", "cross")
"""Kinds of merges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinSizes:
    """A join, and what is known of its sides and its result."""

    sides: KeyedSides
    """The frames, and how they are joined."""
    left: SideFacts
    """Rows per key and bytes of the left side."""
    right: SideFacts
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
    sides: KeyedSides,
    statistics: Any = None,
    *,
    profiles: tuple[FrameProfile, FrameProfile] | None = None,
    in_order: bool = False,
    room_nbytes: int | None = None,
) -> JoinSizes:
    """Count the keys of both sides, and predict the rows and bytes of their join.

    Parameters
    ----------
    sides
        What is joined.
    statistics
        What the user gave; None to count the keys.
    profiles
        Rows and bytes of both sides, where they are known already.
    in_order
        Whether codes are to be in key order, where there are such codes.
    room_nbytes
        Bytes that a task may take while keys are counted; None for what the workers have now.

    Raises
    ------
    ValidationError
        When the statistics are of something else.
    """
    frames = sides.keys
    if in_order:
        schema = bounded_schema([(ddf, side.on) for ddf, side in frames], sides.terms.schema)
        sides = replace(sides, terms=replace(sides.terms, schema=schema))
    terms = sides.terms
    if statistics is None:
        gathered = gather_key_statistics(
            [(ddf, side.on) for ddf, side in frames], terms.schema, room_nbytes=room_nbytes
        )
        found = [named_keys(one, side) for one, (_, side) in zip(gathered, frames, strict=True)]
    else:
        found = given_statistics(statistics, terms.schema, *frames, room_nbytes=room_nbytes)
    sides = sides.of_rows(found[0].rows, found[1].rows)
    if profiles is None:
        left, right = (
            profile_frame(ddf, one.partitions.rows) for one, (ddf, _) in zip(found, frames, strict=True)
        )
        profiles = left, right
    estimate = estimate_join(found[0], found[1], terms.how, row_nbytes=0.0, on=terms.keys.left.names)
    width = result_row_width(sides, *profiles, missing_sides(terms.how, estimate))
    left_facts, right_facts = (
        SideFacts(
            keys=one,
            profile=profile,
            widths=gather_range_widths(ddf, side.on, one)
            if width.uneven and profile.width.uneven and side.on
            else None,
        )
        for one, profile, (ddf, side) in zip(found, profiles, frames, strict=True)
    )
    return JoinSizes(
        sides=sides,
        left=left_facts,
        right=right_facts,
        estimate=replace(estimate, row_nbytes=width.expected, row_width=width),
    )


def named_keys(statistics: KeyStatistics, keys: SideKeys) -> KeyStatistics:
    """Call the keys in statistics what the user calls them."""
    return replace(statistics, on=keys.names)


_INDICATOR = Width.fixed(1.0)
_OBJECTS = Width(least=8, expected=36, most=40, widest=36, exact=False)
"""Of booleans, which become Python objects where some are missing."""


_OFFSET_NBYTES = 4.0
"""Bytes of a missing string or object, at the least."""


def missing_sides(how: How, estimate: MergeEstimate) -> tuple[float, float]:
    """Return the largest share of rows that the result may have without a left row, and without a right row."""
    rows = max(estimate.rows.lower, 1)
    return (
        min(estimate.right_unmatched_rows.upper / rows, 1.0) if how in ("right", "outer") else 0.0,
        min(estimate.left_unmatched_rows.upper / rows, 1.0) if how in ("left", "outer") else 0.0,
    )


def result_row_width(
    sides: KeyedSides, left: FrameProfile, right: FrameProfile, missing: tuple[float, float]
) -> Width:
    """Count the bytes of a result row, index and indicator included.

    Narrow types that cannot be missing take eight bytes where ``missing`` says that a share of the rows
    of their side may be, and strings are then shorter at the least. Of a key that is one column the wider side counts.
    """
    frames = (sides.left._meta.dtypes, left.columns), (sides.right._meta.dtypes, right.columns)
    output = sides.output
    widths = [_INDICATOR] if output.indicator is not None else []
    for column in (*output.columns, *([] if output.index is None else [output.index])):
        places = _places(column)
        shared = None not in places
        found = [
            _width(dtypes.iloc[at], profiles[at], missing=0.0 if shared else may_miss)
            for at, (dtypes, profiles), may_miss in zip(places, frames, missing, strict=True)
            if at is not None
        ]
        widths.append(max(found, key=lambda width: width.bounding))
    return added(widths)


def _places(column: OutputColumn) -> tuple[int | None, int | None]:
    return column.left, column.right


def _width(dtype: Any, profile: ColumnProfile, *, missing: float) -> Width:
    width = profile.width
    if not missing:
        return width
    if not width.exact:
        least = width.least * (1.0 - missing) + min(width.least, _OFFSET_NBYTES) * missing
        return replace(width, least=least)
    turned = missing_dtype(dtype)
    if isinstance(turned, pd.IntervalDtype) and turned.subtype is not None and turned != dtype:
        return Width.fixed(2.0 * turned.subtype.itemsize)
    if not isinstance(dtype, np.dtype) or pd.api.types.is_object_dtype(dtype):
        return width
    return _OBJECTS if pd.api.types.is_object_dtype(turned) else Width.fixed(float(turned.itemsize))


def given_statistics(
    statistics: Any,
    schema: KeySchema,
    left: tuple[dd.DataFrame, SideKeys],
    right: tuple[dd.DataFrame, SideKeys],
    *,
    room_nbytes: int | None = None,
) -> list[KeyStatistics]:
    """Return the statistics of both sides, or say why they are not of this merge.

    Parameters
    ----------
    statistics
        What the user gave.
    schema
        The common type of the keys.
    left, right
        The frames with their keys.
    room_nbytes
        Bytes that a task may take while keys are counted; None for as much as is good.

    Raises
    ------
    ValidationError
        When they are no pair, or of other keys, partitions or types.

    Notes
    -----
    **Eager** where keys were sampled and the two sides were gathered apart:
    the key columns are then read once, to count the heaviest keys of either
    side in the other.
    """
    hint = "Gather them with safeframe.key_statistics(left, on) and (right, on), or leave statistics= out."
    if not isinstance(statistics, tuple) or len(statistics) != 2:
        msg = "statistics= has to be a pair: the key statistics of the left and of the right side."
        raise ValidationError(msg, hint=hint)
    for name, given, (ddf, keys) in zip(("left", "right"), statistics, (left, right), strict=True):
        if not isinstance(given, KeyStatistics) or given.on != keys.names:
            of = list(given.on) if isinstance(given, KeyStatistics) else type(given).__name__
            msg = f"The {name} statistics are of {of!r}, but the merge is on {list(keys.names)!r}."
            raise ValidationError(msg, hint=hint)
        if given.schema != schema:
            msg = (
                f"The {name} statistics were gathered for keys of a different type than this merge compares."
            )
            raise ValidationError(msg, hint="Leave statistics= out, or cast both keys to one type first.")
        if len(given.partitions.rows) != ddf.npartitions:
            msg = (
                f"The {name} statistics are of a frame with {len(given.partitions.rows)} partitions, but the "
                f"{name} side has {ddf.npartitions}."
            )
            raise ValidationError(msg, hint=hint)
    counted = [replace(given, counting=None) for given in statistics]
    return align_heavy_keys([(ddf, keys.on) for ddf, keys in (left, right)], counted, room_nbytes=room_nbytes)


def check_statistics(statistics: Any, names: tuple[Any, ...], ddf: dd.DataFrame) -> None:
    """Raise when statistics are not those of a frame's key.

    Raises
    ------
    ValidationError
        When they are of something else, or no statistics.
    """
    if not isinstance(statistics, KeyStatistics):
        msg = f"statistics= is a {type(statistics).__name__}, not the result of safeframe.key_statistics."
    elif statistics.on != names or len(statistics.partitions.rows) != ddf.npartitions:
        msg = f"statistics= is of {list(statistics.on)!r} in {len(statistics.partitions.rows)} partitions."
    else:
        return
    hint = "Gather them with safeframe.key_statistics(ddf, on), or leave them out."
    raise ValidationError(msg, hint=hint)


def look_at_p2p(
    sizes: JoinSizes, budget: Budget, strategy: str | None, staging: StagingFacts
) -> tuple[tuple[P2PFacts, P2PFacts] | None, str]:
    """Gather facts of the workers and both sides, where P2P was requested or nothing else moves rows.

    Returns
    -------
    tuple or None
        The facts of the left and of the right side; None where P2P is not needed, or cannot carry a side.
    str
        Why it cannot; empty when it can.
    """
    if not may_take_p2p(strategy, staging):
        return None, ""
    sides = (sizes.sides.left, sizes.left), (sizes.sides.right, sizes.right)
    try:
        left, right = (
            p2p_facts(side, budget=budget, partition_rows=facts.keys.partitions.rows) for side, facts in sides
        )
    except UnsupportedError as error:
        return None, error.message.rstrip(".")
    return (left, right), ""

"""What the predicted size of a merge makes a recipe say: warnings and refusals."""

from __future__ import annotations

import warnings
from typing import Any, assert_never

import pandas as pd

from safeframe import options
from safeframe.choices import check_choice
from safeframe.errors import OutputExplosionWarning, OutputTooLargeError, ValidationError
from safeframe.facts.estimate import about, format_interval
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import (
    BroadcastMerge,
    KeyTable,
    MergeEstimate,
    MergeRun,
    MergeWay,
    OrderedMerge,
    P2PMerge,
    RangesMerge,
    SlicedMerge,
    StagedMerge,
    TableMerge,
    WritePlan,
)
from safeframe.facts.plan import Plan
from safeframe.kernels.merge.in_order import in_key_order, join_divisions
from safeframe.prepare.merge.keys import KeyedSides
from safeframe.prepare.merge.sizes import JoinSizes
from safeframe.units import format_count, format_nbytes

_VALIDATE_KINDS = {"1:1": "one_to_one", "1:m": "one_to_many", "m:1": "many_to_one", "m:m": "many_to_many"}


def refuse_larger(estimate: MergeEstimate, max_nbytes: int) -> None:
    """Raise when the result may be larger than the user allows: by the upper end, where its size is an interval.

    Raises
    ------
    OutputTooLargeError
        With rows and bytes, and the heaviest keys.
    """
    nbytes = estimate.nbytes
    if nbytes.upper <= max_nbytes:
        return
    msg = (
        f"The {estimate.how} merge{_on(estimate)} would make {about(estimate.rows)}"
        f"{format_count(estimate.rows.expected)} rows, {format_interval(nbytes)} in memory; max_output= "
        f"allows {format_nbytes(max_nbytes)}. {_heaviest(estimate)}"
    )
    hint = (
        "Aggregate or deduplicate one side on the key first, merge on more columns, or raise max_output= to "
        f"{format_nbytes(nbytes.upper)} or more."
    )
    raise OutputTooLargeError(
        msg,
        hint=hint,
        output_rows=estimate.rows.expected,
        output_nbytes=nbytes.expected,
        largest_output_nbytes=nbytes.upper,
        max_output_nbytes=max_nbytes,
    )


def warn_of_explosion(estimate: MergeEstimate, *, stacklevel: int) -> None:
    """Warn when a merge multiplies its input, and the result is large."""
    if estimate.fanout < options.EXPLOSION_FACTOR or estimate.rows.expected < options.EXPLOSION_ROWS:
        return
    msg = (
        f"This {estimate.how} merge{_on(estimate)} makes {about(estimate.rows)}{format_count(estimate.rows.expected)} "
        f"rows, {format_interval(estimate.nbytes)} in memory: {estimate.fanout:,.1f} rows for each of "
        f"the {format_count(max(estimate.left_rows, estimate.right_rows))} rows of its larger side. "
        f"{_heaviest(estimate)}"
        "\n\nHint: if that is not intended, aggregate or deduplicate one side on the key first, or merge "
        "on more columns; max_output= refuses such a merge."
    )
    warnings.warn(OutputExplosionWarning(msg), stacklevel=stacklevel + 1)


def refuse_partitions(plan: Plan) -> None:
    """Raise when the result has more partitions than a collection, or than a graph, can hold.

    A merge that can be written without its rows may have more than a graph: of it, none is made.

    Raises
    ------
    OutputTooLargeError
        With the number of partitions.
    """
    match plan.run:
        case MergeRun(write=WritePlan()) if plan.output_partitions <= options.MAX_COLLECTION_PARTITIONS:
            return
        case _:
            plan.check_partitions()


def check_validate_kind(validate: str) -> str:
    """Return the kind of merge in full.

    Raises
    ------
    ValidationError
        When it is no kind of merge.
    """
    check_choice(
        validate, [*_VALIDATE_KINDS, *_VALIDATE_KINDS.values()], argument="validate", what="a kind of merge"
    )
    return _VALIDATE_KINDS.get(validate, validate)


def check_validate(validate: str, left: KeyStatistics, right: KeyStatistics) -> None:
    """Raise when a side that should have each key once has one more often.

    Raises
    ------
    ValidationError
        When it does not hold, or is no kind of merge.
    """
    meaning = check_validate_kind(validate)
    for name, one, side in (
        ("left", meaning.startswith("one"), left),
        ("right", meaning.endswith("one"), right),
    ):
        most = _most_rows(side)
        if one and most > 1:
            msg = f"validate={validate!r} does not hold: a key of the {name} side has {format_count(most)} rows."
            hint = f"Deduplicate the {name} side on {_names(side.on)}, or leave validate= out."
            raise ValidationError(msg, hint=hint, rows=most)
        if one and not side.exact and side.rows - side.null_rows > int(side.distinct.lower):
            msg = (
                f"validate={validate!r} cannot be checked: the {name} side has too many keys to count all of "
                f"them exactly (between {format_count(side.distinct.lower)} and "
                f"{format_count(side.distinct.upper)} in {format_count(side.rows)} rows)."
            )
            hint = "Increase the configuration value safeframe.key-capacity, or leave validate= out."
            raise ValidationError(msg, hint=hint)


def _most_rows(side: KeyStatistics) -> int:
    return max(int(side.counts.max(initial=0)), int(side.heavy_counts.max(initial=0)), side.null_rows)


def _heaviest(estimate: MergeEstimate) -> str:
    keys = ", ".join(
        f"{key.key!r} ({format_count(key.left_rows)} × {format_count(key.right_rows)} rows)"
        for key in estimate.heaviest[:3]
    )
    return f"The heaviest keys are {keys}." if keys else ""


def _on(estimate: MergeEstimate) -> str:
    return f" on {_names(estimate.on)}" if estimate.on else ""


def _names(on: tuple[Any, ...]) -> str:
    return ", ".join("the index" if name is None else repr(name) for name in on)


def result_divisions(sizes: JoinSizes, way: MergeWay) -> tuple[Any, ...] | None:
    """Return the divisions of the result, or None where they are not known.

    They are known where rows stay where they are and keep their index, as they were
    before; and where the index is the key, each partition a range of it, and rows
    within a partition in its order.
    """
    match way:
        case BroadcastMerge(pieces=pieces) if pieces:
            # Where a partition is cut, no row was looked at.
            return None
        case BroadcastMerge(build_side=build_side) | TableMerge(table=KeyTable(build_side=build_side)):
            return _of_rows_that_stay(sizes.sides, build_side)
        case P2PMerge() | SlicedMerge() | RangesMerge():
            return None
        case OrderedMerge() | StagedMerge():
            schema = sizes.sides.terms.schema
            if not sizes.sides.index_is_key or not in_key_order(schema):
                return None
            left, right = sizes.left.keys.partitions, sizes.right.keys.partitions
            return join_divisions(way.layout, schema, left, right)
        case _:
            assert_never(way)


def _of_rows_that_stay(sides: KeyedSides, build_side: str) -> tuple[Any, ...] | None:
    index = sides.output.index
    if index is None:
        return None
    stays = (sides.left, index.left) if build_side == "right" else (sides.right, index.right)
    frame, place = stays
    if (
        place is None
        or not frame.known_divisions
        or isinstance(frame._meta.dtypes.iloc[place], pd.CategoricalDtype)
    ):
        return None
    return tuple(frame.divisions)

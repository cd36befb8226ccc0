"""``safeframe.merge``: dask's merge, with its numbers known before it runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, cast

import dask.dataframe as dd
import numpy as np

from safeframe import options
from safeframe.engine._dask import new_collection
from safeframe.engine.merge_nodes import SafeMerge
from safeframe.engine.runs import check_staging
from safeframe.errors import (
    OutputExplosionWarning,
    OutputTooLargeError,
    UnsupportedError,
    ValidationError,
)
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.facts.merge import How, MergeEstimate
from safeframe.facts.merge_facts import MergeFacts, SideFacts
from safeframe.facts.plan import Plan
from safeframe.kernels.columns import missing_dtype
from safeframe.kernels.join_spec import join_spec
from safeframe.kernels.key_schema import common_schema
from safeframe.planning.join_size import estimate_join
from safeframe.planning.merge import plan_merge as make_plan
from safeframe.recipes.frames import check_frame, merge_keys
from safeframe.sizing.cluster import measure_budget, staging_facts
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.keys import gather_key_statistics
from safeframe.units import format_count, format_nbytes, parse_nbytes

__all__ = ["explain", "merge", "plan_merge"]

_HOWS = ("inner", "left", "right", "outer")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """A merge that was asked for, checked and sized."""

    left: dd.DataFrame
    right: dd.DataFrame
    left_on: tuple[Any, ...]
    right_on: tuple[Any, ...]
    schema: KeySchema
    statistics: tuple[KeyStatistics, KeyStatistics]
    plan: Plan


def merge(
    left: dd.DataFrame,
    right: dd.DataFrame,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    indicator: bool | str = False,
    *,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
) -> dd.DataFrame:
    """Merge two dask dataframes on columns, with every output partition bounded.

    Parameters
    ----------
    left, right
        The two sides.
    how
        Which rows stay: ``"inner"``, ``"left"``, ``"right"`` or ``"outer"``.
    on
        Key column or columns of both sides. Without it, and without
        ``left_on`` and ``right_on``, all columns that both sides have.
    left_on, right_on
        Key columns where the sides call them differently.
    left_index, right_index, indicator
        As in :func:`pandas.merge`; not supported yet.
    suffixes
        What is added to the names of columns, other than keys, that both sides have.
    strategy
        ``"sorted"``, ``"broadcast"`` or ``"staged"``; None to let the plan choose.
    partition_size
        Bytes that an output partition may have in memory, as ``"64MiB"`` or an
        int. By default an eighth of what one task may use.
    memory
        Bytes that one worker may use. By default the smallest connected
        worker's limit; without a client, what the machine leaves.
    staging
        A directory that all workers reach, for the strategy ``"staged"``.
    max_output
        Refuse the merge when its result is predicted to be larger in memory
        than this many bytes.
    validate
        ``"one_to_one"``, ``"one_to_many"``, ``"many_to_one"`` or
        ``"many_to_many"``, or ``"1:1"`` and so on; checked from the key
        statistics.
    statistics
        The two sides' key statistics, when they were gathered before.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Its rows are those of :func:`pandas.merge`, in another order; its
        index counts from zero in each partition; a key may fill several partitions.

    Raises
    ------
    KeyNotFoundError
        When a key column is not there.
    SchemaMismatchError
        When the keys' types cannot be compared.
    OutputTooLargeError
        When the result is predicted to be larger than ``max_output``.
    ValidationError
        When ``validate`` does not hold, or arguments contradict each other.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        When the collection is computed and its plan does not fit the workers.

    Warns
    -----
    OutputExplosionWarning
        When the merge multiplies its input.

    Notes
    -----
    **Eager.** The key columns of both sides are read once, when this function
    is called, to count rows per key.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging one input partition (three times its
    bytes and 40 B per row) and making one output partition (three
    times its bytes, 32 B per row, and twice its shard's input). The plan has
    the figures: ``safeframe.explain(result)``.

    **Disk.** With the strategy ``"staged"`` both sides are written once to the
    staging directory, less columns that nothing uses.

    **Passes.** One over the key columns, one over each side; a shard with
    several output partitions is read once for each of them.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> orders = dd.from_pandas(pd.DataFrame({"item": [1, 2, 2], "count": [5, 6, 7]}), npartitions=2)
    >>> prices = dd.from_pandas(pd.DataFrame({"item": [1, 2], "price": [0.5, 2.0]}), npartitions=1)
    >>> safeframe.merge(orders, prices, on="item").compute().sort_values("count", ignore_index=True)
       item  count  price
    0     1      5    0.5
    1     2      6    2.0
    2     2      7    2.0
    """
    request = _request(
        left, right, how, on, left_on, right_on, left_index, right_index, suffixes, indicator,
        strategy=strategy, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, statistics=statistics,
    )  # fmt: skip
    plan = request.plan
    assert plan.merge is not None
    if max_output is not None:
        _refuse_larger(plan.merge, parse_nbytes(max_output, argument="max_output"))
    _warn_of_explosion(plan.merge)
    if plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    left_keys, right_keys = (side.partitions for side in request.statistics)
    expression = SafeMerge(
        request.left,
        request.right,
        how=how,
        left_on=list(request.left_on),
        right_on=list(request.right_on),
        suffixes=tuple(suffixes),
        plan=plan,
        schema=request.schema,
        left_keys=left_keys,
        right_keys=right_keys,
    )
    return cast("dd.DataFrame", new_collection(expression))


def plan_merge(
    left: dd.DataFrame,
    right: dd.DataFrame,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    indicator: bool | str = False,
    *,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
) -> Plan:
    """Say how :func:`merge` would run, and what it would cost, without running it.

    Takes the arguments of :func:`merge`. It never raises because something is
    too big: ``plan.fits`` says so and ``plan.validate()`` raises.

    Returns
    -------
    Plan
        Strategy and why, each other strategy and why not, rows, bytes, peak
        per worker, staging bytes.

    Notes
    -----
    **Eager.** The key columns of both sides are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2]}), npartitions=1)
    >>> right = dd.from_pandas(pd.DataFrame({"k": [1, 1, 3]}), npartitions=1)
    >>> int(safeframe.plan_merge(left, right, on="k", how="outer").output_rows)
    6
    """
    del max_output
    return _request(
        left, right, how, on, left_on, right_on, left_index, right_index, suffixes, indicator,
        strategy=strategy, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, statistics=statistics,
    ).plan  # fmt: skip


def explain(collection: Any) -> Plan:
    """Give the plan of a collection that a recipe made.

    Parameters
    ----------
    collection
        A dask dataframe that comes from a recipe, directly or through further steps.

    Returns
    -------
    Plan
        Of the last recipe among its steps.

    Raises
    ------
    ValidationError
        When no recipe made it.
    """
    for merge_expression in getattr(collection, "expr", collection).find_operations(SafeMerge):
        return cast("Plan", merge_expression.plan)
    msg = "This collection has no step that a safeframe recipe made."
    raise ValidationError(msg, hint="Ask for the plan of the result of safeframe.merge, before it is persisted.")


def _request(
    left: dd.DataFrame,
    right: dd.DataFrame,
    how: How,
    on: Any,
    left_on: Any,
    right_on: Any,
    left_index: bool,
    right_index: bool,
    suffixes: tuple[str | None, str | None],
    indicator: bool | str,
    *,
    strategy: str | None,
    partition_size: str | int | None,
    memory: str | int | None,
    staging: str | None,
    validate: str | None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None,
) -> _Request:
    if how not in _HOWS:
        msg = f"how={how!r} is not supported by safeframe.merge."
        raise UnsupportedError(msg, hint=f"Use one of {', '.join(map(repr, _HOWS))}.")
    if left_index or right_index:
        msg = "safeframe.merge joins on columns, not on the index."
        raise UnsupportedError(msg, hint="Make the index a column first: ddf.reset_index().")
    if indicator:
        msg = f"indicator={indicator!r} is not supported by safeframe.merge."
        raise UnsupportedError(msg, hint="Add a constant column to each side and look where it is null.")
    left, right = check_frame(left, "left"), check_frame(right, "right")
    left_keys, right_keys = merge_keys(left, right, on, left_on, right_on)
    partition_nbytes = None if partition_size is None else parse_nbytes(partition_size, argument="partition_size")
    memory_nbytes = None if memory is None else parse_nbytes(memory, argument="memory")

    schema = common_schema(
        [left._meta[name] for name in left_keys],
        [right._meta[name] for name in right_keys],
        left_names=left_keys,
        right_names=right_keys,
    )
    if statistics is None:
        left_stats, right_stats = gather_key_statistics([(left, left_keys), (right, right_keys)], schema)
    else:
        left_stats, right_stats = _given(statistics, schema, left_keys, right_keys)
    left_profile = profile_frame(left, left_stats.partitions.rows)
    right_profile = profile_frame(right, right_stats.partitions.rows)
    estimate = estimate_join(
        left_stats,
        right_stats,
        how,
        row_nbytes=_result_row_nbytes(left, right, left_keys, right_keys, left_profile, right_profile),
        on=left_keys,
    )
    # Column names and suffixes are checked now rather than when the graph is made.
    try:
        join_spec(
            left._meta, right._meta, how=how, left_on=left_keys, right_on=right_keys, suffixes=suffixes,
            schema=schema, left_missing=False, right_missing=False,
        )  # fmt: skip
    except ValueError as error:
        raise ValidationError(str(error), hint="Choose other suffixes=, or rename columns first.") from error
    plan = make_plan(
        MergeFacts(
            how=how,
            left=SideFacts(keys=left_stats, profile=left_profile),
            right=SideFacts(keys=right_stats, profile=right_profile),
            estimate=estimate,
            budget=measure_budget(memory_nbytes),
            staging=staging_facts(staging),
            partition_nbytes=partition_nbytes,
            strategy=strategy,
        )
    )
    if validate is not None:
        _validate(validate, left_stats, right_stats)
    return _Request(
        left=left,
        right=right,
        left_on=left_keys,
        right_on=right_keys,
        schema=schema,
        statistics=(left_stats, right_stats),
        plan=plan,
    )


def _given(
    statistics: tuple[KeyStatistics, KeyStatistics],
    schema: KeySchema,
    left_on: tuple[Any, ...],
    right_on: tuple[Any, ...],
) -> tuple[KeyStatistics, KeyStatistics]:
    hint = "Gather them with safeframe.key_statistics(left, on) and (right, on), or leave statistics= out."
    if not isinstance(statistics, tuple) or len(statistics) != 2:
        msg = "statistics= takes a pair: the key statistics of the left side and of the right side."
        raise ValidationError(msg, hint=hint)
    for name, given, on in zip(("left", "right"), statistics, (left_on, right_on), strict=True):
        if given.on != on:
            msg = f"The {name} statistics are of {list(given.on)!r}, and the merge is on {list(on)!r}."
            raise ValidationError(msg, hint=hint)
        if given.schema != schema:
            msg = f"The {name} statistics were gathered for keys of another type than this merge compares."
            raise ValidationError(msg, hint="Leave statistics= out, or cast both keys to one type first.")
    return statistics


def _result_row_nbytes(
    left: dd.DataFrame,
    right: dd.DataFrame,
    left_on: tuple[Any, ...],
    right_on: tuple[Any, ...],
    left_profile: FrameProfile,
    right_profile: FrameProfile,
) -> float:
    """Count the bytes of a result row; narrow types that cannot be missing take eight bytes."""
    shared = {name for name, other in zip(left_on, right_on, strict=True) if name == other}
    widths = list(zip(left._meta.columns, left._meta.dtypes, left_profile.columns, strict=True))
    widths += [
        (name, dtype, column)
        for name, dtype, column in zip(right._meta.columns, right._meta.dtypes, right_profile.columns, strict=True)
        if name not in shared
    ]
    return sum(
        max(column.row_nbytes, np.dtype(missing_dtype(dtype)).itemsize)
        if isinstance(dtype, np.dtype)
        else column.row_nbytes
        for _, dtype, column in widths
    )


def _refuse_larger(estimate: MergeEstimate, max_nbytes: int) -> None:
    nbytes = estimate.nbytes.expected
    if nbytes <= max_nbytes:
        return
    msg = (
        f"The {estimate.how} merge on {_names(estimate.on)} would make {format_count(estimate.rows.expected)} rows, "
        f"{format_nbytes(nbytes)} in memory, and max_output= allows {format_nbytes(max_nbytes)}. "
        f"{_heaviest(estimate)}"
    )
    hint = "Aggregate or deduplicate one side on the key first, merge on more columns, or raise max_output=."
    raise OutputTooLargeError(
        msg, hint=hint, output_rows=estimate.rows.expected, output_nbytes=nbytes, max_output_nbytes=max_nbytes
    )


def _warn_of_explosion(estimate: MergeEstimate) -> None:
    if estimate.fanout < options.EXPLOSION_FACTOR or estimate.rows.expected < options.EXPLOSION_ROWS:
        return
    about = "makes" if estimate.rows.exact else "makes about"
    msg = (
        f"This {estimate.how} merge on {_names(estimate.on)} {about} {format_count(estimate.rows.expected)} rows, "
        f"{format_nbytes(estimate.nbytes.expected)} in memory: {estimate.fanout:,.1f} rows for each of the "
        f"{format_count(max(estimate.left_rows, estimate.right_rows))} rows of its larger side. "
        f"{_heaviest(estimate)}"
        "\n\nHint: if that is not what you want, aggregate or deduplicate one side on the key first, or merge on "
        "more columns; max_output= refuses such a merge."
    )
    warnings.warn(OutputExplosionWarning(msg), stacklevel=3)


def _heaviest(estimate: MergeEstimate) -> str:
    keys = ", ".join(
        f"{key.key!r} ({format_count(key.left_rows)} × {format_count(key.right_rows)} rows)"
        for key in estimate.heaviest[:3]
    )
    return f"The heaviest keys are {keys}." if keys else ""


def _validate(validate: str, left: KeyStatistics, right: KeyStatistics) -> None:
    long = {"1:1": "one_to_one", "1:m": "one_to_many", "m:1": "many_to_one", "m:m": "many_to_many"}
    meaning = long.get(validate, validate)
    if meaning not in long.values():
        msg = f"validate={validate!r} is not a kind of merge."
        raise ValidationError(msg, hint=f"Use one of {', '.join(map(repr, [*long, *long.values()]))}.")
    for name, one, side in (
        ("left", meaning.startswith("one"), left),
        ("right", meaning.endswith("one"), right),
    ):
        most = max(
            int(side.counts.max(initial=0)), int(side.heavy_counts.max(initial=0)), side.null_rows
        )
        if one and most > 1:
            msg = f"validate={validate!r} does not hold: a key of the {name} side has {format_count(most)} rows."
            hint = f"Deduplicate the {name} side on {_names(side.on)}, or leave validate= out."
            raise ValidationError(msg, hint=hint, rows=most)


def _names(on: tuple[Any, ...]) -> str:
    return ", ".join(map(repr, on))

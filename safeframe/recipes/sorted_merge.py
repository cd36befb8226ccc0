"""``safeframe.sorted_merge``: a merge in key order, of sides that are in key order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.choices import check_flags
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How
from safeframe.facts.plan import Plan
from safeframe.kernels.keys.codes import decode_codes
from safeframe.planning.merge.touched_parts import first_disorder
from safeframe.prepare.arguments import Side
from safeframe.prepare.dask_arguments import merge_moves
from safeframe.prepare.merge.keys import KeyArguments
from safeframe.prepare.merge.sizes import JoinSizes
from safeframe.recipes.merge import merged, planned
from safeframe.units import parse_nbytes

__all__ = ["plan_sorted_merge", "sorted_merge"]


def sorted_merge(
    left: Side,
    right: Side,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    *,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
    staging: str | None = None,
    sort: bool = False,
    shuffle_method: str | None = None,
    npartitions: int | str | None = None,
    broadcast: bool | float | None = None,
) -> dd.DataFrame:
    """Merge two dask dataframes whose partitions are in key order, and keep that order.

    Parameters
    ----------
    left, right
        The two sides. The key ranges of a side's partitions follow each other,
        and may share a key where they meet; within a partition rows may be in
        any order, and nulls may stand anywhere. Divisions need not be known.
    how, on, left_on, right_on, left_index, right_index, suffixes
        As for :func:`merge`. The key is one column of numbers, times,
        booleans or strings (in the order of their characters, categories too).
    strategy
        ``"sorted"``, ``"sorted-one-side"`` or ``"staged"``; None to let the plan choose.
    partition_size, memory, max_output, validate, statistics, staging
        As for :func:`merge`; statistics of strings are gathered anew, and cannot be given.
    sort
        Whether a side that is not in key order is brought to it, through the
        staging directory, rather than refused.
    shuffle_method, npartitions, broadcast
        As for :func:`merge`; there is no P2P and no broadcast that keeps the order.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Its rows are those of :func:`pandas.merge`, in the order of their
        keys within and across partitions, null keys last; rows of one key are in
        the order of the left rows, and for each in that of the right ones. All
        rows of a key are in one partition, unless they fill more than one (or
        there are too many keys to count all of them exactly, or they are strings). The index counts
        from zero in each partition.

    Raises
    ------
    ValidationError
        When a side is not in key order and ``sort`` is not set: which one, where,
        and both key ranges.
    RowConservationError
        When it is computed and a side has other rows, or other keys, than when
        this function was called.
    UnsupportedError
        When the key is of a type that is not counted in its order.
    KeyNotFoundError, SchemaMismatchError, OutputTooLargeError, StagingError, MemoryBudgetError
        As for :func:`merge`.

    Warns
    -----
    OutputExplosionWarning
        When the merge multiplies its input.
    RoundedIntegersWarning
        When integers beyond 2**53 become floats, as in pandas, because rows may
        lack a match.

    Notes
    -----
    **Eager.** The key columns of both sides are read once, when this function
    is called, to count rows per key and to see each partition's range; strings
    once before, for some of them by which the others are ordered.

    **Memory.** A worker's peak is what it uses before any data, three times the
    partitions that one output partition touches, and, for each of its threads,
    the larger of checking one partition (three times its bytes and 40 B per
    row) and making one output partition (three times its bytes, 24 B per row,
    and twice its input). The plan has the figures: ``safeframe.explain(result)``.

    **Disk.** None when both sides are in key order and fit; else the side that
    is moved is written once to the staging directory.

    **Order is checked.** Each partition is held to the keys that it had when
    this function was called; partitions that no result row can come from are
    not read.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> hours = pd.DataFrame({"t": [1, 2, 2, 4], "count": [5, 6, 7, 8]})
    >>> days = pd.DataFrame({"t": [1, 2, 3], "price": [0.5, 2.0, 4.0]})
    >>> hours, days = dd.from_pandas(hours, npartitions=2), dd.from_pandas(days, npartitions=1)
    >>> safeframe.sorted_merge(hours, days, on="t", how="left").compute().reset_index(drop=True)
       t  count  price
    0  1      5    0.5
    1  2      6    2.0
    2  2      7    2.0
    3  4      8    NaN
    """
    asked = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes)
    moves = merge_moves(
        "sorted_merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast,
    )  # fmt: skip
    sizes, plan, facts = planned(
        left, right, asked,
        moves=moves, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, max_output=max_output, statistics=statistics, check_order=_order_check(sort=sort),
    )  # fmt: skip
    return merged(sizes, plan, facts, asked)


def plan_sorted_merge(
    left: Side,
    right: Side,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    *,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
    staging: str | None = None,
    sort: bool = False,
    shuffle_method: str | None = None,
    npartitions: int | str | None = None,
    broadcast: bool | float | None = None,
) -> Plan:
    """Return how :func:`sorted_merge` would run, and what it would cost, without running it.

    Takes the arguments of :func:`sorted_merge`. It never raises because something
    is too big: ``plan.fits`` says so and ``plan.validate()`` raises.

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
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2, 5]}), npartitions=2)
    >>> right = dd.from_pandas(pd.DataFrame({"k": [1, 3, 5]}), npartitions=3)
    >>> safeframe.plan_sorted_merge(left, right, on="k").strategy
    'sorted'
    """
    if max_output is not None:
        parse_nbytes(max_output, argument="max_output")
    asked = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes)
    moves = merge_moves(
        "sorted_merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast,
    )  # fmt: skip
    return planned(
        left, right, asked,
        moves=moves, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, max_output=None, statistics=statistics, check_order=_order_check(sort=sort),
    )[1]  # fmt: skip


def _order_check(*, sort: bool) -> Callable[[JoinSizes], None]:
    check_flags(sort=sort)

    def check(sizes: JoinSizes) -> None:
        if not sizes.schema.ordered:
            kinds = ", ".join(column.kind for column in sizes.schema.columns)
            msg = f"sorted_merge on {list(sizes.keys.left.names)!r}: keys of the kind {kinds} are not counted in their order."
            hint = "Use safeframe.merge; it needs no order. safeframe.sort_values brings its result to one."
            raise UnsupportedError(msg, hint=hint)
        if sort:
            return
        for name, side in (("left", sizes.left_facts), ("right", sizes.right_facts)):
            _refuse_disorder(name, side.keys)

    return check


def _refuse_disorder(name: str, keys: KeyStatistics) -> None:
    """Raise when a side's partitions are not in key order, with the first two that are not."""
    parts = keys.partitions
    found = first_disorder(parts)
    if found is None:
        return
    before, after = found
    ends = np.array(
        [parts.first[before], parts.last[before], parts.first[after], parts.last[after]], np.uint64
    )
    values = decode_codes(ends, keys.schema)
    msg = (
        f"The {name} side is not in the order of {keys.on[0]!r} after partition {before}: it holds keys from "
        f"{values[0]!r} to {values[1]!r}, and partition {after} behind it from {values[2]!r} to {values[3]!r}."
    )
    hint = "Have it brought to that order with sort=True, or use safeframe.merge, which needs none."
    raise ValidationError(msg, hint=hint, side=name, partition=before)

"""``safeframe.sorted_merge``: a merge in key order, of sides that are in key order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.choices import check_flags
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import OrderedStrategy
from safeframe.kernels.keys.codes import decode_codes
from safeframe.planning.merge.plan import plan_merge as make_plan
from safeframe.planning.merge.touched_parts import first_disorder
from safeframe.prepare.arguments import Side
from safeframe.prepare.dask_arguments import merge_moves
from safeframe.prepare.merge.facts import merge_facts, merge_request
from safeframe.prepare.merge.keys import KeyArguments
from safeframe.prepare.merge.sizes import JoinSizes
from safeframe.recipes.merge import merged
from safeframe.sizing.planned_cluster import planned_for
from safeframe.units import parse_nbytes


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
    strategy: OrderedStrategy | None = None,
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
        The two sides. The partitions of a side have ascending key ranges;
        neighbours may share one key. Within a partition, rows may be in any
        order and nulls anywhere. Divisions need not be known.
    how, on, left_on, right_on, left_index, right_index, suffixes
        As in :func:`merge`. The key is one column of numbers, times, booleans
        or strings (in lexicographic order, also for categories).
    strategy
        ``"sorted"``, ``"sorted-one-side"`` or ``"staged"``. By default, the plan chooses.
    partition_size, memory, max_output, validate, statistics, staging
        As in :func:`merge`; ``statistics`` cannot be used for string keys, which
        are always counted again.
    sort
        Whether to sort a side that is not in key order, through the staging
        directory, instead of refusing it.
    shuffle_method, npartitions, broadcast
        As in :func:`merge`; P2P and broadcast do not keep the order and are refused.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. The rows are those of :func:`pandas.merge`, sorted by key within
        and across partitions, null keys last; rows of one key are in the order
        of the left rows, then of the right rows. All rows of a key are in one
        partition, unless they exceed it, there are too many keys to count each
        exactly, or keys are strings. The index counts from zero in each
        partition.

    Raises
    ------
    ValidationError
        When a side is not in key order and ``sort`` is False; the message names
        the side, the partition and both key ranges.
    RowConservationError
        At compute time, when the rows or keys of a side have changed since this
        function was called.
    UnsupportedError
        When the statistics of the key's type do not have its order.
    KeyNotFoundError, SchemaMismatchError, OutputTooLargeError, StagingError, MemoryBudgetError
        As in :func:`merge`.

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
    is called, to count the rows of each key and find each partition's range;
    strings are read twice, the first time to sample the bounds of ranges.

    **Memory.** A worker's peak is what it uses before any data, three times the
    partitions that one output partition touches, and, for each of its threads,
    the larger of checking one partition (three times its bytes and 40 B per
    row) and making one output partition (three times its bytes, 24 B per row,
    and twice its input). ``safeframe.explain(result)`` has the figures.

    **Disk.** None when both sides are in key order and fit; otherwise the side
    that moves is written once to the staging directory.

    **Order is checked.** At compute time, the keys of each partition are
    compared with those that it had when this function was called. Partitions
    that contribute no rows are not read.

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
    names = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes)
    moves = merge_moves(
        "sorted_merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast,
    )  # fmt: skip
    request = merge_request(
        "sorted_merge", names, moves,
        partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, max_output=max_output, statistics=statistics, check_order=_order_check(sort=sort),
    )  # fmt: skip
    return merged(*merge_facts(left, right, request))


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
    strategy: OrderedStrategy | None = None,
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
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`sorted_merge`: how it would run and what it would cost.

    Takes the arguments of :func:`sorted_merge`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False, and ``plan.validate()`` raises. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, the other strategies and why they were
        rejected, rows, bytes, peak per worker, staged bytes.

    Notes
    -----
    **Eager.** As :func:`sorted_merge`: the key columns of both sides are read.

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
    names = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes)
    moves = merge_moves(
        "sorted_merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast,
    )  # fmt: skip
    with planned_for(cluster):
        request = merge_request(
            "sorted_merge", names, moves,
            partition_size=partition_size, memory=memory, staging=staging,
            validate=validate, max_output=None, statistics=statistics, check_order=_order_check(sort=sort),
        )  # fmt: skip
        return make_plan(merge_facts(left, right, request)[1])


def _order_check(*, sort: bool) -> Callable[[JoinSizes], None]:
    check_flags(sort=sort)

    def check(sizes: JoinSizes) -> None:
        terms = sizes.sides.terms
        if not terms.schema.ordered:
            kinds = ", ".join(column.kind for column in terms.schema.columns)
            msg = f"sorted_merge on {list(terms.keys.left.names)!r}: statistics of {kinds} keys do not have their order."
            hint = "Use safeframe.merge, which needs no order, and safeframe.sort_values on its result."
            raise UnsupportedError(msg, hint=hint)
        if sort:
            return
        for name, side in (("left", sizes.left), ("right", sizes.right)):
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
        f"{values[0]!r} to {values[1]!r}, and the following partition {after} from {values[2]!r} to {values[3]!r}."
    )
    hint = "Sort it with sort=True, or use safeframe.merge, which needs no order."
    raise ValidationError(msg, hint=hint, side=name, partition=before)

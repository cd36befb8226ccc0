"""``safeframe.merge``: dask's merge, with its size and memory known before it runs."""

from __future__ import annotations

from typing import Any, cast

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.merge.nodes import SafeMerge
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How, MergeFacts, MergeRun, P2PMerge
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import MergeStrategy
from safeframe.planning.merge.plan import plan_merge as make_plan
from safeframe.prepare.arguments import Side
from safeframe.prepare.dask_arguments import merge_moves
from safeframe.prepare.merge.facts import merge_facts, merge_request
from safeframe.prepare.merge.keys import KeyArguments
from safeframe.prepare.merge.result import refuse_partitions, result_divisions, warn_of_explosion
from safeframe.prepare.merge.rounded_integers import warn_of_rounding
from safeframe.prepare.merge.sizes import JoinSizes
from safeframe.sizing.planned_cluster import planned_for
from safeframe.units import parse_nbytes


def merge(
    left: Side,
    right: Side,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    indicator: bool | str = False,
    *,
    strategy: MergeStrategy | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
    shuffle_method: str | None = None,
    npartitions: int | str | None = None,
    broadcast: bool | float | None = None,
    sort: bool = False,
    copy: bool | None = None,
) -> dd.DataFrame:
    """Merge two dask dataframes on columns or indexes, with output partitions of bounded size.

    Parameters
    ----------
    left, right
        The two sides: dask or pandas dataframes, or named series.
    how
        Which rows to keep: ``"inner"``, ``"left"``, ``"right"`` or ``"outer"``
        as in pandas; ``"leftsemi"`` for the left rows that have a match, each
        once, and ``"leftanti"`` for those that have none, both with the left
        columns only; ``"cross"`` for the Cartesian product, without keys.
    on
        Key or keys of both sides: columns, or the name of the index. Without
        ``on`` and the four arguments that follow, all columns that both sides
        have.
    left_on, right_on
        Key columns whose names differ; same forms as ``on``.
    left_index, right_index
        Whether to use the index of that side as its key.
    suffixes
        Suffixes for columns that both sides have, other than common keys; None
        for no suffix.
    indicator
        Whether to add a categorical column ``_merge`` that says where a row
        was found: ``"left_only"``, ``"right_only"`` or ``"both"``. A string
        is the column's name.
    strategy
        ``"sorted"``, ``"broadcast"``, ``"sorted-one-side"``, ``"staged"`` or ``"p2p"``.
        By default, the plan chooses.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in bytes. By default the
        configured ``safeframe.partition-size``, or a size that leaves room for the steps that follow.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default the smallest
        limit of the connected workers; without a client, the memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    max_output
        Refuse the merge when its result is predicted to be larger in memory
        than this size, as ``"10GiB"`` or in bytes.
    validate
        ``"one_to_one"``, ``"one_to_many"``, ``"many_to_one"`` or
        ``"many_to_many"``, or ``"1:1"`` and so on; checked from the key
        statistics.
    statistics
        Key statistics of the two sides, if they were gathered before.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    npartitions
        Approximate number of output partitions, of the same size in bytes as far as keys
        that fit one partition stay together. ``"auto"`` leaves it to the plan.
    broadcast
        As in dask: True is ``strategy="broadcast"``, False excludes it; a
        number (dask's bias) leaves the choice to the plan.
    sort, copy
        As in pandas: ``sort=True`` is refused, because :func:`sorted_merge`
        sorts by key; ``copy`` has no effect, because a result is never a view.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. The rows are those of :func:`pandas.merge`, in a different order;
        a key may span several partitions. When both keys are indexes, the
        result's index is the key; when one is, it is the index of the other
        side, as in pandas; a semi or anti join on an index keeps the left
        index. Otherwise the index counts from zero in each partition. Divisions
        are known when the index is a key of integers or times without nulls and
        no key spans partitions.

    Raises
    ------
    KeyNotFoundError
        When a key is neither a column nor the name of the index.
    SchemaMismatchError
        When the keys' types cannot be compared; at compute time, when a key
        column would have to round an integer to a float.
    OutputTooLargeError
        When the result may be larger than ``max_output``, or would have more
        partitions than a dask graph can hold.
    UnsupportedError
        For arrays as keys, a MultiIndex, and other values of ``how``.
    ValidationError
        When ``validate`` does not hold, arguments contradict each other, or
        column names of the result clash.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.
    RowConservationError
        At compute time, when the data have changed since the plan was made.

    Warns
    -----
    OutputExplosionWarning
        When the merge multiplies its input.
    RoundedIntegersWarning
        When integers beyond 2**53 become floats, as in pandas, because rows may
        lack a match.

    Notes
    -----
    **Eager.** The keys of both sides are read once, when this function is
    called, to count the rows of each key. The exception is a left or right merge
    of parquet files whose smaller side has each key once: only that side's keys
    are read, and the other's only if they decide the type of integers. When rows
    may lack a match, the range of 64-bit integers is determined from parquet
    footers, from partitions in memory, or else from three partitions.

    **Integers** stay integers when every row has a match, and become floats as
    in pandas otherwise. When keys were sampled (``key-capacity``), it is not
    known before the run whether rows lack a match, and integers become floats;
    those beyond 2**53 are checked first, for keys that are whole numbers or times
    within a narrow range.

    **Keys.** Integers of all widths are compared as integers; integers with
    floats as numbers, never through a rounding cast; strings independently of
    their storage; categories by value; times in the finer unit and across time
    zones. A null matches a null, as in pandas. ``uint64`` cannot be compared with
    signed integers or floats, nor numpy's times with Arrow's: cast one of them.

    **Aggregations** of the result that need none of its rows (sums, counts, means,
    minima and maxima) have the values and types of pandas. Sums of 64-bit integers
    wrap as in pandas; counts beyond 64 bits raise :class:`safeframe.OutputTooLargeError`.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging one input partition (three times its
    bytes and 40 B per row) and making one output partition (three times its
    bytes, 24 B per row, and twice its shard's input). ``safeframe.explain(result)``
    has the figures.

    When the smaller side is a memory-mapped table (``plan.run.table``), the table
    counts towards the memory of each worker, next to three times an output
    partition.

    **Disk.** The strategy ``"staged"`` writes both sides once to the staging
    directory, ``"sorted-one-side"`` one of them, without columns that nothing
    uses; ``"p2p"`` writes to the workers' local directories; a memory-mapped table
    takes its side and the table.

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

    The orders of items without a price:

    >>> more = dd.from_pandas(pd.DataFrame({"item": [1, 9], "count": [5, 6]}), npartitions=1)
    >>> safeframe.merge(more, prices, how="leftanti", on="item").compute()
       item  count
    0     9      6
    """
    names = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes, indicator)
    moves = merge_moves(
        "merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast, sort=sort, copy=copy,
    )  # fmt: skip
    request = merge_request(
        "merge", names, moves,
        partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, max_output=max_output, statistics=statistics,
    )  # fmt: skip
    return merged(*merge_facts(left, right, request))


def merged(sizes: JoinSizes, facts: MergeFacts) -> dd.DataFrame:
    """Plan a merge and make its collection, for a recipe that the user called."""
    plan, terms = make_plan(facts), sizes.sides.terms
    assert isinstance(plan.run, MergeRun), "it is the plan of a merge"
    refuse_partitions(plan)
    warn_of_explosion(facts.estimate, stacklevel=3)
    if plan.staging_directory is not None and not isinstance(plan.run.way, P2PMerge):
        check_staging(plan.staging_directory)
    expression = SafeMerge(
        sizes.sides.left,
        sizes.sides.right,
        how=terms.how,
        left_on=list(terms.keys.left.kept),
        right_on=list(terms.keys.right.kept),
        suffixes=terms.suffixes,
        indicator=terms.indicator,
        plan=plan,
        terms=terms,
        given_divisions=result_divisions(sizes, plan.run.way),
        facts=facts,
    )
    warn_of_rounding(expression._spec, sizes.sides, stacklevel=3)
    return cast("dd.DataFrame", new_collection(expression))


def plan_merge(
    left: Side,
    right: Side,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    indicator: bool | str = False,
    *,
    strategy: MergeStrategy | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
    shuffle_method: str | None = None,
    npartitions: int | str | None = None,
    broadcast: bool | float | None = None,
    sort: bool = False,
    copy: bool | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`merge`: how it would run and what it would cost.

    Takes the arguments of :func:`merge`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False, and ``plan.validate()`` raises. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, the other strategies and why they were
        rejected, rows, bytes, peak per worker, staged bytes.

    Notes
    -----
    **Eager.** As :func:`merge`: the keys of both sides are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2]}), npartitions=1)
    >>> right = dd.from_pandas(pd.DataFrame({"k": [1, 1, 3]}), npartitions=1)
    >>> int(safeframe.plan_merge(left, right, on="k", how="outer").output_rows)
    6
    """
    if max_output is not None:
        parse_nbytes(max_output, argument="max_output")
    names = KeyArguments(how, on, left_on, right_on, left_index, right_index, suffixes, indicator)
    moves = merge_moves(
        "merge", strategy=strategy, partition_size=partition_size, shuffle_method=shuffle_method,
        npartitions=npartitions, broadcast=broadcast, sort=sort, copy=copy,
    )  # fmt: skip
    with planned_for(cluster):
        request = merge_request(
            "merge", names, moves,
            partition_size=partition_size, memory=memory, staging=staging,
            validate=validate, max_output=None, statistics=statistics,
        )  # fmt: skip
        return make_plan(merge_facts(left, right, request)[1])

"""``safeframe.merge``: dask's merge, with its numbers known before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import dask.dataframe as dd

from safeframe import config
from safeframe.engine._dask import new_collection
from safeframe.engine.merge_nodes import SafeMerge
from safeframe.engine.runs import check_staging
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How
from safeframe.facts.merge_facts import MergeFacts
from safeframe.facts.plan import Plan
from safeframe.kernels.join_spec import join_spec
from safeframe.planning.merge import plan_merge as make_plan
from safeframe.recipes.join_sizes import JoinSizes, size_join
from safeframe.recipes.merge_checks import check_validate, refuse_larger, warn_of_explosion
from safeframe.recipes.merge_p2p import look_at_p2p
from safeframe.sizing.cluster import measure_budget, staging_facts
from safeframe.units import parse_nbytes

__all__ = ["merge", "merged", "plan_merge", "planned"]


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
        ``"sorted"``, ``"broadcast"``, ``"sorted-one-side"``, ``"staged"`` or ``"p2p"``;
        None to let the plan choose.
    partition_size
        Bytes that an output partition may have in memory, as ``"64MiB"`` or an
        int. By default the configured ``safeframe.partition-size``, or else a
        sixth of what one task may use.
    memory
        Bytes that one worker may use. By default the smallest connected
        worker's limit; without a client, what the machine leaves.
    staging
        A directory that all workers reach, for the strategies that stage rows.
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
    times its bytes, 24 B per row, and twice its shard's input). The plan has
    the figures: ``safeframe.explain(result)``.

    **Disk.** With the strategy ``"staged"`` both sides are written once to the
    staging directory, with ``"sorted-one-side"`` one of them, less columns that
    nothing uses; with ``"p2p"``, to the workers' local directories.

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
    sizes, plan = planned(
        left, right, how, on, left_on, right_on, left_index, right_index, suffixes, indicator,
        strategy=strategy, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, statistics=statistics,
    )  # fmt: skip
    return merged(sizes, plan, how, suffixes, max_output)


def merged(
    sizes: JoinSizes,
    plan: Plan,
    how: How,
    suffixes: tuple[str | None, str | None],
    max_output: str | int | None,
) -> dd.DataFrame:
    """Make the collection of a planned merge, for a recipe that the user called."""
    if max_output is not None:
        refuse_larger(sizes.estimate, parse_nbytes(max_output, argument="max_output"))
    warn_of_explosion(sizes.estimate, stacklevel=3)
    if plan.strategy != "p2p" and plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    expression = SafeMerge(
        sizes.left,
        sizes.right,
        how=how,
        left_on=list(sizes.left_on),
        right_on=list(sizes.right_on),
        suffixes=tuple(suffixes),
        plan=plan,
        schema=sizes.schema,
        left_keys=sizes.left_facts.keys.partitions,
        right_keys=sizes.right_facts.keys.partitions,
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
    return planned(
        left, right, how, on, left_on, right_on, left_index, right_index, suffixes, indicator,
        strategy=strategy, partition_size=partition_size, memory=memory, staging=staging,
        validate=validate, statistics=statistics,
    )[1]  # fmt: skip


def planned(
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
    check_order: Callable[[JoinSizes], None] | None = None,
) -> tuple[JoinSizes, Plan]:
    """Size and plan a merge; with ``check_order``, one whose result is in key order."""
    if left_index or right_index:
        msg = "safeframe.merge joins on columns, not on the index."
        raise UnsupportedError(msg, hint="Make the index a column first: ddf.reset_index().")
    if indicator:
        msg = f"indicator={indicator!r} is not supported by safeframe.merge."
        raise UnsupportedError(msg, hint="Add a constant column to each side and look where it is null.")
    if partition_size is None:
        partition_size = config.get("partition-size")
    partition_nbytes = (
        None if partition_size is None else parse_nbytes(partition_size, argument="partition_size")
    )
    memory_nbytes = None if memory is None else parse_nbytes(memory, argument="memory")
    # First of all: a worker's allocators are set up before its first task.
    budget = measure_budget(memory_nbytes)
    in_order = check_order is not None
    sizes = size_join(
        left, right, how, on, left_on, right_on, statistics,
        recipe="sorted_merge" if in_order else "merge", in_order=in_order,
    )  # fmt: skip
    _check_names(sizes, how, suffixes)
    if check_order is not None:
        check_order(sizes)
    if validate is not None:
        check_validate(validate, sizes.left_facts.keys, sizes.right_facts.keys)
    where = staging_facts(staging)
    p2p, p2p_refused = look_at_p2p(sizes, budget, strategy, where) if check_order is None else (None, "")
    plan = make_plan(
        MergeFacts(
            how=how,
            left=sizes.left_facts,
            right=sizes.right_facts,
            estimate=sizes.estimate,
            budget=budget,
            staging=where,
            partition_nbytes=partition_nbytes,
            strategy=strategy,
            ordered=in_order,
            p2p=p2p,
            p2p_refused=p2p_refused,
        )
    )
    return sizes, plan


def _check_names(sizes: JoinSizes, how: How, suffixes: tuple[str | None, str | None]) -> None:
    """Raise now, rather than when the graph is made, where the result's names clash."""
    try:
        join_spec(
            sizes.left._meta,
            sizes.right._meta,
            how=how,
            left_on=sizes.left_on,
            right_on=sizes.right_on,
            suffixes=suffixes,
            schema=sizes.schema,
            left_missing=False,
            right_missing=False,
        )
    except ValueError as error:
        raise ValidationError(str(error), hint="Choose other suffixes=, or rename columns first.") from error

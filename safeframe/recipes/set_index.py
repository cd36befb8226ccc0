"""``safeframe.set_index``: a sorted index with known divisions, on small workers."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.errors import UnsupportedError
from safeframe.facts.plan import Plan
from safeframe.recipes.frames import check_frame
from safeframe.recipes.sorting import PlannedSort, SortOptions, make_collection, plan_order, row_order

__all__ = ["plan_set_index", "set_index"]


def set_index(
    ddf: dd.DataFrame,
    column: Any,
    *,
    drop: bool = True,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: str | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
) -> dd.DataFrame:
    """Order a dask dataframe by a column and make that its index, with known divisions.

    Parameters
    ----------
    ddf
        The frame.
    column
        The column that becomes the index. The present index is dropped.
    drop
        Whether the column goes from the columns.
    npartitions
        Partitions of the result; fewer when there are not as many keys.
    partition_size
        Bytes that an output partition may have in memory, as ``"64MiB"`` or an
        int. All rows of a key are in one partition, so that a key with more
        rows makes a larger one; the plan says so. By default the
        configured ``safeframe.partition-size``, or else what leaves room for the
        steps that follow.
    strategy
        ``"sorted"``, ``"staged"`` or ``"p2p"``; None to let the plan choose.
    memory
        Bytes that one worker may use. By default the smallest connected
        worker's limit; without a client, what the machine leaves.
    staging
        A directory, or URL of an object store, that all workers reach.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Rows in the order of the index, those of equal keys in the order
        of the input; null keys in partitions of their own, at the end.

    Raises
    ------
    KeyNotFoundError
        When there is no such column.
    UnsupportedError
        When several columns are named, or the values have no order.
    ValidationError
        When arguments contradict each other.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        When the collection is computed and its plan does not fit the workers.

    Notes
    -----
    **Eager.** The column is read once, when this function is called, and
    evenly spaced keys of each partition are kept.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging a group of input partitions (three
    times one of them, and once the group where it is numbers and times, three
    times otherwise, with 24 B per row) and ordering an output
    partition (five times its bytes and 40 B per row). The plan has the figures:
    ``safeframe.explain(result)``.

    **Disk.** With the strategy ``"staged"`` all rows are written once to the
    staging directory, less columns that nothing uses, integers narrowed.

    **Passes.** One over the column, one over the frame. A frame whose
    partitions are in order already is not moved.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1], "v": [0, 1, 2, 3]}), npartitions=2)
    >>> indexed = safeframe.set_index(frame, "k", npartitions=2)
    >>> indexed.divisions, indexed.compute()["v"].tolist()
    ((1, 2, 3), [1, 3, 2, 0])
    """
    return make_collection(
        _planned(ddf, column, drop, SortOptions(
            npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory, staging=staging,
        ))
    )  # fmt: skip


def plan_set_index(
    ddf: dd.DataFrame,
    column: Any,
    *,
    drop: bool = True,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: str | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
) -> Plan:
    """Say what :func:`safeframe.set_index` would do, with the same arguments.

    Returns
    -------
    Plan
        Strategy, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.set_index`: the column is read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1]}), npartitions=2)
    >>> safeframe.plan_set_index(frame, "k", npartitions=2).output_partitions
    2
    """
    return _planned(ddf, column, drop, SortOptions(
        npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory, staging=staging,
    )).plan  # fmt: skip


def _planned(ddf: Any, column: Any, drop: bool, given: SortOptions) -> PlannedSort:
    frame = check_frame(ddf, "ddf")
    if isinstance(column, (list, tuple)) and len(column) == 1 and column not in list(frame.columns):
        column = column[0]
    if isinstance(column, (list, dd.Series)) or (
        isinstance(column, tuple) and column not in list(frame.columns)
    ):
        msg = f"An index of {column if isinstance(column, (list, tuple)) else type(column).__name__} is not supported."
        raise UnsupportedError(
            msg, hint="Name one column; a series can be made one with ddf.assign(name=series)."
        )
    order = row_order(frame, [column], ascending=[True], na_last=True)
    return plan_order(frame, order, given, recipe="set_index", index=column, drop=drop, with_index=False)

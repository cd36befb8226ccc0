"""``safeframe.nunique``: how many distinct values columns have, exactly, on small workers."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DistinctStrategy
from safeframe.prepare.distinct.arguments import check_axis, check_dask_arguments, moves
from safeframe.prepare.distinct.counts import plan_columns
from safeframe.sizing.planned_cluster import planned_for

_RECIPE = "nunique"


def nunique(
    ddf: dd.DataFrame | dd.Series,
    /,
    columns: Any = None,
    *,
    dropna: bool = True,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    axis: Any = 0,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
) -> Any:
    """Count the distinct values of each column.

    Parameters
    ----------
    ddf
        The dask dataframe, or a dask series.
    columns
        Column, or a list of them; all columns by default.
    dropna
        Whether nulls are left out; otherwise they count as one value.
    strategy, memory, staging, split_every, split_out
        As for :func:`safeframe.drop_duplicates`.
    axis
        ``0`` or ``"index"``; ``1`` is refused with an error.

    Returns
    -------
    dask.dataframe.Series or scalar
        Lazy. Of a frame an integer for each column, of a series one integer.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError, UnsupportedError, StagingError
        As :func:`safeframe.drop_duplicates` raises them.
    MemoryBudgetError, RowConservationError
        At compute time, as with :func:`safeframe.drop_duplicates`.

    Notes
    -----
    **Eager.** Each column is read once, when this function is called. Where it has no more than
    ``safeframe.key-capacity`` distinct numbers or times, that is the answer, and nothing runs after it.

    **Exact.** Values are compared, and never hashes alone: strings are counted once more even where there are few.

    **Memory.** As for :func:`safeframe.drop_duplicates`, without the frame: a partition's values, or those of a
    shard, each once.

    **Disk.** ``"staged"`` writes each value of a column once for each slice of some MiB that has it.

    **Passes.** One over each column for the plan, and one more where that does not answer.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, None], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> safeframe.nunique(frame).compute().to_dict()
    {'k': 2, 'v': 4}
    >>> int(safeframe.nunique(frame["k"], dropna=False).compute())
    3
    """
    check_dask_arguments(_RECIPE, split_every=split_every, split_out=split_out)
    check_axis(_RECIPE, axis)
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging)
    return plan_columns(ddf, columns, dropna=dropna, given=given).collection()


def plan_nunique(
    ddf: dd.DataFrame | dd.Series,
    /,
    columns: Any = None,
    *,
    dropna: bool = True,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    axis: Any = 0,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.nunique`, without moving rows.

    Takes the arguments of :func:`safeframe.nunique`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, distinct values of each column, and the memory and disk that it needs.

    Notes
    -----
    **Eager.** As :func:`safeframe.nunique`: each column is read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 3]}), npartitions=2)
    >>> safeframe.plan_nunique(frame, "k").strategy
    'known'
    """
    check_dask_arguments(_RECIPE, split_every=split_every, split_out=split_out)
    check_axis(_RECIPE, axis)
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging)
    with planned_for(cluster):
        return plan_columns(ddf, columns, dropna=dropna, given=given).plan

"""``safeframe.unique``: the distinct values of a column, in the order in which they come, on small workers."""

from __future__ import annotations

from typing import Any, cast

import dask.dataframe as dd

from safeframe.errors import ValidationError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DistinctStrategy
from safeframe.prepare.arguments import as_names, check_frame, check_keys
from safeframe.prepare.distinct.arguments import check_dask_arguments, moves
from safeframe.prepare.distinct.counts import as_column
from safeframe.prepare.distinct.plan import DistinctRequest, plan_rows
from safeframe.sizing.planned_cluster import planned_for

_RECIPE = "unique"


def unique(
    ddf: dd.DataFrame | dd.Series,
    /,
    column: Any = None,
    *,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
    shuffle_method: str | None = None,
) -> dd.Series:
    """Return the distinct values of a column, in the order in which they come first.

    Parameters
    ----------
    ddf
        The dask dataframe, or a dask series.
    column
        The column; to be left out for a series.
    strategy, memory, staging, statistics, split_every, split_out, shuffle_method
        As for :func:`safeframe.drop_duplicates`.

    Returns
    -------
    dask.dataframe.Series
        Lazy. Each value once, a null among them where there is one; its index counts the values, through all
        partitions, of which there are as many as ``ddf`` has.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError, UnsupportedError, StagingError
        As :func:`safeframe.drop_duplicates` raises them.
    MemoryBudgetError, RowConservationError
        At compute time, as with :func:`safeframe.drop_duplicates`.

    Notes
    -----
    **Eager.** The column is read once, when this function is called.

    **Memory**, **disk** and **passes** are those of :func:`safeframe.drop_duplicates` on a frame of one column.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [7, 2, 7, 3]}), npartitions=2)
    >>> safeframe.unique(frame, "k").compute().tolist()
    [7, 2, 3]
    """
    check_dask_arguments(_RECIPE, split_every=split_every, split_out=split_out)
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging, shuffle_method=shuffle_method)
    frame = _column_of(ddf, column)
    found = plan_rows(frame, _request(statistics), given).collection()
    made = found[frame.columns[0]]
    return cast("dd.Series", made.rename(None) if _has_no_name(ddf) else made)


def plan_unique(
    ddf: dd.DataFrame | dd.Series,
    /,
    column: Any = None,
    *,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
    shuffle_method: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.unique`, without moving rows.

    Takes the arguments of :func:`safeframe.unique`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, distinct values, and the memory and disk that it needs.

    Notes
    -----
    **Eager.** As :func:`safeframe.unique`: the column is read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [7, 2, 7, 3]}), npartitions=2)
    >>> int(safeframe.plan_unique(frame, "k").output_rows)
    3
    """
    check_dask_arguments(_RECIPE, split_every=split_every, split_out=split_out)
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging, shuffle_method=shuffle_method)
    with planned_for(cluster):
        return plan_rows(_column_of(ddf, column), _request(statistics), given).plan


def _request(statistics: KeyStatistics | None) -> DistinctRequest:
    return DistinctRequest(
        recipe=_RECIPE, subset=None, keep="first", wanted="rows", ignore_index=True, statistics=statistics
    )


def _has_no_name(ddf: Any) -> bool:
    return isinstance(ddf, dd.Series) and ddf.name is None


def _column_of(ddf: Any, column: Any) -> dd.DataFrame:
    """Return the frame of one column whose values are wanted."""
    series = as_column(ddf)
    if series is not None:
        if column is not None:
            msg = f"column={column!r} is given, and ddf is a series already."
            raise ValidationError(msg, hint="Leave column= out.")
        return series
    frame = check_frame(ddf, "ddf")
    names = () if column is None else as_names(column)
    if len(names) != 1:
        msg = f"unique is of one column, and {len(names)} are named."
        raise ValidationError(msg, hint="Name one; safeframe.drop_duplicates takes several.")
    check_keys(frame, names)
    return frame[list(names)]

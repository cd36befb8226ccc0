"""Looking before running: rows per key, the size of a join, the size of a frame."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.errors import ValidationError
from safeframe.facts.frame_estimate import FrameEstimate
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How, MergeEstimate
from safeframe.kernels.key_schema import common_schema
from safeframe.recipes.frames import as_names, check_frame, check_keys
from safeframe.recipes.join_sizes import size_join
from safeframe.sizing.frames import count_partition_rows, profile_frame
from safeframe.sizing.keys import gather_key_statistics
from safeframe.sizing.partition_tasks import key_columns

__all__ = ["estimate", "estimate_merge", "key_statistics"]


def key_statistics(ddf: dd.DataFrame, on: Any) -> KeyStatistics:
    """Count the rows of each key of a frame.

    Parameters
    ----------
    ddf
        The frame.
    on
        A column, or a list of columns; the index' name stands for the index.

    Returns
    -------
    KeyStatistics
        Exact while the frame has no more distinct keys than the configured
        ``safeframe.key-capacity``; otherwise a sample of the keys, each with
        its exact rows, and the heaviest keys.

    Raises
    ------
    KeyNotFoundError
        When a column is not there.
    SchemaMismatchError, ValidationError
        When ``ddf`` is no dask dataframe, or columns share a name.

    Notes
    -----
    **Eager.** The key columns alone are read, once; once more where keys are sampled.

    **Memory.** A task holds the key columns of one partition and a few
    summaries of ``nbytes_bound`` bytes (16 B for each key of the capacity).

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": ["a", "b", "a", None]}), npartitions=2)
    >>> keys = safeframe.key_statistics(frame, "k")
    >>> keys.rows, keys.null_rows, int(keys.distinct), sorted(keys.labels.values())
    (4, 1, 2, ['a', 'b'])
    """
    ddf = check_frame(ddf, "ddf")
    names = as_names(on)
    levels = [name for name in ddf._meta.index.names if name is not None]
    check_keys(ddf, [name for name in names if name not in levels or name in ddf._meta.columns], "ddf")
    if not names:
        msg = "on= names no column."
        raise ValidationError(msg, hint="Name one key column, or a list of them.")
    empty = key_columns(ddf._meta, names)
    schema = common_schema(empty, empty, left_names=names, right_names=names)
    return gather_key_statistics([(ddf, names)], schema)[0]


def estimate_merge(
    left: dd.DataFrame,
    right: dd.DataFrame,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    *,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
) -> MergeEstimate:
    """Predict the rows and bytes of a merge, reading key columns only.

    Parameters
    ----------
    left, right
        The frames.
    how
        ``"inner"``, ``"left"``, ``"right"`` or ``"outer"``.
    on, left_on, right_on
        The key columns, as :func:`safeframe.merge` takes them.
    statistics
        The two sides' key statistics, when they were gathered before.

    Returns
    -------
    MergeEstimate
        Exact to the row when both sides' distinct keys fit the configured
        ``safeframe.key-capacity``; otherwise with an interval.

    Raises
    ------
    KeyNotFoundError
        When a key column is not there.
    SchemaMismatchError
        When the keys' types cannot be compared, or a side is no dask dataframe.
    UnsupportedError
        When ``how`` is another one.
    ValidationError
        When arguments contradict each other.

    Notes
    -----
    **Eager.** As :func:`safeframe.key_statistics`, both sides in one
    computation; strings and the like are measured on two partitions of each side.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2], "a": [0, 1, 2]}), npartitions=2)
    >>> right = dd.from_pandas(pd.DataFrame({"k": [1, 1, 3], "b": [0.0, 0.5, 1.0]}), npartitions=1)
    >>> estimated = safeframe.estimate_merge(left, right, how="left", on="k")
    >>> estimated.rows, int(estimated.left_unmatched_rows), estimated.heaviest[0].output_rows
    (Estimate(5, computed), 1, 4)
    """
    return size_join(left, right, how, on, left_on, right_on, statistics, recipe="estimate_merge").estimate


def estimate(ddf: dd.DataFrame) -> FrameEstimate:
    """Learn how large a frame and each of its partitions are.

    Parameters
    ----------
    ddf
        The frame.

    Returns
    -------
    FrameEstimate
        Rows are exact; so are bytes where every column has a fixed width.

    Raises
    ------
    SchemaMismatchError, ValidationError
        When ``ddf`` is no dask dataframe, or columns share a name.

    Notes
    -----
    **Eager.** One column of each partition is read to count rows; strings and
    the like are measured on two partitions.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"a": range(1000), "b": 0.5}), npartitions=4)
    >>> print(safeframe.estimate(frame))
    1,000 rows, 15.6 KiB in memory (16 B a row)
      4 partitions, 0 of them empty; the largest has 250 rows, 3.91 KiB: 1 times the mean
    """
    ddf = check_frame(ddf, "ddf")
    rows = count_partition_rows(ddf)
    return FrameEstimate(profile=profile_frame(ddf, rows), partition_rows=rows)

"""Statistics before a run: rows per key, the size of a join, the size of a frame."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.errors import ValidationError
from safeframe.facts.frame import FrameEstimate
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How, MergeEstimate
from safeframe.kernels.keys.schema import common_schema
from safeframe.prepare.arguments import as_frame, check_frame
from safeframe.prepare.merge.keys import KeyArguments, keyed_sides, side_keys, with_added_column
from safeframe.prepare.merge.sizes import check_how, named_keys, size_join
from safeframe.sizing.frames import count_partition_rows, profile_frame
from safeframe.sizing.keys.statistics import gather_key_statistics


def key_statistics(ddf: dd.DataFrame, on: Any = None) -> KeyStatistics:
    """Count the rows of each key of a dask dataframe.

    Parameters
    ----------
    ddf
        The dask dataframe.
    on
        Key column, or a list of them; the name of the index, or None, means the index.

    Returns
    -------
    KeyStatistics
        Exact if the frame has no more distinct keys than the configured
        ``safeframe.key-capacity``; otherwise a sample of the keys, each with
        its exact number of rows, and the heaviest keys.

    Raises
    ------
    KeyNotFoundError
        When a column does not exist.
    SchemaMismatchError, ValidationError
        When ``ddf`` is not a dask dataframe, or columns share a name.

    Notes
    -----
    **Eager.** Only the key columns are read, once; twice if keys are sampled and some may be heavy. Not at
    all if this process counted them before, the frame is of local parquet files or of pandas, and none changed.

    **Memory.** A task holds the key columns of one partition and a few
    summaries of ``nbytes_bound`` bytes (16 B for each key of the capacity).
    Nothing is written to disk.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": ["a", "b", "a", None]}), npartitions=2)
    >>> keys = safeframe.key_statistics(frame, "k")
    >>> keys.rows, keys.null_rows, int(keys.distinct), sorted(keys.labels.values())
    (4, 1, 2, ['a', 'b'])
    """
    ddf = check_frame(ddf, "ddf")
    keys = side_keys(ddf, on, "ddf")
    if not keys.on:
        msg = "on= names no column."
        raise ValidationError(msg, hint="Name one key column, or a list of them.")
    if len(set(keys.on)) < len(keys.on):
        msg = f"A key column is named twice in {list(keys.names)!r}."
        raise ValidationError(msg, hint="Name each key column once.")
    ddf = with_added_column(ddf, keys)
    empty = [ddf._meta[name] for name in keys.on]
    schema = common_schema(empty, empty, left_names=keys.names, right_names=keys.names)
    return named_keys(gather_key_statistics([(ddf, keys.on)], schema)[0], keys)


def estimate_merge(
    left: dd.DataFrame,
    right: dd.DataFrame,
    how: How = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    *,
    statistics: tuple[KeyStatistics, KeyStatistics] | None = None,
) -> MergeEstimate:
    """Predict the rows and bytes of a merge, reading key columns only.

    Parameters
    ----------
    left, right
        The dask dataframes.
    how
        Which rows to keep, as in :func:`safeframe.merge`.
    on, left_on, right_on, left_index, right_index
        The keys, as in :func:`safeframe.merge`.
    statistics
        Key statistics of the two sides, if they were gathered before.

    Returns
    -------
    MergeEstimate
        Exact to the row if the distinct keys of both sides fit the configured
        ``safeframe.key-capacity``; otherwise with an interval.

    Raises
    ------
    KeyNotFoundError
        When a key column does not exist.
    SchemaMismatchError
        When the keys' types cannot be compared, or a side is not a dask dataframe.
    UnsupportedError
        For other values of ``how``.
    ValidationError
        When arguments contradict each other.

    Notes
    -----
    **Eager.** As :func:`safeframe.key_statistics`, both sides in one
    computation; columns of variable width are measured on a few partitions of
    each side.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2], "a": [0, 1, 2]}), npartitions=2)
    >>> right = dd.from_pandas(pd.DataFrame({"k": [1, 1, 3], "b": [0.0, 0.5, 1.0]}), npartitions=1)
    >>> estimated = safeframe.estimate_merge(left, right, how="left", on="k")
    >>> estimated.rows, int(estimated.left_unmatched_rows), estimated.heaviest[0].output_rows
    (Estimate(5, computed), 1, 4)
    """
    names = KeyArguments(
        how=how,
        on=on,
        left_on=left_on,
        right_on=right_on,
        left_index=left_index,
        right_index=right_index,
        suffixes=("_left", "_right"),  # names that clash do not matter to a size
    )
    check_how(how, "estimate_merge")
    sides = keyed_sides(as_frame(left, "left"), as_frame(right, "right"), names)
    return size_join(sides, statistics).estimate


def estimate(ddf: dd.DataFrame) -> FrameEstimate:
    """Return the size of a dask dataframe and of each of its partitions.

    Parameters
    ----------
    ddf
        The dask dataframe.

    Returns
    -------
    FrameEstimate
        Rows are exact; bytes are exact if every column has a fixed width.

    Raises
    ------
    SchemaMismatchError, ValidationError
        When ``ddf`` is not a dask dataframe, or columns share a name.

    Notes
    -----
    **Eager.** One column of each partition is read to count rows; columns of
    variable width are measured on a few partitions, and are an interval.

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

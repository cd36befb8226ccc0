"""What tests of merges share: running one, and comparing its rows with pandas'."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe

__all__ = ["HOWS", "in_dask", "merged", "same_rows"]

HOWS = ("inner", "left", "right", "outer")


def same_rows(found: pd.DataFrame, expected: pd.DataFrame, by: list[str], *, index: bool = False) -> None:
    """Compare two frames whose rows may be in another order; ``by`` tells rows apart."""
    assert list(found.columns) == list(expected.columns)
    found, expected = (_ordered(frame, by, index) for frame in (found, expected))
    pd.testing.assert_frame_equal(
        found, expected, check_exact=True, check_categorical=False, check_index_type=False
    )


def _ordered(frame: pd.DataFrame, by: list[str], index: bool) -> pd.DataFrame:
    order = frame[by].reset_index(drop=True).sort_values(by, na_position="last").index
    frame = frame.iloc[np.asarray(order)]
    return frame if index else frame.reset_index(drop=True)


def merged(left, right, **arguments):
    """Merge, hold every partition to its promises, and give the rows and the plan."""
    with dask.config.set(scheduler=arguments.pop("scheduler", "sync")):
        collection = safeframe.merge(left, right, **arguments)
        parts = dask.compute(*collection.to_delayed())
    plan = safeframe.explain(collection)
    assert len(parts) == plan.output_partitions == collection.npartitions
    meta = collection._meta
    for part in parts:
        assert list(part.dtypes) == list(meta.dtypes), "every partition has the promised types"
        assert part.index.dtype == meta.index.dtype
        assert part.index.name == meta.index.name
        assert len(part) * plan.row_nbytes <= plan.largest_partition_nbytes
    keeps_index = not isinstance(meta.index, pd.RangeIndex)
    return pd.concat(parts, ignore_index=not keeps_index), plan


def in_dask(frame: pd.DataFrame, npartitions: int) -> dd.DataFrame:
    """Cut a frame into partitions as they come, of just its own types."""
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame, npartitions=npartitions, sort=False)

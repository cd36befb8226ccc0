"""What tests of merges share: running one, and comparing its rows with pandas'."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from hypothesis import settings

import safeframe

__all__ = ["HOWS", "examples", "in_dask", "merged", "merged_collection", "narrowest_row_nbytes", "same_rows"]

HOWS = ("inner", "left", "right", "outer")


def examples(number: int) -> settings:
    """Look at ``number`` examples, or as many as the profile says if these are more.

    With what the tests of merges ask for, a run in the profile ``dev`` looks at some 100 of
    each kind of join; .ci/nightly at thousands.
    """
    return settings(max_examples=max(number, settings.default.max_examples))


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
    _, plan, rows = merged_collection(left, right, **arguments)
    return rows, plan


def merged_collection(left, right, **arguments):
    """Do as :func:`merged`, and give the collection, the plan and the rows."""
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
        assert len(part) * narrowest_row_nbytes(plan) <= plan.largest_partition_nbytes
    if collection.known_divisions:
        _check_divisions(parts, collection.divisions)
    keeps_index = not isinstance(meta.index, pd.RangeIndex)
    return collection, plan, pd.concat(parts, ignore_index=not keeps_index)


def narrowest_row_nbytes(plan) -> float:
    """Return what each row of a result counts at the least."""
    width = plan.output_width
    if width is not None and width.uneven and plan.strategy in ("sorted", "sorted-one-side", "staged"):
        return width.least  # cut by bytes: a partition of narrow rows has more of them
    return plan.row_nbytes


def _check_divisions(parts, divisions):
    """Hold every partition to its range of the index, and to its order."""
    for number, part in enumerate(parts):
        assert part.index.is_monotonic_increasing
        last = number == len(parts) - 1
        inside = (part.index >= divisions[number]) & (
            part.index <= divisions[number + 1] if last else part.index < divisions[number + 1]
        )
        assert inside.all(), f"partition {number} keeps to the divisions {divisions}"


def in_dask(frame: pd.DataFrame, npartitions: int) -> dd.DataFrame:
    """Cut a frame into partitions as they come, of just its own types."""
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame, npartitions=npartitions, sort=False)

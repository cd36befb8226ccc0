from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.engine.exchange.nodes import WholePart, stage_parts
from safeframe.facts.layout import StageTasks
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.cuts import RowCuts
from safeframe.sizing.parquet.column_sets import ANY_WAY, Reading
from safeframe.sizing.partitions.tasks import PartitionTasks


def test_a_whole_partition_is_cut_without_a_copy():
    whole = pd.DataFrame(
        {"a": np.arange(1000), "s": pd.array(["x" * 92] * 1000, dtype=pd.StringDtype("pyarrow"))}
    )
    slices = list(WholePart(whole).slices(10_000))
    assert 8 <= len(slices) <= 13
    pd.testing.assert_frame_equal(pd.concat(slices), whole)
    assert np.shares_memory(slices[1]["a"].to_numpy(), whole["a"].to_numpy())
    assert [len(one) for one in WholePart(whole).slices(None)] == [1000]


class OnePart:
    """A partition that tells how it was read."""

    def __init__(self, frame):
        self.frame = frame
        self.readings = []

    def slices(self, nbytes, reading=ANY_WAY):
        self.readings.append((nbytes, reading))
        yield self.frame


@pytest.mark.parametrize("by_columns", [True, False])
def test_files_are_read_as_the_plan_has_counted_it(by_columns, tmp_path):
    part = OnePart(pd.DataFrame({"a": np.arange(10)}))
    tasks = StageTasks(held_nbytes=1000, slice_nbytes=100, by_columns=by_columns)
    columns = FrameSpec(meta=part.frame.iloc[:0], with_index=False)
    router = RowCuts.of(np.array([0, 10]), 0, 10)
    (staged,) = stage_parts(PartitionTasks([part]), columns, router, str(tmp_path / "run"), tasks)
    assert staged.rows == 10
    assert part.readings == [(100, Reading(by_columns=by_columns, directory=str(tmp_path / "run")))]

"""A column that is the index is written with its own values, where these are numbers in order, too."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe

pytestmark = pytest.mark.usefixtures("_in_this_process")

READ = [{}, {"split_row_groups": True}, {"aggregate_files": True, "blocksize": "10MB"}]


@pytest.mark.parametrize("read", READ, ids=str)
@pytest.mark.parametrize("step", [1, 3, -1])
def test_an_index_of_numbers_in_order(read, step, tmp_path):
    for number in range(3):
        ids = np.arange(8)[::step] + 1000 * (3 - number)
        table = pa.table({"id": ids, "v": np.arange(float(len(ids))) + 10 * number})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=3)
    ddf = dd.read_parquet(tmp_path, index="id", **read)
    expected = ddf.compute()
    safeframe.to_parquet(ddf, tmp_path / "copy")
    pd.testing.assert_frame_equal(dd.read_parquet(tmp_path / "copy").compute(), expected)
    moved = safeframe.sort_values(ddf, "v", staging=str(tmp_path))
    pd.testing.assert_frame_equal(moved.compute(), expected.sort_values("v"))
    total = safeframe.groupby(ddf, "id")["v"].sum().compute()
    assert total.to_dict() == expected["v"].to_dict()

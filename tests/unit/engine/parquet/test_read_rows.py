"""Rows that are written as they are read keep to the bytes of a row group, whatever the first of them are like."""

from __future__ import annotations

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe.engine.parquet.read_rows import ReadRows
from safeframe.engine.planned.cells import rows_nbytes
from safeframe.sizing.partitions.slices import sliced_parts

NBYTES = 2**21


@pytest.mark.parametrize("wide_first", [False, True])
def test_rows_that_become_wide_are_stretches_of_their_own(wide_first, tmp_path):
    texts = [["aa"] * 60_000, [letter * 2_000 for letter in "abcde" * 2_000], ["b"] * 60_000]
    text = [one for some in (texts[1:] if wide_first else texts) for one in some]
    table = pa.table({"k": range(len(text)), "s": text})
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=10_000, use_dictionary=False)
    ddf = dd.read_parquet(str(tmp_path), split_row_groups=False)
    (part,) = sliced_parts(ddf)
    found = list(ReadRows(part, ddf._meta, NBYTES).stretches(lambda width: max(1, int(NBYTES / width))))
    assert max(rows_nbytes(frame) for frame in found) <= 1.5 * NBYTES
    # Rows that are narrow again are not written by the few that wide ones were.
    assert max(map(len, found[-2:])) > 10_000
    pd.testing.assert_frame_equal(
        pd.concat(found).reset_index(drop=True), ddf.compute().reset_index(drop=True)
    )


def test_rows_that_are_alike_are_stretches_of_one_length(tmp_path):
    pq.write_table(pa.table({"k": range(200_000), "s": ["abc", "d"] * 100_000}), tmp_path / "0.parquet")
    ddf = dd.read_parquet(str(tmp_path))
    (part,) = sliced_parts(ddf)
    lengths = [len(frame) for frame in ReadRows(part, ddf._meta, NBYTES).stretches(lambda _: 30_000)]
    assert lengths == [30_000] * 6 + [20_000]

"""A page that is larger than what a task may use is named when it is refused."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.errors import MemoryBudgetError
from safeframe.facts.frame import Page
from safeframe.sizing.frames import frame_source

ROWS = 20_000
SPEC = safeframe.ClusterSpec(n_workers=2, memory="460MiB", disk="10GiB")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two row groups, the second of which has one page of 60 MB."""
    folder = tmp_path_factory.mktemp("pages")
    text = pa.array([f"{i:010}" * 300 for i in range(ROWS)])
    with pq.ParquetWriter(
        folder / "0.parquet",
        pa.schema([("k", pa.int64()), ("note", pa.string())]),
        use_dictionary=False,
        data_page_size=2**30,
    ) as writer:
        for rows in (5, ROWS):
            writer.write_table(pa.table({"k": np.arange(rows), "note": text[:rows]}), row_group_size=rows)
    with dask.config.set(scheduler="synchronous"):
        yield folder


def test_the_largest_page_is_found_wherever_it_is(folder) -> None:
    page = frame_source(dd.read_parquet(folder)).largest_page
    assert page == Page(path=str(folder / "0.parquet"), row_group=1, column="note", nbytes=page.nbytes)
    assert 3004 * ROWS <= page.nbytes < 3005 * ROWS


@pytest.mark.parametrize("recipe", ["sort", "merge", "rebalance"])
def test_it_is_named_with_what_a_task_may_use(folder, recipe) -> None:
    frame = dd.read_parquet(folder)
    match recipe:
        case "sort":
            plan = safeframe.plan_sort_values(frame, "k", strategy="staged", cluster=SPEC)
        case "merge":
            other = dd.from_pandas(pd.DataFrame({"k": range(ROWS), "x": 1.0}), npartitions=2)
            plan = safeframe.plan_merge(frame, other, on="k", strategy="staged", cluster=SPEC)
        case "rebalance":
            plan = safeframe.plan_rebalance(frame, npartitions=8, strategy="staged", cluster=SPEC)
    assert not plan.fits
    with pytest.raises(MemoryBudgetError) as caught:
        plan.validate()
    message = str(caught.value)
    assert "a page of 57.3 MiB of column 'note' in row group 1 of" in message
    assert str(folder / "0.parquet") in message
    assert safeframe.units.format_nbytes(plan.budget.task_nbytes) in message
    assert "data_page_size" in message


def test_no_page_is_named_where_another_term_is_too_large(folder, tmp_path) -> None:
    pq.write_table(pq.read_table(folder / "0.parquet"), tmp_path / "0.parquet", use_dictionary=False)
    frame = dd.read_parquet(tmp_path)
    plan = safeframe.plan_sort_values(frame, "k", strategy="staged", cluster=SPEC, npartitions=1)
    with pytest.raises(MemoryBudgetError) as caught:
        plan.validate()
    assert "a page of" not in str(caught.value)

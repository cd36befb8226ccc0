"""Slices of a partition have the rows, types and index that dask's own partition has."""

from __future__ import annotations

import datetime
import decimal
import pickle

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe import options
from safeframe._dask.parquet_tasks import parquet_task_parts
from safeframe._dask.trees import lowered, task_of
from safeframe.facts.frame import FrameSource
from safeframe.kernels.keys.codes import decode_codes
from safeframe.prepare.sort.order import row_order
from safeframe.sizing.frames import frame_source
from safeframe.sizing.parquet.pages import with_pages
from safeframe.sizing.parquet.stream import table_frames
from safeframe.sizing.partitions.slices import sliced_frame
from safeframe.sizing.sort import gather_quantiles

ROWS = 6000
SLICE = 40_000

STEPS = {
    "nothing": lambda ddf: ddf,
    "columns": lambda ddf: ddf[["s", "f"]],
    "filter": lambda ddf: ddf[ddf.f > 0.5],
    "filters": lambda ddf: ddf[(ddf.f > 0.5) & ddf.s.notnull()][["k", "s"]],
    "assign": lambda ddf: ddf.assign(x=ddf.f * 2 + ddf.k, y=ddf.s.str.upper(), z=ddf.t.dt.year),
    "isin": lambda ddf: ddf[ddf.k.isin([1, 2, 3, 500])],
    "fillna": lambda ddf: ddf.fillna({"f": 0.0}),
    "rename": lambda ddf: ddf.rename(columns={"f": "ff"}),
    "drop": lambda ddf: ddf.drop(columns=["f"]),
    "astype": lambda ddf: ddf.astype({"k": "float64"}),
    "ufunc": lambda ddf: ddf.assign(x=np.log1p(ddf.f)),
    "dropna": lambda ddf: ddf.dropna(subset=["f"]),
    "where": lambda ddf: ddf.assign(f=ddf.f.where(ddf.k > 500, 0.0)),
    "culled": lambda ddf: ddf.partitions[[0, 1]][["s", "k"]],
    "optimised": lambda ddf: ddf.assign(x=ddf.f * 2).optimize(),
    "joined by dask": lambda ddf: ddf[["k"]].optimize(),
    "after what dask fused": lambda ddf: ddf.assign(x=ddf.f * 2).optimize().assign(y=1)[["x", "y", "s"]],
    "fused twice": lambda ddf: ddf.assign(x=ddf.f * 2).optimize().assign(y=1).optimize()[["x", "y", "s"]],
}

SOURCES = {
    "files": {},
    "row groups": {"split_row_groups": True},
    "several row groups": {"split_row_groups": 2},
    "several files": {"split_row_groups": "adaptive", "blocksize": "1GiB", "aggregate_files": True},
    "arrow": {"filesystem": "arrow"},
    "filters": {"filters": [("f", ">", 0.3)]},
    "arrow filters": {"filesystem": "arrow", "filters": [[("f", ">", 0.3), ("k", "<", 900)], [("k", "==", 7)]]},
    "nothing left": {"filters": [[("f", ">", 0.3), ("k", "==", 7), ("k", "==", 8)]]},
    "arrow types": {"dtype_backend": "pyarrow"},
    "nullable types": {"dtype_backend": "numpy_nullable"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "k": rng.integers(0, 1000, ROWS),
            "s": pd.array([f"id{i:014d}" for i in rng.integers(0, 10**6, ROWS)], dtype="str"),
            "f": rng.random(ROWS),
            "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, ROWS), "D"),
            "d": [decimal.Decimal(int(i)) / 100 for i in rng.integers(0, 10000, ROWS)],
            "day": [datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)],
        }
    )
    made.loc[made.index[::7], "f"] = np.nan
    made.loc[made.index[::5], "s"] = None
    return made


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("slices")
    for kind in ("plain", "indexed"):
        (path / kind).mkdir()
    for number in range(3):
        # The last two have an index that does not begin at 0.
        part = frame.iloc[number * 2000 : (number + 1) * 2000]
        part.to_parquet(path / "plain" / f"{number}.parquet", row_group_size=700)
        part.set_index("s").to_parquet(path / "indexed" / f"{number}.parquet", row_group_size=700)
    with dask.config.set(scheduler="synchronous"):
        dd.from_pandas(frame.assign(p=frame.k % 3), npartitions=2).to_parquet(path / "hive", partition_on="p")
    return path


def check(ddf):
    """Compare the slices of each partition with the partition that dask makes."""
    expression = lowered(ddf.expr)
    sliced = sliced_frame(expression)
    assert not isinstance(sliced, str), sliced
    graph = dict(expression.__dask_graph__())
    most = 0
    for number, part in enumerate(sliced.parts()):
        whole = dask.get(graph, (expression._name, number))
        slices = list(pickle.loads(pickle.dumps(part)).slices(SLICE))
        most = max(most, len(slices))
        if not slices:
            assert len(whole) == 0
            continue
        pd.testing.assert_frame_equal(pd.concat(slices), whole, check_index_type="equiv")
    return most


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("step", STEPS)
def test_rows_are_those_of_the_whole_partition(folder, source, step):
    ddf = dd.read_parquet(folder / "plain", **SOURCES[source])
    if step == "culled" and ddf.npartitions < 2:
        return
    most = check(STEPS[step](ddf))
    assert (
        most > 1
        or source == "nothing left"
        or step in ("columns", "isin", "culled", "joined by dask")
        or ("row groups" in source or step == "filters")
    )


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_an_index_of_a_file_stays_the_index(folder, filesystem):
    assert check(dd.read_parquet(folder / "indexed", filesystem=filesystem)) > 1
    assert check(dd.read_parquet(folder / "plain", index="k")) > 1
    assert check(dd.read_parquet(folder / "plain", index=False)) > 1


@pytest.mark.parametrize("filters", [None, [("p", "==", 1)], [[("p", "==", 1), ("f", ">", 0.3)]]])
@pytest.mark.parametrize("step", ["nothing", "columns", "filter", "assign"])
def test_folders_become_a_column(folder, filters, step):
    check(STEPS[step](dd.read_parquet(folder / "hive", filters=filters)))


@pytest.mark.parametrize("filters", [None, [("p", "==", 1)], [[("p", "==", 1), ("f", ">", 0.3)]]])
def test_folders_become_categories_of_the_whole_source(folder, filters):
    ddf = dd.read_parquet(folder / "hive", filesystem="arrow", filters=filters)
    # A slice would have the one category that its file has.
    assert frame_source(ddf).whole
    assert not frame_source(ddf[["s", "f"]]).whole
    check(ddf[["s", "f"]])
    made = safeframe.sort_values(ddf, ["f", "k"]).compute()
    expected = ddf.compute().sort_values(["f", "k"], kind="stable")
    assert set(expected.p.cat.categories) == {0, 1, 2}
    # Not the strings: dask promises others than it makes.
    names = ["p", "k", "f"]
    pd.testing.assert_frame_equal(made[names], expected[names], check_index_type="equiv")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda ddf: ddf.map_partitions(lambda frame: frame), "MapPartitions"),
        (lambda ddf: ddf.reset_index(), "ResetIndex"),
        (lambda ddf: ddf.assign(x=ddf.f.cumsum()), "Cumulative"),
        (lambda ddf: ddf.query("f > f.mean()"), "Query"),
        (lambda ddf: ddf.assign(x=ddf[ddf.f > 0.5].f), "takes rows of several steps"),
        (lambda ddf: ddf.astype({"s": "category"}), "AsType"),
        (lambda ddf: ddf[[]], "no column is read"),
        (lambda ddf: ddf.assign(x=ddf.k + ddf.k.sum()), ""),
    ],
)
def test_a_step_that_needs_more_than_a_row_has_its_partition_whole(folder, step, why):
    ddf = step(dd.read_parquet(folder / "plain"))
    found = sliced_frame(lowered(ddf.expr))
    assert isinstance(found, str)
    assert why in found
    assert frame_source(ddf).whole == found


def test_slices_are_bounded_where_rows_get_wider(tmp_path):
    narrow, wide = ["x" * 20] * 20_000, ["y" * 150] * 20_000
    pq.write_table(pa.table({"s": narrow + wide}), tmp_path / "one.parquet", row_group_size=40_000)
    expression = lowered(dd.read_parquet(tmp_path).expr)
    (parts,) = parquet_task_parts(task_of(expression, 0))
    sizes = [one.memory_usage(index=False).sum() for one in table_frames(parts, 200_000)]
    assert sum(sizes) > 3_400_000
    assert max(sizes) < 2 * 200_000
    # The wide strings are one value, which the file has once.
    source = with_pages(FrameSource(), parts.parts)
    assert 0 < source.few_columns_nbytes <= source.reader_nbytes < 3 * 2**20


@pytest.mark.parametrize("by", ["k", "s"])
def test_keys_of_a_large_partition_are_sampled_in_slices(folder, frame, by, monkeypatch):
    monkeypatch.setattr(options, "SORT_SLICE_NBYTES", 10_000)
    ddf = dd.read_parquet(folder / "plain")
    order = row_order(ddf, [by], ascending=[True], na_last=True)
    sampled = gather_quantiles(ddf, order)
    assert sampled.partition_rows.tolist() == [2000] * 3
    assert (sampled.total_rows, sampled.null_rows) == (ROWS, int(frame[by].isna().sum()))
    if sampled.partitions is not None and by == "k":
        assert decode_codes(sampled.partitions.first, order.schema) == [
            frame[by].iloc[at : at + 2000].min() for at in (0, 2000, 4000)
        ]
        assert not sampled.partitions.increasing.any()
    assert sampled.rows.sum() == pytest.approx(ROWS - sampled.null_rows, rel=0.01)

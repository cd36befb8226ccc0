"""safeframe.rebalance_partitions on a real cluster, and of parquet files of every shape."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import wait

import safeframe
from safeframe import options
from safeframe.engine.rebalance.nodes import GatheredPieces, JoinedPieces
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions
from safeframe.sizing.parquet.slices import sliced_parquet
from tests.expressions import nodes_of


@pytest.fixture
def table(tmp_path) -> Path:
    """Files of uneven sizes, with strings, nulls and times."""
    directory = tmp_path / "table"
    directory.mkdir()
    rng = np.random.default_rng(0)
    for number, rows in enumerate([1, 900, 0, 3000, 40, 1200]):
        pd.DataFrame(
            {
                "n": rng.integers(0, 100, rows),
                "s": [None if i % 7 == 6 else "x" * (i % 90) for i in range(rows)],
                "t": pd.date_range("2024", periods=rows, freq="min"),
                "wide": rng.random(rows),
            }
        ).to_parquet(directory / f"{number}.parquet", row_group_size=500)
    return directory


@pytest.mark.parametrize("strategy", ["sliced", "staged"])
@pytest.mark.parametrize("goal", [{"npartitions": 5}, {"partition_size": "40KiB"}])
def test_parquet_to_parquet(small_cluster, table, strategy, goal, tmp_path):
    source = dd.read_parquet(table)
    result = rebalance_partitions(source, **goal, strategy=strategy, staging=str(tmp_path / "staging"))
    pd.testing.assert_frame_equal(result.compute(), source.compute())
    result.to_parquet(tmp_path / "out", write_index=False)
    written = [pq.read_metadata(path).num_rows for path in (tmp_path / "out").glob("*.parquet")]
    assert len(written) == safeframe.explain(result).output_partitions
    assert sum(written) == 5141


def test_without_a_client_on_threads(table):
    source = dd.read_parquet(table)
    with dask.config.set(scheduler="threads"):
        result = rebalance_partitions(source, npartitions=4)
        pd.testing.assert_frame_equal(result.compute(), source.compute())


def test_futures_are_sliced_where_they_are(small_cluster, table):
    source = dd.read_parquet(table).persist()
    wait(source)
    result = rebalance_partitions(source, npartitions=4)
    assert safeframe.explain(result).strategy == "sliced"
    assert nodes_of(result, JoinedPieces)
    pd.testing.assert_frame_equal(result.compute(), source.compute())


def test_projections_and_partitions_reach_the_source(table):
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(table)
        result = rebalance_partitions(source, npartitions=4, strategy="sliced")
        narrow = result[["n", "t"]]
        (cells,) = nodes_of(narrow, GatheredPieces)
        assert list(cells._meta.columns) == ["n", "t"]
        pd.testing.assert_frame_equal(narrow.compute(), source[["n", "t"]].compute())
        assert result["n"].sum().compute() == source["n"].sum().compute()
        expected = source.compute()
        pd.testing.assert_frame_equal(result.partitions[[1, 3]].compute(), _parts(result, [1, 3]))
        pd.testing.assert_frame_equal(result.head(3), expected.head(3))
        assert len(result) == len(expected)


def _parts(result, numbers) -> pd.DataFrame:
    parts = dask.compute(*result.to_delayed())
    return pd.concat([parts[number] for number in numbers])


def test_footers_alone_say_the_sizes_of_fixed_columns(table):
    source = dd.read_parquet(table)[["n", "t", "wide"]]
    with dask.config.set(scheduler="sync"):
        plan = plan_rebalance(source, npartitions=4)
        assert plan.output_rows.method == "footer"
        assert int(plan.output_nbytes) == 5141 * (24 + 8)
        assert plan_rebalance(source[source.n > 3], npartitions=4).output_rows.method == "computed"


def test_a_result_is_pickled_and_printed(table):
    with dask.config.set(scheduler="sync"):
        one = rebalance_partitions(dd.read_parquet(table), npartitions=4)
        assert one._name != rebalance_partitions(dd.read_parquet(table), npartitions=5)._name
        assert "rebalance" in repr(one).lower()
        assert one.npartitions == 4
        copy = pickle.loads(pickle.dumps(one))
        assert copy._name == one._name
        pd.testing.assert_frame_equal(copy.compute(), one.compute())


def test_a_partition_of_another_type_than_promised(tmp_path):
    pieces = [pd.DataFrame({"s": [None]}), pd.DataFrame({"s": ["x" * i for i in range(900)]})]
    for number, piece in enumerate(pieces):
        piece.to_parquet(tmp_path / f"{number}.parquet")
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(tmp_path)
        for goal in ({"npartitions": 3}, {"npartitions": 1}, {"partition_size": "100KiB"}):
            result = rebalance_partitions(source, **goal)
            assert result.compute()["s"].fillna("").tolist() == ["", *pieces[1]["s"]]


# A file read in slices ---------------------------------------------------------

FRAMES = {
    "plain": pd.DataFrame({"a": np.arange(5000), "b": np.arange(5000) / 7}),
    "strings": pd.DataFrame({"a": np.arange(5000), "s": [None if i % 5 == 0 else "ab" * (i % 9) for i in range(5000)]}),
    "named index": pd.DataFrame({"a": np.arange(5000)}, index=pd.Index(np.arange(5000) * 3, name="key")),
    "unnamed index": pd.DataFrame({"a": np.arange(5000)}, index=np.arange(5000)[::-1]),
    "string index": pd.DataFrame({"a": np.arange(5000)}, index=pd.Index([f"{i:05d}" for i in range(5000)], name="s")),
    "categories": pd.DataFrame({"c": pd.Categorical([f"c{i % 11}" for i in range(5000)]), "a": np.arange(5000)}),
    "times": pd.DataFrame({"t": pd.date_range("2024", periods=5000, tz="Europe/Berlin"), "d": pd.to_timedelta(np.arange(5000))}),
    "nullable": pd.DataFrame({"i": pd.array([1, None] * 2500, dtype="Int32"), "b": pd.array([True, None] * 2500, dtype="boolean")}),
}  # fmt: skip


@pytest.mark.parametrize("backend", [None, "pyarrow"])
@pytest.mark.parametrize("name", sorted(FRAMES))
@pytest.mark.parametrize("group", [5000, 1300])
def test_slices_are_what_dask_reads(tmp_path, monkeypatch, name, group, backend):
    monkeypatch.setattr(options, "SLICE_NBYTES", 5_000)
    FRAMES[name].to_parquet(tmp_path / "one.parquet", row_group_size=group)
    extra = {"dtype_backend": backend} if backend else {}
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(tmp_path / "one.parquet", split_row_groups=False, **extra)
        assert source.npartitions == 1
        found = sliced_parquet(source)
        assert found is not None
        frames = [frame for reader in found.split(0) for frame in reader.frames(5_000)]
        assert len(frames) > 2
        expected = source.compute()
        pd.testing.assert_frame_equal(dd.dispatch.concat(frames), expected, check_categorical=False)
        column = list(source.columns)[:1]
        narrow = dd.dispatch.concat(list(found.projected(column).readers()[0].frames(5_000)))
        pd.testing.assert_frame_equal(narrow, source[column].compute(), check_categorical=False)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_partition_above_the_budget_passes_in_slices(tmp_path, monkeypatch, name):
    monkeypatch.setattr(options, "SLICE_NBYTES", 5_000)
    monkeypatch.setattr(options, "SLICE_READ_NBYTES", 1_000)
    FRAMES[name].to_parquet(tmp_path / "one.parquet", row_group_size=1300)
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(tmp_path / "one.parquet", split_row_groups=False)
        monkeypatch.setattr(
            "safeframe.planning.rebalance.plan._read_in_slices", lambda facts: np.ones(1, bool)
        )
        result = rebalance_partitions(
            source, partition_size="20KiB", strategy="staged", staging=str(tmp_path / "staging")
        )
        assert result.expr.run.way.in_slices == (0,)
        pd.testing.assert_frame_equal(result.compute(), source.compute(), check_categorical=False)
        column = list(source.columns)[:1]
        pd.testing.assert_frame_equal(
            result[column].compute(), source[column].compute(), check_categorical=False
        )


def test_what_is_not_plain_parquet_is_not_read_in_slices(tmp_path):
    FRAMES["plain"].to_parquet(tmp_path / "one.parquet")
    source = dd.read_parquet(tmp_path / "one.parquet")
    assert sliced_parquet(source) is not None
    assert sliced_parquet(source[["b"]]).meta.columns.tolist() == ["b"]
    assert sliced_parquet(source[source.a > 3]) is None
    assert sliced_parquet(dd.read_parquet(tmp_path / "one.parquet", filters=[("a", ">", 3)])) is None
    assert sliced_parquet(source.assign(c=1)) is None
    assert sliced_parquet(dd.read_parquet(tmp_path / "one.parquet", filesystem="arrow")) is None
    assert sliced_parquet(dd.from_pandas(FRAMES["plain"], npartitions=2)) is None
    for part in ("x", "y"):
        (tmp_path / "hive" / f"p={part}").mkdir(parents=True)
        FRAMES["plain"].to_parquet(tmp_path / "hive" / f"p={part}" / "one.parquet")
    hive = dd.read_parquet(tmp_path / "hive")
    assert sliced_parquet(hive) is None
    with dask.config.set(scheduler="sync"):
        pd.testing.assert_frame_equal(
            rebalance_partitions(hive, npartitions=3).compute(), hive.compute(), check_categorical=False
        )


def test_several_row_groups_read_as_one_partition(tmp_path):
    pq.write_table(pa.table({"a": np.arange(10_000)}), tmp_path / "one.parquet", row_group_size=1000)
    source = dd.read_parquet(tmp_path / "one.parquet", split_row_groups=3)
    found = sliced_parquet(source)
    assert found is not None
    assert found.rows.tolist() == [len(part) for part in dask.compute(*source.to_delayed(), scheduler="sync")]
    assert [reader.rows for reader in found.split(1)] == [1000] * 3

"""safeframe.rebalance_partitions on a real cluster, and of parquet files of every shape."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import wait

import safeframe
from safeframe import options
from safeframe.engine.rebalance.nodes import GatheredPieces, JoinedPieces
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions
from safeframe.sizing.partitions.slices import sliced_parts
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
        (part,) = sliced_parts(source)
        frames = list(part.slices(5_000))
        assert len(frames) > 2
        expected = source.compute()
        pd.testing.assert_frame_equal(dd.dispatch.concat(frames), expected, check_categorical=False)
        column = list(source.columns)[:1]
        (part,) = sliced_parts(source[column])
        narrow = dd.dispatch.concat(list(part.slices(5_000)))
        pd.testing.assert_frame_equal(narrow, source[column].compute(), check_categorical=False)


@pytest.fixture
def _no_task_holds_a_partition(monkeypatch):
    """Plans as for partitions that are larger than a task may be."""
    monkeypatch.setattr(options, "SLICE_NBYTES", 5_000)
    monkeypatch.setattr(options, "SLICE_READ_NBYTES", 1_000)
    monkeypatch.setattr(
        "safeframe.planning.rebalance.plan._read_in_slices",
        lambda facts: np.full(len(facts.sizes.rows), facts.in_slices),
    )


@pytest.mark.usefixtures("_no_task_holds_a_partition")
@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_partition_above_the_budget_passes_in_slices(tmp_path, name):
    FRAMES[name].to_parquet(tmp_path / "one.parquet", row_group_size=1300)
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(tmp_path / "one.parquet", split_row_groups=False)
        result = rebalance_partitions(
            source, partition_size="20KiB", strategy="staged", staging=str(tmp_path / "staging")
        )
        assert result.expr.run.way.in_slices == (0,)
        pd.testing.assert_frame_equal(result.compute(), source.compute(), check_categorical=False)
        column = list(source.columns)[:1]
        pd.testing.assert_frame_equal(
            result[column].compute(), source[column].compute(), check_categorical=False
        )


@pytest.mark.usefixtures("_no_task_holds_a_partition")
@pytest.mark.parametrize("start", [0, 700])
def test_row_numbers_of_files_stay_in_slices(tmp_path, start):
    """pandas writes the range that a frame's index is, wherever it begins."""
    for number in range(2):
        frame = FRAMES["strings"].copy()
        frame.index = pd.RangeIndex(start + 5000 * number, start + 5000 * (number + 1))
        frame.to_parquet(tmp_path / f"{number}.parquet", row_group_size=1300)
    with dask.config.set(scheduler="sync"):
        source = dd.read_parquet(tmp_path, split_row_groups=False)
        result = rebalance_partitions(
            source, partition_size="20KiB", strategy="staged", staging=str(tmp_path / "staging")
        )
        assert result.expr.run.way.in_slices == (0, 1)
        pd.testing.assert_frame_equal(result.compute(), source.compute())


def _filtered(path):
    source = dd.read_parquet(path)
    return source[source.a > 1234]


SLICED = {
    "filtered": _filtered,
    "filtered as it is read": lambda path: dd.read_parquet(path, filters=[("a", ">", 1234)]),
    "assigned": lambda path: dd.read_parquet(path).assign(c=1),
    "pyarrow's file systems": lambda path: dd.read_parquet(path, filesystem="arrow"),
    "several row groups": lambda path: dd.read_parquet(path, split_row_groups=2),
}


@pytest.mark.usefixtures("_no_task_holds_a_partition")
@pytest.mark.parametrize("frame", ["plain", "strings"])
@pytest.mark.parametrize("name", sorted(SLICED))
def test_steps_that_look_at_a_row_are_taken_slice_by_slice(tmp_path, name, frame):
    FRAMES[frame].to_parquet(tmp_path / "one.parquet", row_group_size=1300)
    with dask.config.set(scheduler="sync"):
        source = SLICED[name](tmp_path / "one.parquet")
        result = rebalance_partitions(
            source, partition_size="20KiB", strategy="staged", staging=str(tmp_path / "staging")
        )
        assert result.expr.run.way.in_slices == tuple(range(source.npartitions))
        pd.testing.assert_frame_equal(result.compute(), source.compute())


@pytest.mark.usefixtures("_no_task_holds_a_partition")
def test_what_needs_its_partition_is_not_read_in_slices(tmp_path):
    FRAMES["plain"].to_parquet(tmp_path / "one.parquet")
    source = dd.read_parquet(tmp_path / "one.parquet").map_partitions(lambda part: part)
    with dask.config.set(scheduler="sync"):
        for frame in (source, dd.from_pandas(FRAMES["plain"], npartitions=2)):
            result = rebalance_partitions(
                frame, npartitions=3, strategy="staged", staging=str(tmp_path / "staging")
            )
            assert result.expr.run.way.in_slices == ()
            pd.testing.assert_frame_equal(result.compute(), frame.compute())

"""safeframe.set_index and sort_values on a real cluster, against pandas row for row, and what they leave there."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from distributed import wait

import safeframe
from safeframe.engine.exchange.nodes import StageGroups, StagePartitions
from tests.expressions import every_node

ROWS = 6000
STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"


@pytest.fixture
def table(tmp_path):
    """A table on disk in six files: keys that occur some twelve times, and the row's number."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "k": rng.integers(-250, 250, ROWS),
            "row": np.arange(ROWS),
            "wide": rng.random(ROWS),
            "word": pd.Series([f"word {i % 37:02d}" for i in range(ROWS)], dtype=STRING),
        }
    )
    (tmp_path / "table").mkdir()
    for number, piece in enumerate(np.array_split(np.arange(ROWS), 6)):
        frame.iloc[piece].to_parquet(tmp_path / "table" / f"{number}.parquet", index=False)
    return tmp_path


def read(table: Path) -> tuple[dd.DataFrame, pd.DataFrame]:
    frame = dd.read_parquet(table / "table")
    return frame, frame.compute().reset_index(drop=True)


def set_index_of(table: Path, **arguments):
    options = {"partition_size": "32KiB", "staging": str(table / "staging"), **arguments}
    return safeframe.set_index(read(table)[0], "k", **options)


def sort_values_of(table: Path, by, **arguments):
    options = {"partition_size": "32KiB", "staging": str(table / "staging"), **arguments}
    return safeframe.sort_values(read(table)[0], by, **options)


def indexed(frame: pd.DataFrame, column: str = "k", **arguments) -> pd.DataFrame:
    return frame.sort_values(column, kind="stable").set_index(column, **arguments)


def same_rows(found: pd.DataFrame, expected: pd.DataFrame, **arguments) -> None:
    """Every row, in its place: the row's number tells rows of equal keys apart."""
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, **arguments)


def right_divisions(collection) -> None:
    """Each partition's keys lie in its division, and a key is in one partition."""
    parts = [part.index.dropna() for part in dask.compute(*collection.to_delayed())]
    divisions = collection.divisions
    assert collection.known_divisions
    assert len(parts) == collection.npartitions == len(divisions) - 1
    for number, (part, low, after) in enumerate(zip(parts, divisions[:-1], divisions[1:], strict=True)):
        if len(part):
            assert low <= part.min()
            assert part.max() <= after if number == len(parts) - 1 else part.max() < after
    full = [part for part in parts if len(part)]
    assert divisions[0] == full[0].min()
    assert divisions[-1] >= full[-1].max()
    for one, following in pairwise(full):
        assert one.max() < following.min()


def staged_parts(collection):
    inner = list(every_node(collection.optimize().expr))
    staged = {
        tuple(map(str, part.columns_.meta.columns))
        for part in inner
        if isinstance(part, (StagePartitions, StageGroups))
    }
    read_columns = {tuple(part.columns) for part in inner if isinstance(part, ReadParquet)}
    return staged, read_columns


@pytest.mark.parametrize("drop", [True, False])
def test_set_index_is_that_of_pandas(small_cluster, table, drop):
    result = set_index_of(table, drop=drop)
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert plan.output_partitions > 4
    same_rows(result.compute(), indexed(read(table)[1], drop=drop))
    right_divisions(result)


@pytest.mark.parametrize(
    ("by", "ascending"),
    [
        ("k", True),
        ("k", False),
        ("word", True),
        (["word", "k"], [False, True]),
        (["k", "wide"], [True, False]),
    ],
)
def test_sort_values_is_that_of_pandas(small_cluster, table, by, ascending):
    result = sort_values_of(table, by, ascending=ascending, ignore_index=True)
    assert safeframe.explain(result).strategy == "staged"
    assert result.npartitions > 4
    expected = read(table)[1].sort_values(by, ascending=ascending, kind="stable")
    same_rows(result.compute().reset_index(drop=True), expected.reset_index(drop=True))


def test_sort_values_keeps_the_index_of_each_row(small_cluster, table):
    frame = read(table)[1].set_index(pd.Index([f"r{i}" for i in range(ROWS)], name="label"))
    result = safeframe.sort_values(
        dd.from_pandas(frame, npartitions=5, sort=False), "k", npartitions=4, staging=str(table / "staging")
    )
    same_rows(result.compute(), frame.sort_values("k", kind="stable"))


def test_parquet_to_parquet(small_cluster, table):
    set_index_of(table).to_parquet(table / "out")
    same_rows(dd.read_parquet(table / "out", calculate_divisions=True).compute(), indexed(read(table)[1]))


def test_only_needed_columns_are_read_and_staged(small_cluster, table):
    picked = set_index_of(table)[["row"]]
    staged, read_columns = staged_parts(picked)
    assert staged == {("k", "row")}
    assert read_columns == {("k", "row")}
    same_rows(picked.compute(), indexed(read(table)[1])[["row"]])


def test_a_sort_reads_its_keys_though_they_are_not_requested(small_cluster, table):
    picked = sort_values_of(table, ["word", "k"], ignore_index=True)["row"]
    staged, read_columns = staged_parts(picked)
    assert staged == {("k", "row", "word")}
    assert read_columns == {("k", "row", "word")}
    expected = read(table)[1].sort_values(["word", "k"], kind="stable")["row"]
    assert picked.compute().tolist() == expected.tolist()


def test_it_can_be_computed_twice_and_two_at_once(small_cluster, table):
    index, order = set_index_of(table), sort_values_of(table, "word", ignore_index=True)
    expected = indexed(read(table)[1])
    same_rows(index.compute(), expected)
    again, other = dask.compute(index, order)
    same_rows(again, expected)
    assert other["row"].tolist() == read(table)[1].sort_values("word", kind="stable")["row"].tolist()


def test_persisted_frames_go_in_and_out(small_cluster, table):
    frame, expected = read(table)
    result = safeframe.set_index(
        frame.persist(), "k", npartitions=5, staging=str(table / "staging")
    ).persist()
    wait(result)
    same_rows(result.compute(), indexed(expected))
    right_divisions(result)


def test_what_follows_is_plain_dask(small_cluster, table):
    result = set_index_of(table)
    doubled = result.map_partitions(lambda part: part[["row"]] * 2)
    expected = indexed(read(table)[1])
    same_rows(doubled.compute(), expected[["row"]] * 2)
    assert doubled.divisions == result.divisions
    same_rows(result.loc[10:20].compute(), expected.loc[10:20])
    assert len(result) == ROWS
    sums = result.groupby("word").row.sum().compute()
    assert sums.to_dict() == expected.groupby("word").row.sum().to_dict()


def test_a_slice_of_partitions_is_those_partitions(small_cluster, table):
    result = set_index_of(table)
    middle = result.partitions[2:4].compute()
    expected = indexed(read(table)[1])
    same_rows(
        middle, expected[(expected.index >= result.divisions[2]) & (expected.index < result.divisions[4])]
    )


def test_it_survives_pickling(small_cluster, table):
    result = pickle.loads(pickle.dumps(set_index_of(table)))
    same_rows(result.compute(), indexed(read(table)[1]))


def test_a_merge_goes_in(small_cluster, table):
    names = dd.from_pandas(
        pd.DataFrame({"k": np.arange(-250, 250), "name": np.arange(500) * 2}), npartitions=3
    )
    staging = str(table / "staging")
    merged = safeframe.merge(read(table)[0], names, on="k", strategy="staged", staging=staging)
    result = safeframe.sort_values(merged, "row", npartitions=4, ignore_index=True, staging=staging)
    expected = read(table)[1].merge(names.compute(), on="k").sort_values("row", ignore_index=True)
    same_rows(result.compute().reset_index(drop=True), expected)
    by_name = safeframe.set_index(merged, "name", npartitions=4, staging=staging)
    right_divisions(by_name)
    assert by_name.compute().groupby("name").row.sum().equals(expected.groupby("name").row.sum())


def test_a_sort_of_an_index_of_a_sort(small_cluster, table):
    first = set_index_of(table, drop=False)
    second = safeframe.sort_values(
        first, "row", npartitions=3, ignore_index=True, staging=str(table / "staging")
    )
    same_rows(second.compute().reset_index(drop=True), read(table)[1])


@pytest.mark.parametrize("na_position", ["first", "last"])
def test_p2p_gives_the_same_rows(small_cluster, table, na_position):
    frame, expected = read(table)
    frame, expected = (
        one.assign(k=one["k"].astype("Int64").mask(one["k"] > 200)) for one in (frame, expected)
    )
    result = safeframe.sort_values(
        frame, "k", na_position=na_position, npartitions=6, strategy="p2p", ignore_index=True
    )
    assert safeframe.explain(result).strategy == "p2p"
    found = result.compute()
    assert result.npartitions == len(result.to_delayed())
    ordered = expected.sort_values("k", na_position=na_position, kind="stable")
    same_rows(found.reset_index(drop=True), ordered.reset_index(drop=True))


def test_p2p_makes_an_index_with_divisions(small_cluster, table):
    frame, expected = read(table)
    result = safeframe.set_index(frame, "k", npartitions=6, strategy="p2p")
    right_divisions(result)
    same_rows(result.compute(), indexed(expected))


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_without_a_client(table, scheduler):
    with dask.config.set(scheduler=scheduler):
        result = set_index_of(table)
        assert safeframe.explain(result).strategy == "staged"
        same_rows(result.compute(), indexed(read(table)[1]))
        right_divisions(result)
    assert not list((table / "staging").rglob("*.staged"))


def test_nothing_is_staged_once_the_result_is_forgotten(small_cluster, table):
    result = set_index_of(table).persist()
    wait(result)
    del result
    # The look that follows every test waits until no staged run is left.


def number_rows(number: int) -> pd.DataFrame:
    keys = np.arange(number * 100, number * 100 + 100)
    return pd.DataFrame({"k": keys, "row": keys * 3})


def test_partitions_in_order_stay_where_they_are(small_cluster, tmp_path):
    frame = dd.from_map(number_rows, range(5))
    result = safeframe.set_index(frame, "k", staging=str(tmp_path / "staging"))
    plan = safeframe.explain(result)
    assert (plan.strategy, plan.staging_nbytes, plan.staging_directory) == ("sorted", 0, None)
    assert result.divisions == (0, 100, 200, 300, 400, 499)
    assert staged_parts(result)[0] == set()
    same_rows(result.compute(), indexed(frame.compute()))
    right_divisions(result)
    assert not (tmp_path / "staging").exists()


def shared_rows(number: int) -> pd.DataFrame:
    # The last ten keys of each partition are the first key of the next one; the fourth is one key.
    keys = np.full(100, 350) if number == 3 else np.arange(number * 100, number * 100 + 100)
    keys = np.where(keys % 100 >= 90, (keys // 100 + 1) * 100, keys)
    if number == 4:
        keys[:20] = 350
    return pd.DataFrame({"k": keys, "row": np.arange(number * 100, number * 100 + 100)})


@pytest.mark.parametrize("drop", [True, False])
def test_a_key_on_both_sides_of_a_boundary_is_given_to_one(small_cluster, tmp_path, drop):
    frame = dd.from_map(shared_rows, range(6))
    result = safeframe.set_index(frame, "k", drop=drop, staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "sorted"
    assert staged_parts(result)[0] == set()
    same_rows(result.compute(), indexed(frame.compute(), drop=drop))
    right_divisions(result)
    assert not (tmp_path / "staging").exists()


def test_a_sort_leaves_shared_keys_where_they_are(small_cluster, tmp_path):
    frame = dd.from_map(shared_rows, range(6))
    result = safeframe.sort_values(frame, "k", staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "sorted"
    assert result.npartitions == 6
    same_rows(result.compute(), frame.compute().sort_values("k", kind="stable"))


def test_a_size_that_is_requested_is_made_also_of_partitions_in_order(small_cluster, tmp_path):
    frame = dd.from_map(number_rows, range(5))
    result = safeframe.set_index(frame, "k", npartitions=7, staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "staged"
    assert result.npartitions == 7
    right_divisions(result)

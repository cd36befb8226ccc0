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
from dask.dataframe.dask_expr._expr import Fused
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from distributed import wait

import safeframe
from safeframe.engine.exchange_nodes import StageGroups, StagePartitions

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
    inner = list(collection.optimize().expr.walk())
    inner += [part for fused in inner if isinstance(fused, Fused) for part in fused.exprs]
    inner += [part for node in inner if isinstance(node, StageGroups) for part in node.frame.walk()]
    inner += [part for fused in inner if isinstance(fused, Fused) for part in fused.exprs]
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


def test_a_sort_reads_its_keys_though_they_are_not_asked_for(small_cluster, table):
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


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_without_a_client(table, scheduler):
    with dask.config.set(scheduler=scheduler):
        result = set_index_of(table)
        assert safeframe.explain(result).strategy == "staged"
        same_rows(result.compute(), indexed(read(table)[1]))
        right_divisions(result)
    assert not list((table / "staging").rglob("*.arrow"))


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
def test_a_key_on_both_sides_of_a_boundary_is_brought_to_one(small_cluster, tmp_path, drop):
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


def test_a_size_that_is_asked_for_is_made_also_of_partitions_in_order(small_cluster, tmp_path):
    frame = dd.from_map(number_rows, range(5))
    result = safeframe.set_index(frame, "k", npartitions=7, staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "staged"
    assert result.npartitions == 7
    right_divisions(result)


GROWING = pd.CategoricalDtype(["small", "medium", "large", "huge"], ordered=True)
LETTERS = pd.CategoricalDtype(["a", "b", "c", "d"])

KINDS = {
    "string": lambda codes: pd.Series(
        [None if c == 0 else f"key {c * 7 % 97:03d}" for c in codes], dtype=STRING
    ),
    "not ascii": lambda codes: pd.Series(["äöüß€"[c % 5] * (c % 4 + 1) for c in codes], dtype=STRING),
    "ordered category": lambda codes: pd.Series(pd.Categorical.from_codes(codes % 5 - 1, dtype=GROWING)),
    "category": lambda codes: pd.Series(pd.Categorical.from_codes(codes % 4, dtype=LETTERS)),
    "tz": lambda codes: pd.Series(
        pd.to_datetime(codes * 1_800_000_000_000 + 1_729_990_000_000_000_000)
        .tz_localize("UTC")
        .tz_convert("Europe/Berlin")
    ),
    "tz with nulls": lambda codes: KINDS["tz"](codes).where(codes != 0),
    "Int64": lambda codes: pd.Series(pd.array(codes, dtype="Int64")).mask(codes == 0),
    "float": lambda codes: pd.Series(np.where(codes == 0, np.nan, codes / 4 - 5)),
    "uint64": lambda codes: pd.Series(codes.astype("uint64") + np.uint64(2**63 - 20)),
    "timedelta": lambda codes: pd.Series(pd.to_timedelta((codes - 20) * 3600, unit="s")),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    """A frame of 1200 rows in five partitions with keys of a kind, in no order."""
    codes = np.random.default_rng(5).integers(0, 60, 1200)
    frame = pd.DataFrame({"k": KINDS[request.param](codes), "row": np.arange(1200)})
    with dask.config.set({"dataframe.convert-string": False}):
        pieces = np.array_split(np.arange(1200), 5)
        return frame, dd.from_map(lambda piece: frame.iloc[piece], pieces, meta=frame.iloc[:0])


def test_keys_of_every_kind_become_an_index(small_cluster, kind, tmp_path):
    expected, frame = kind
    result = safeframe.set_index(frame, "k", npartitions=4, staging=str(tmp_path))
    found = result.compute()
    same_rows(found, indexed(expected), check_categorical=False)
    assert found.index.dtype == expected["k"].dtype
    dtype = expected["k"].dtype
    if isinstance(dtype, pd.CategoricalDtype) and not dtype.categories.is_monotonic_increasing:
        assert not result.known_divisions
    else:
        right_divisions(
            result.map_partitions(plain_index) if isinstance(dtype, pd.CategoricalDtype) else result
        )


def plain_index(part: pd.DataFrame) -> pd.DataFrame:
    return part.set_axis(part.index.astype(STRING))


@pytest.mark.parametrize(("ascending", "na_position"), [(True, "first"), (False, "last")])
def test_keys_of_every_kind_are_sorted(small_cluster, kind, ascending, na_position, tmp_path):
    expected, frame = kind
    arguments = {"ascending": ascending, "na_position": na_position}
    result = safeframe.sort_values(frame, "k", partition_size="4KiB", staging=str(tmp_path), **arguments)
    assert result.npartitions >= 4
    same_rows(
        result.compute(), expected.sort_values("k", kind="stable", **arguments), check_categorical=False
    )


def test_several_columns_of_several_kinds_and_directions(small_cluster, tmp_path):
    codes = np.random.default_rng(6).integers(0, 60, (3, 1500))
    expected = pd.DataFrame(
        {
            "size": KINDS["ordered category"](codes[0]),
            "word": KINDS["string"](codes[1] // 12),
            "n": KINDS["Int64"](codes[2]),
            "row": np.arange(1500),
        }
    )
    with dask.config.set({"dataframe.convert-string": False}):
        frame = dd.from_pandas(expected, npartitions=5, sort=False)
    arguments = {"ascending": [False, True, False], "na_position": "first"}
    by = ["size", "word", "n"]
    result = safeframe.sort_values(frame, by, npartitions=6, staging=str(tmp_path), **arguments)
    same_rows(result.compute(), expected.sort_values(by, kind="stable", **arguments), check_categorical=False)


def heavy_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    keys = np.where(rng.random(2000) < 0.8, 500, rng.integers(0, 1000, 2000))
    return pd.DataFrame({"k": keys, "row": np.arange(number * 2000, number * 2000 + 2000)})


def test_a_key_with_most_rows_fills_several_partitions(small_cluster, tmp_path):
    frame = dd.from_map(heavy_rows, range(6))
    result = safeframe.sort_values(
        frame, "k", partition_size="16KiB", ignore_index=True, staging=str(tmp_path)
    )
    plan = safeframe.explain(result)
    parts = dask.compute(*result.to_delayed())
    assert sum((part["k"] == 500).all() and len(part) > 0 for part in parts) >= 9
    assert max(len(part) for part in parts) * plan.row_nbytes <= plan.largest_partition_nbytes
    assert plan.largest_partition_nbytes <= plan.partition_nbytes == 16 * 1024
    found = pd.concat(parts, ignore_index=True)
    same_rows(found, frame.compute().sort_values("k", kind="stable", ignore_index=True))


def test_set_index_keeps_a_heavy_key_whole_and_says_so(small_cluster, tmp_path):
    frame = dd.from_map(heavy_rows, range(6))
    result = safeframe.set_index(frame, "k", partition_size="16KiB", staging=str(tmp_path))
    plan = safeframe.explain(result)
    assert plan.largest_partition_nbytes > 9000 * 16
    same_rows(result.compute(), indexed(frame.compute()))
    right_divisions(result)


@pytest.mark.parametrize("rows", [[0], [0, 0, 0], [7], [0, 5, 0, 0, 9, 0]])
@pytest.mark.parametrize("recipe", ["set_index", "sort_values"])
def test_few_rows_and_empty_partitions(small_cluster, tmp_path, rows, recipe):
    expected = pd.DataFrame({"k": (np.arange(sum(rows)) * 5) % 7, "row": np.arange(sum(rows))})
    ends = np.cumsum(rows)
    frame = dd.from_map(lambda end, n: expected.iloc[end - n : end], ends, rows, meta=expected.iloc[:0])
    result = getattr(safeframe, recipe)(frame, "k", staging=str(tmp_path))
    ordered = expected.sort_values("k", kind="stable")
    found = result.compute()
    same_rows(found, ordered if recipe == "sort_values" else ordered.set_index("k"))
    assert list(found.dtypes) == list(result.dtypes)
    if recipe == "set_index" and sum(rows):
        right_divisions(result)


def test_an_index_in_order_with_empty_partitions(small_cluster, tmp_path):
    frame = dd.from_map(
        lambda i: number_rows(i) if i % 2 else number_rows(i).iloc[:0], range(6), meta=number_rows(0).iloc[:0]
    )
    result = safeframe.set_index(frame, "k", staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "sorted"
    same_rows(result.compute(), indexed(frame.compute()))
    right_divisions(result)

"""Groups whose number files bound are not counted before they are planned, and results are those of counted ones."""

from __future__ import annotations

import datetime

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.errors import RowConservationError
from safeframe.sizing.keys.at_most import bound_keys
from safeframe.sizing.remembered import STORE

ROWS = 3_000
COUNTING = "safeframe.prepare.groupby.plan.count_keys"


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    STORE.clear()


def frame_of(seed, first_word=0):
    rng = np.random.default_rng(seed)
    words = rng.integers(first_word, first_word + 5, ROWS)
    return pd.DataFrame(
        {
            "word": pd.Series(
                [("", "b", "cc")[word] if word < 3 else f"w{word}" for word in words], dtype="str"
            ),
            "n": rng.integers(-3, 4, ROWS),
            "small": rng.integers(0, 200, ROWS).astype(np.uint8),
            "flag": rng.random(ROWS) < 0.5,
            "day": pd.Series([datetime.date(2020, 1, 1 + int(day)) for day in rng.integers(0, 9, ROWS)]),
            "kind": pd.Categorical.from_codes(rng.integers(0, 3, ROWS), categories=["x", "y", "z"]),
            "v": rng.integers(0, 100, ROWS),
            "f": rng.random(ROWS),
        }
    )


@pytest.fixture
def files(tmp_path):
    for number, first_word in enumerate((0, 2, 40)):
        frame_of(number, first_word).to_parquet(tmp_path / f"{number}.parquet", row_group_size=900)
    return str(tmp_path)


def written(path, *tables, **options):
    for number, table in enumerate(tables):
        pq.write_table(table, path / f"{number}.parquet", **options)
    return str(path)


@pytest.fixture
def no_counting(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("keys are counted")

    monkeypatch.setattr(COUNTING, refuse)


BOUNDED = ["word", "n", "small", "flag", "day", "kind", ["word", "n"], ["flag", "kind", "small"]]


@pytest.mark.usefixtures("no_counting")
@pytest.mark.parametrize("by", BOUNDED)
@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_keys_are_not_counted(files, by, filesystem):
    ddf = dd.read_parquet(files, filesystem=filesystem)
    names = by if isinstance(by, list) else [by]
    expected = ddf.compute().groupby(by, observed=True)[["v", "f"]].agg(["sum", "mean", "std"]).sort_index()
    found = safeframe.groupby(ddf, by)[["v", "f"]].agg(["sum", "mean", "std"])
    plan = safeframe.explain(found)
    assert plan.strategy == "tree"
    assert plan.counting is None
    assert len(expected) <= plan.output_rows.upper <= len(ddf)
    assert "keys are not counted" in " ".join(plan.reasons)
    made = found.compute().sort_index()
    if "kind" in names:  # categories that were told by files come in another order
        made.index, expected.index = (one.index.map(str) for one in (made, expected))
        made, expected = made.sort_index(), expected.sort_index()
    pd.testing.assert_frame_equal(made, expected)


@pytest.mark.usefixtures("no_counting")
@pytest.mark.parametrize("options", [{"as_index": False}, {"sort": False}, {"as_index": False, "sort": True}])
def test_forms_of_results(files, options):
    ddf = dd.read_parquet(files)
    expected = ddf.compute().groupby(["n"], **options)[["v"]].sum()
    found = safeframe.groupby(ddf, ["n"], **options)[["v"]].sum().compute()
    if "sort" not in options:
        found, expected = (one.sort_values("n").reset_index(drop=True) for one in (found, expected))
    pd.testing.assert_frame_equal(found, expected)


def test_divisions_are_those_of_keys_that_are_there(files):
    found = safeframe.groupby(dd.read_parquet(files), "n", sort=True).v.sum()
    assert found.divisions == (-3, 3)
    assert safeframe.explain(found).counting is not None


@pytest.mark.usefixtures("no_counting")
@pytest.mark.parametrize("dropna", [True, False])
@pytest.mark.parametrize("by", ["word", "n", ["word", "n"]])
def test_nulls(tmp_path, dropna, by):
    words = [pa.array(["a", None, "", "a"] * 100), pa.array([None] * 400, pa.string())]
    numbers = [pa.array([1, 2, None, 4] * 100), pa.array([5, 5, 5, None] * 100)]
    tables = [
        pa.table({"word": word, "n": number, "v": range(400)})
        for word, number in zip(words, numbers, strict=True)
    ]
    ddf = dd.read_parquet(written(tmp_path, *tables))
    expected = ddf.compute().groupby(by, dropna=dropna).v.sum()
    found = safeframe.groupby(ddf, by, dropna=dropna).v.sum()
    keys = bound_keys(ddf, tuple(by) if isinstance(by, list) else (by,), dropna=dropna)
    assert keys.keys >= len(expected)
    # Of integers with nulls floats are made, before which a null is a value.
    most = {"word": 2 + (not dropna), "n": 6}.get(by if isinstance(by, str) else "", 18)
    assert keys.keys <= most
    pd.testing.assert_series_equal(found.compute().sort_index(), expected.sort_index())


def test_dictionaries_of_all_files_bound_the_groups(tmp_path):
    tables = [pa.table({"k": [f"k{(place + number) % 5}" for place in range(500)]}) for number in range(3)]
    tables.append(pa.table({"k": ["other"] * 500}))
    ddf = dd.read_parquet(written(tmp_path, *tables))
    keys = bound_keys(ddf, ("k",), dropna=True)
    assert (keys.keys, keys.rows.tolist(), keys.fewer) == (6, [500] * 4, False)


@pytest.mark.parametrize(
    "options",
    [{"dictionary_pagesize_limit": 64}, {"use_dictionary": False}, {"write_statistics": False}],
    ids=["some pages are text", "no dictionary", "no statistics"],
)
def test_files_that_do_not_tell(tmp_path, options):
    tables = [
        pa.table({"k": [f"key {at % 40}" for at in range(4_000)], "n": [at % 7 for at in range(4_000)]})
    ]
    ddf = dd.read_parquet(written(tmp_path, *tables, data_page_size=512, **options))
    told = "write_statistics" in options
    assert (bound_keys(ddf, ("k",), dropna=True) is not None) == told
    assert (bound_keys(ddf, ("n",), dropna=True) is not None) != told
    by = "n" if told else "k"
    found = safeframe.groupby(ddf, by).size()
    assert safeframe.explain(found).counting is not None
    pd.testing.assert_series_equal(found.compute().sort_index(), ddf.compute().groupby(by).size())


def test_one_row_group_without_a_dictionary(tmp_path):
    table = pa.table({"k": ["a", "b"] * 100})
    pq.write_table(table, tmp_path / "0.parquet")
    pq.write_table(table, tmp_path / "1.parquet", use_dictionary=False)
    assert bound_keys(dd.read_parquet(tmp_path), ("k",), dropna=True) is None


@pytest.mark.parametrize("far", [2**40, 2**62])
def test_integers_far_apart_are_counted(tmp_path, far):
    # As many rows as may be: fewer would bound the keys by themselves.
    table = pa.table({"k": pa.array(np.arange(2**21) % 7 * (far // 6)), "v": np.arange(2**21)})
    ddf = dd.read_parquet(written(tmp_path, table))
    assert bound_keys(ddf, ("k",), dropna=True) is None
    assert safeframe.explain(safeframe.groupby(ddf, "k").v.sum()).counting is not None


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.int8(),
        pa.uint64(),
        pa.bool_(),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_counting")
def test_types_of_files(tmp_path, kind):
    values = pa.array([0, 1, 1, 0] * 50)
    column = values.cast(pa.string()).cast(kind) if "string" in str(kind) else values.cast(kind)
    ddf = dd.read_parquet(written(tmp_path, pa.table({"k": column, "v": range(200)})))
    found = safeframe.groupby(ddf, "k").v.sum().compute().sort_index()
    expected = ddf.compute().groupby("k", observed=True).v.sum()
    assert found.tolist() == expected.tolist()
    assert list(found.index) == list(expected.index)


@pytest.mark.usefixtures("no_counting")
def test_text_that_is_objects(files):
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.read_parquet(files)
        found = safeframe.groupby(ddf, "word").v.sum().compute().sort_index()
        pd.testing.assert_series_equal(found, ddf.compute().groupby("word").v.sum())


@pytest.mark.usefixtures("no_counting")
def test_filters(files):
    for ddf in (
        dd.read_parquet(files, filters=[("v", ">", 50)]),
        dd.read_parquet(files, filters=[("v", ">", 50)], filesystem="arrow"),
        (whole := dd.read_parquet(files))[whole.v > 50],
    ):
        expected = ddf.compute().groupby(["word", "n"]).f.sum()
        found = safeframe.groupby(ddf, ["word", "n"]).f.sum()
        pd.testing.assert_series_equal(found.compute().sort_index(), expected)


@pytest.mark.usefixtures("no_counting")
def test_folders_are_keys(tmp_path):
    frame_of(0).to_parquet(tmp_path / "files", partition_cols=["word"])
    ddf = dd.read_parquet(tmp_path / "files")
    expected = ddf.compute().groupby(["word", "flag"], observed=True).v.sum()
    found = safeframe.groupby(ddf, ["word", "flag"]).v.sum().compute()
    assert dict(found.items()) == dict(expected.items())


def test_keys_that_are_worked_out_are_counted(files):
    ddf = dd.read_parquet(files)
    assert bound_keys(ddf.assign(n=ddf.n * 7), ("n",), dropna=True) is None
    assert bound_keys(ddf.assign(other=ddf.n * 7), ("n",), dropna=True).keys == 7
    assert bound_keys(ddf.reset_index(), ("n",), dropna=True) is None
    assert bound_keys(dd.from_pandas(frame_of(0), npartitions=2), ("n",), dropna=True) is None


@pytest.mark.usefixtures("no_counting")
def test_value_counts(files):
    ddf = dd.read_parquet(files)
    for normalize in (False, True):
        found = safeframe.value_counts(ddf.word, normalize=normalize).compute()
        pd.testing.assert_series_equal(
            found.sort_index(), ddf.word.compute().value_counts(normalize=normalize).sort_index()
        )


@pytest.mark.parametrize("filtered", [False, True])
def test_other_rows_than_footers_had_are_noticed(files, filtered):
    ddf = dd.read_parquet(files)
    ddf = ddf[ddf.v >= 0] if filtered else ddf
    found = safeframe.groupby(ddf, "n").v.sum()
    pd.concat([frame_of(7), frame_of(8)]).to_parquet(f"{files}/1.parquet")
    with pytest.raises(RowConservationError):
        found.compute()


def test_a_bound_that_a_tree_has_no_room_for_is_no_plan(files):
    ddf = dd.read_parquet(files)
    plan = safeframe.explain(safeframe.groupby(ddf, ["word", "n"], npartitions=3).v.sum())
    assert plan.counting is not None
    assert plan.output_partitions == 3


def test_a_column_under_another_name_is_not_looked_for_in_files(files):
    ddf = dd.read_parquet(files)
    renamed = ddf.n.to_frame(name="word")
    assert bound_keys(renamed, ("word",), dropna=True) is None
    assert bound_keys(ddf[["n", "v"]].rename(columns={"n": "word"}), ("word",), dropna=True) is None
    found = safeframe.groupby(renamed, "word").size()
    pd.testing.assert_series_equal(found.compute().sort_index(), renamed.compute().groupby("word").size())


@pytest.mark.parametrize("least", [2**20, 49])
def test_filters_that_leave_next_to_nothing(tmp_path, least):
    for number in range(50):
        frame = pd.DataFrame({"k": [number % 3] * 10, "v": number, "text": [f"text {number}"] * 10})
        frame.to_parquet(tmp_path / f"{number:02}.parquet")
    ddf = dd.read_parquet(tmp_path)
    ddf = ddf[ddf.v >= least]
    found = safeframe.groupby(ddf, "k").text.max()
    pd.testing.assert_series_equal(found.compute(), ddf.compute().groupby("k").text.max())


@pytest.mark.usefixtures("no_counting")
def test_files_without_rows(tmp_path):
    ddf = dd.read_parquet(
        written(tmp_path, pa.table({"k": pa.array([], pa.int64()), "v": pa.array([], pa.int64())}))
    )
    assert len(safeframe.groupby(ddf, "k").v.sum().compute()) == 0


@pytest.mark.parametrize("dictionary", [True, False])
def test_few_row_groups_of_many(tmp_path, dictionary):
    table = pa.table({"k": [f"k{place // 100}" for place in range(2_000)]})
    path = written(tmp_path, table, row_group_size=100, use_dictionary=dictionary)
    ddf = dd.read_parquet(path, split_row_groups=True)
    assert ddf.npartitions == 20
    keys = bound_keys(ddf, ("k",), dropna=True)
    assert (None if keys is None else keys.keys) == (20 if dictionary else None)

"""Keys that parquet files keep in dictionaries are read as categories, and results are those of text."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.numbering import numbered, numbered_by_place
from safeframe.kernels.keys.summary import summarise
from safeframe.sizing.parquet.dictionaries import kept_in_dictionaries
from safeframe.sizing.remembered import STORE

ROWS = 30_000


def frame_of(seed, nulls=0.0, words=50, offset=0):
    rng = np.random.default_rng(seed)
    text = pd.Series([f"word {offset + number}" for number in rng.integers(0, words, ROWS)], dtype="str")
    other = pd.Series([f"{number:x}" for number in rng.integers(0, 3, ROWS)], dtype="str")
    if nulls:
        text[rng.random(ROWS) < nulls] = None
    return pd.DataFrame(
        {"text": text, "other": other, "n": rng.integers(0, 4, ROWS), "v": rng.integers(0, 9, ROWS)}
    )


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    STORE.clear()


@pytest.fixture
def files(tmp_path):
    frames = [frame_of(0), frame_of(1, nulls=0.2, offset=20), frame_of(2, words=3), frame_of(3, nulls=1.0)]
    # Nulls alone are of no type in a file of pandas 2, and dask has no partition of that for text.
    schema = pa.Schema.from_pandas(frames[0])
    for number, frame in enumerate(frames):
        frame.to_parquet(tmp_path / f"{number}.parquet", row_group_size=7_000, schema=schema)
    return str(tmp_path), dd.read_parquet(str(tmp_path)).compute()


@pytest.mark.parametrize("dropna", [True, False])
@pytest.mark.parametrize("by", ["text", ["text", "other"], ["n", "text"], ["other", "n"]])
@pytest.mark.parametrize("read", [{}, {"filesystem": "arrow"}, {"filters": [("v", ">", 3)]}])
def test_groups_are_those_of_text(files, by, dropna, read):
    ddf = dd.read_parquet(files[0], **read)
    expected = ddf.compute().groupby(by, dropna=dropna)
    for function in ("sum", "first"):
        grouped = safeframe.groupby(ddf, by, dropna=dropna).v
        found = getattr(grouped, function)().compute().sort_index()
        pd.testing.assert_series_equal(found, getattr(expected.v, function)(), check_index_type=True)


@pytest.mark.parametrize("kind", ["filtered", "assigned", "chosen"])
def test_steps_take_text(files, kind):
    directory, frame = files
    of = {
        "filtered": lambda f: f[f.text.str.endswith("1")],
        "assigned": lambda f: f.assign(text=f.text.str.upper()),
        "chosen": lambda f: f[f.text.isin(["word 1", "word 2"])],
    }[kind]
    found = safeframe.groupby(of(dd.read_parquet(directory)), "text").v.sum().compute().sort_index()
    pd.testing.assert_series_equal(found, of(frame).groupby("text").v.sum())


def test_text_of_other_types(tmp_path):
    frame = frame_of(4, nulls=0.1)
    large = pa.Table.from_pandas(frame).set_column(
        0, "text", pa.array(frame.text.tolist(), pa.large_string(), from_pandas=True)
    )
    pq.write_table(large, tmp_path / "0.parquet", row_group_size=7_000)
    pq.write_table(large, tmp_path / "1.parquet", use_dictionary=False)
    expected = pd.concat([frame, frame]).groupby("text").v.sum()
    for options in ({}, {"dtype_backend": "pyarrow"}):
        with dask.config.set({"dataframe.convert-string": not options}):
            found = safeframe.groupby(dd.read_parquet(str(tmp_path), **options), "text").v.sum().compute()
        assert found.sort_index().to_dict() == expected.to_dict()


def test_which_columns_are_kept_in_dictionaries(files, tmp_path):
    directory, _ = files
    file = pq.ParquetFile(f"{directory}/0.parquet")
    assert kept_in_dictionaries(file, [0, 1], ["text", "n", "missing"]) == {"text"}
    unlike = pa.table({"text": [f"{number:09d}" for number in range(200_000)]})
    pq.write_table(unlike, tmp_path / "unlike", dictionary_pagesize_limit=10_000)
    assert kept_in_dictionaries(pq.ParquetFile(tmp_path / "unlike"), [0], ["text"]) == set()


def test_files_are_read_as_categories(files, monkeypatch):
    directory, _ = files
    from safeframe.kernels.groupby.states import GroupStates

    seen = []
    real = GroupStates.states

    def states(self, frame):
        if frame.text.notna().any():  # a file of nulls alone has no dictionary
            seen.append(str(frame.dtypes["text"]))
        return real(self, frame)

    monkeypatch.setattr(GroupStates, "states", states)
    with dask.config.set(scheduler="sync"):
        safeframe.groupby(dd.read_parquet(directory), "text").v.sum().compute()
    assert seen == ["category"] * 3


@pytest.mark.parametrize("seed", range(8))
def test_keys_that_are_numbered_first_are_counted_alike(seed):
    rng = np.random.default_rng(seed)
    n = 5000
    texts = pd.Series(rng.choice(["a", "bb", "", "é"], n), dtype="str")
    if seed % 2:
        texts[rng.random(n) < 0.3] = None
    if seed % 4 == 2:
        texts = texts.sort_values(ignore_index=True)
    several = seed >= 4
    more = [pd.Series(rng.integers(-2, 3, n))] if several else []
    kinds = (KeyColumn(kind="string"), *[KeyColumn(kind="number")] * several)
    schema = KeySchema(columns=kinds)
    assert numbered_by_place([texts, *more]) is None
    by_place = [texts.astype("category"), *more]
    groups = numbered_by_place(by_place)
    assert groups is not None
    assert np.array_equal(groups.numbers, numbered([texts, *more]).numbers)
    one, other = (summarise(keys, schema, 100) for keys in ([texts, *more], by_place))
    assert np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.counts, other.counts)
    assert one.labels == other.labels
    for name in ("rows", "null_rows", "first", "last", "increasing", "first_rows", "last_rows", "checksums"):
        assert np.array_equal(getattr(one.partitions, name), getattr(other.partitions, name)), name


@pytest.mark.parametrize("by", ["s", ["s", "g"]])
def test_categories_that_are_not_known_keep_their_labels(tmp_path, by):
    for number in range(3):
        text = pa.array([f"v{number}{at % 3}" if at % 4 else None for at in range(12)])
        table = pa.table({"s": text.dictionary_encode(), "g": [at % 2 for at in range(12)], "x": range(12)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    ddf = dd.read_parquet(tmp_path)
    frame = ddf.compute().astype({"s": object})
    groups = safeframe.groupby(ddf, by, observed=False).x.sum().compute()
    expected = frame.dropna().groupby(by).x.sum()
    assert groups[groups != 0].to_dict() == expected[expected != 0].to_dict()
    counts = safeframe.value_counts(ddf, by).compute()
    assert counts[counts > 0].to_dict() == frame.dropna().value_counts(by).to_dict()


@pytest.mark.parametrize("by", ["text", ["text", "other"]])
@pytest.mark.parametrize("dropna", [True, False])
def test_a_file_of_nulls_of_no_type(tmp_path, by, dropna):
    frames = [frame_of(0), frame_of(1, nulls=0.2).assign(text=pd.Series([None] * ROWS, dtype=object))]
    for number, frame in enumerate(frames):
        frame.to_parquet(tmp_path / f"{number}.parquet")
    assert pq.read_schema(tmp_path / "1.parquet").field("text").type == pa.null()
    # pandas 2 warns where such a column is joined to text, of which pandas 3 makes objects.
    groups = safeframe.groupby(dd.read_parquet(tmp_path), by, dropna=dropna).v.sum()
    found = groups.compute()
    expected = pd.concat(frames).groupby(by, dropna=dropna).v.sum()
    assert found.reset_index().fillna("none").set_index(by).v.to_dict() == (
        expected.reset_index().fillna("none").set_index(by).v.to_dict()
    )
    assert found.reset_index().text.dtype == groups._meta.reset_index().text.dtype

"""Frames that ``dd.read_parquet(dtype_backend="pyarrow")`` makes: keys and results are those of pandas, and of the promised types."""

from __future__ import annotations

import tempfile

import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

import safeframe
from tests.property.merging import examples

FLOATS = [float("nan"), None, 0.0, 1.0, -2.5, float("inf"), -float("inf")]


def read(table, directory, files=3, rows=60):
    """Write a table to some files, read it with Arrow's types, and return what pandas has, in one chunk."""
    step = -(-len(table) // files) or 1
    for number in range(files):
        pq.write_table(table.slice(number * step, step), f"{directory}/{number}.parquet", row_group_size=rows)
    ddf = dd.read_parquet(directory, dtype_backend="pyarrow")
    types = {
        name: pd.ArrowDtype(kind) for name, kind in zip(table.column_names, table.schema.types, strict=True)
    }
    # pandas numbers no nulls of several chunks.
    columns = {name: types[name].__from_arrow__(table.column(name).combine_chunks()) for name in types}
    return ddf, pd.DataFrame(columns)


def shown(frame):
    """Return rows in an order, NaN and NA told apart."""
    return sorted(repr(tuple(row)) for row in frame.astype(object).itertuples(index=False))


def floats(draw, name):
    keys = draw(st.lists(st.sampled_from(FLOATS), min_size=1, max_size=30))
    return pa.table({"k": pa.array(keys, pa.float64()), name: pa.array(range(len(keys)))})


@examples(30)
@given(
    st.data(),
    st.sampled_from(["inner", "left", "right", "outer"]),
    st.sampled_from(["staged", "broadcast", None]),
)
def test_nan_and_null_are_two_keys_of_a_merge(data, how, strategy):
    given_strategy = (
        {} if strategy is None or (strategy, how) == ("broadcast", "outer") else {"strategy": strategy}
    )
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        left, of_left = read(floats(data.draw, "a"), one)
        right, of_right = read(floats(data.draw, "b"), other)
        with dask.config.set(scheduler="sync"):
            found = safeframe.merge(left, right, on="k", how=how, **given_strategy).compute()
    expected = of_left.merge(of_right, on="k", how=how)
    assert shown(found) == shown(expected)
    assert found.dtypes.to_dict() == expected.dtypes.to_dict()


@pytest.mark.parametrize("how", ["inner", "left"])
def test_nan_of_numpy_is_null_next_to_them(tmp_path, how):
    left, of_left = read(pa.table({"k": pa.array(FLOATS, pa.float64())}), tmp_path)
    right = pd.DataFrame({"k": [1.0, None], "w": [1, 2]})
    with dask.config.set(scheduler="sync"):
        found = safeframe.merge(left, dd.from_pandas(right, npartitions=1), on="k", how=how).compute()
    assert shown(found) == shown(of_left.merge(right, on="k", how=how))


def test_nan_is_no_integer(tmp_path):
    left, _ = read(pa.table({"k": pa.array(FLOATS, pa.float64())}), tmp_path)
    right = pd.DataFrame({"k": [0, 1], "w": [1, 2]})
    with dask.config.set(scheduler="sync"):
        found = safeframe.merge(left, dd.from_pandas(right, npartitions=1), on="k").compute()
    assert sorted(zip(found["k"], found["w"], strict=True)) == [(0.0, 1), (1.0, 2)]


@examples(20)
@given(st.data(), st.booleans())
def test_nan_and_null_are_two_values_of_distinct_and_groups(data, dropna):
    with tempfile.TemporaryDirectory() as directory, dask.config.set(scheduler="sync"):
        ddf, frame = read(floats(data.draw, "v"), directory)
        kept = safeframe.drop_duplicates(ddf, "k").compute()
        marks = safeframe.duplicated(ddf, "k").compute()
        n = int(safeframe.nunique(ddf, "k", dropna=dropna).compute().iloc[0])
        values = safeframe.unique(ddf, "k").compute()
        counts = safeframe.value_counts(ddf, "k", dropna=dropna).compute()
        sums = safeframe.groupby(ddf, "k", dropna=dropna).v.sum()
        summed = sums.compute()
        ordered = safeframe.sort_values(ddf, "k").compute()
    assert shown(kept) == shown(frame.drop_duplicates("k"))
    assert marks.tolist() == frame.duplicated("k").tolist()
    assert n == frame["k"].nunique(dropna=dropna)
    assert len(values) == len(frame["k"].unique())
    for found, expected in (
        (counts, frame["k"].value_counts(dropna=dropna)),
        (summed, frame.groupby("k", dropna=dropna).v.sum()),
    ):
        assert sorted(map(repr, found.items())) == sorted(map(repr, expected.items()))
    assert summed.index.dtype == sums._meta.index.dtype
    is_value = (ordered["k"].notna() & (ordered["k"] == ordered["k"])).fillna(value=False).tolist()
    assert is_value == sorted(is_value, reverse=True)  # NaN and nulls are at the end
    assert shown(ordered) == shown(frame)


@pytest.mark.parametrize("arguments", [{}, {"as_index": False}, {"sort": True}, {"dropna": False}])
@pytest.mark.parametrize("by", [["w"], ["w", "n"]])
def test_groups_by_text_have_the_promised_types(tmp_path, by, arguments):
    words = [f"s{n % 6}" if n % 5 else None for n in range(600)]
    table = pa.table({"w": words, "n": [n % 2 for n in range(600)], "v": range(600)})
    ddf, frame = read(table, tmp_path, rows=100)
    grouped = safeframe.groupby(ddf, by, **arguments)
    expected = frame.groupby(by, **{"dropna": True, **arguments})
    for made, wanted in ((grouped.v.sum(), expected.v.sum()), (grouped.agg({"v": ["min", "mean"]}), None)):
        with dask.config.set(scheduler="sync"):
            found = made.compute()
        meta = made._meta
        if arguments.get("as_index", True):
            found, meta = found.reset_index(), meta.reset_index()
            wanted = None if wanted is None else wanted.reset_index()
        assert found.dtypes.to_list() == meta.dtypes.to_list()
        if wanted is not None:
            assert shown(found) == shown(wanted)


def test_groups_by_text_are_written_and_merged(tmp_path):
    (tmp_path / "in").mkdir()
    ddf, frame = read(pa.table({"w": ["a", "b"] * 300, "v": range(600)}), tmp_path / "in")
    sums = safeframe.groupby(ddf, "w").v.sum().reset_index()
    with dask.config.set(scheduler="sync"):
        safeframe.to_parquet(sums, tmp_path / "out")
        merged = safeframe.merge(ddf, sums, on="w").compute()
    assert sorted(dd.read_parquet(tmp_path / "out").compute()["w"]) == ["a", "b"]
    assert len(merged) == len(frame)


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()])
def test_a_type_that_pandas_cannot_use_is_refused_in_words(tmp_path, kind):
    if Version(pa.__version__) < Version("21"):
        pytest.skip("this version of pyarrow writes no views")
    pq.write_table(
        pa.table({"k": [1, 2], "v": pa.array([b"a", b"b"]).cast(pa.binary()).cast(kind)}),
        tmp_path / "0.parquet",
    )
    ddf = dd.read_parquet(tmp_path, dtype_backend="pyarrow")
    for call in (
        lambda: safeframe.merge(ddf, ddf, on="k"),
        lambda: safeframe.groupby(ddf, "v").k.sum(),
        lambda: safeframe.drop_duplicates(ddf, "v"),
        lambda: safeframe.to_parquet(ddf, tmp_path / "out"),
    ):
        with pytest.raises(safeframe.UnsupportedError, match=r"column .v. of Arrow.s (string|binary)_view"):
            call()


def test_dictionaries_of_files_that_no_pandas_wrote_are_written(tmp_path):
    table = pa.table(
        {
            "k": [1, 2, 3],
            "w": pa.array(["x", "y", None]).dictionary_encode(),
            "o": pa.DictionaryArray.from_arrays([0, 1, 0], ["p", "q"], ordered=True),
        }
    )
    pq.write_table(table, tmp_path / "0.parquet")
    ddf = dd.read_parquet(tmp_path / "0.parquet")
    small = dd.from_pandas(pd.DataFrame({"k": [1, 2, 3]}), npartitions=1)
    with dask.config.set(scheduler="sync"):
        for number, made in enumerate((ddf, safeframe.merge(ddf, small, on="k"))):
            safeframe.to_parquet(made, tmp_path / f"out{number}")
            found = pd.read_parquet(tmp_path / f"out{number}").reset_index(drop=True)[["k", "w", "o"]]
            pd.testing.assert_frame_equal(found, table.to_pandas())


@pytest.mark.parametrize("dropna", [True, False])
def test_groups_by_dictionaries_of_arrow(dropna):
    words = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 2, 0, 2]), ["a", "b", "a"]
    )  # "a" is in it twice
    plain = pa.array(["a", "b", None, "b", "a", "a"]).dictionary_encode()
    for values in (words, plain):
        kind = pd.ArrowDtype(values.type)
        frame = pd.DataFrame({"w": kind.__from_arrow__(pa.chunked_array([values])), "v": range(6)})
        text = frame.astype({"w": pd.ArrowDtype(pa.string())})
        with dask.config.set(scheduler="sync"):
            ddf = dd.from_pandas(frame, npartitions=2)
            found = safeframe.groupby(ddf, "w", dropna=dropna).v.sum().compute()
        expected = text.groupby("w", dropna=dropna).v.sum()
        assert sorted(map(repr, found.items())) == sorted(map(repr, expected.items()))

"""Text that goes from files to files as numbers is the text of pandas, whatever the files keep it as."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

import safeframe
from safeframe.engine.parquet.tasks import PickedRows
from safeframe.engine.planned.cells import CellRows
from safeframe.facts.merge import RangesMerge, SlicedMerge, StagedMerge
from safeframe.kernels.columns import coded_text
from safeframe.kernels.columns.categories import is_text
from safeframe.kernels.merge.text import TextTooLargeError, check_text
from safeframe.planning.costs import cost_of
from safeframe.recipes.to_parquet import to_parquet
from safeframe.sizing.parquet.dictionaries import kept_in_dictionaries
from tests.property.merging import examples, same_rows

HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti")
WORDS = ["", "a", "ü" * 3, "two words", "z" * 40, "N/A", "0"]


WAYS = {RangesMerge: HOWS, StagedMerge: HOWS, SlicedMerge: ("inner", "left", "right", "leftsemi", "leftanti")}


@contextlib.contextmanager
def planned(way):
    """Have merges planned so, of slices of a few rows; and numbers wherever a file has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("safeframe.options.CODED_REPEATS", 0.01)
        patch.setattr("safeframe.options.DICTIONARY_ROW_NBYTES", 10_000)
        if way is not StagedMerge:
            _plan_slices(way, patch)
        yield


def _plan_slices(way, patch):
    module = {RangesMerge: "ranges", SlicedMerge: "sliced"}[way]
    # Of a few rows, the time of tasks decides; partitions of tests fit a worker whole, and would be joined so.
    seconds = {RangesMerge: 1e-9, SlicedMerge: -1.0}[way]
    others = ("by_sorted", "by_one_side", "by_broadcast") if way is RangesMerge else ("by_broadcast",)
    for other in others:
        patch.setattr(f"safeframe.planning.merge.plan.{other}", lambda *_: "partitions are too large")
    patch.setattr(f"safeframe.planning.merge.{module}.slice_nbytes_of", lambda task_nbytes: 400)
    patch.setattr(
        f"safeframe.planning.merge.{module}.cost_of",
        lambda *a, **k: replace(cost_of(*a, **k), seconds=seconds),
    )


@st.composite
def sides(draw, in_order):
    """Keys, words, and of each file its rows, those of a row group, and whether it keeps words in a dictionary."""
    keys = draw(st.lists(st.integers(0, 9), min_size=1, max_size=40))
    keys = sorted(keys) if in_order else [*keys, 5, 4]
    words = [draw(st.sampled_from([*WORDS, None])) for _ in keys]
    bounds = sorted(draw(st.lists(st.integers(1, len(keys)), max_size=3)))
    kept = [draw(st.booleans()) for _ in range(len(bounds) + 1)]
    return keys, words, [0, *bounds, len(keys)], draw(st.integers(1, 15)), kept


def in_files(name, side, directory, backend=None):
    keys, words, bounds, rows, kept = side
    schema = pa.schema([("k", pa.int64()), (name, pa.int64()), (f"{name}w", pa.string())])
    table = pa.table([keys, range(len(keys)), words], schema=schema)
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        pq.write_table(
            table.slice(start, stop - start),
            f"{directory}/{number:03}.parquet",
            row_group_size=rows,
            use_dictionary=kept[number],
        )
    return dd.read_parquet(directory, **({} if backend is None else {"dtype_backend": backend}))


def expected_rows(left, right, how):
    if how in ("leftsemi", "leftanti"):
        met = left["k"].isin(right["k"])
        return left[met if how == "leftsemi" else ~met].reset_index(drop=True)
    return left.merge(right, on="k", how=how)


@pytest.mark.parametrize("way", WAYS)
@examples(30)
@given(st.data(), st.sampled_from([None, 3]), st.sampled_from([None, "pyarrow", "numpy_nullable"]))
def test_merged_text_is_that_of_pandas(way, data, written_rows, backend):
    how = data.draw(st.sampled_from(WAYS[way]))
    drawn = [data.draw(sides(way is RangesMerge)) for _ in range(2)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, planned(way):
        frames = [in_files(*side, backend) for side in zip("lr", drawn, (one, other), strict=True)]
        given_way = {"strategy": "staged", "npartitions": 3} if way is StagedMerge else {}
        merged = safeframe.merge(*frames, on="k", how=how, memory="8GiB", **given_way)
        read = [side.compute(scheduler="sync") for side in frames]
        plan = safeframe.explain(merged)
        with tempfile.TemporaryDirectory() as target, dask.config.set(scheduler="sync"):
            to_parquet(merged, target, strategy="rows", write_index=False, row_group_rows=written_rows)
            found = dd.read_parquet(
                target, **({} if backend is None else {"dtype_backend": backend})
            ).compute()
            schemas = [pq.read_schema(path) for path in Path(target).glob("*.parquet")]
    assert (
        isinstance(plan.streamed.run.way, way)
        or plan.strategy == "staged"
        or plan.strategy == "sorted"
        or plan.run.sliced is None
    )
    expected = expected_rows(*read, how)
    by = [name for name in "lr" if name in expected.columns]
    same_rows(found, expected.astype(found.dtypes.to_dict()), by)
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    assert schemas[0].pandas_metadata is not None
    for name in ("lw", "rw"):
        if name in expected.columns:
            assert found.dtypes[name] == expected.dtypes[name]
            assert is_text(schemas[0].field(name).type)


def files_of_words(directory, rows=4000, seed=3):
    rng = np.random.default_rng(seed)
    words = np.array(["north", "south", "east", "west"])
    table = pa.table(
        {"k": np.arange(rows), "word": words[rng.integers(0, 4, rows)], "id": [f"id{n}" for n in range(rows)]}
    )
    for number in range(4):
        some = table.slice(number * rows // 4, rows // 4)
        pq.write_table(some, f"{directory}/{number}.parquet", row_group_size=rows // 8)
    return dd.read_parquet(directory), table.to_pandas()


@pytest.mark.parametrize(
    "schema", ["infer", None, {"word": pa.large_string()}, {"word": pa.dictionary(pa.int8(), pa.string())}]
)
def test_words_are_not_made_text_between_files(tmp_path, monkeypatch, schema):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    ddf, frame = files_of_words(tmp_path / "in")
    small = pd.DataFrame({"k": np.arange(0, 4000, 9), "label": "few"})
    merged = safeframe.merge(ddf, dd.from_pandas(small, npartitions=1), on="k", how="left")
    decoded = []
    as_text = coded_text.as_text
    monkeypatch.setattr(coded_text, "as_text", lambda *a: decoded.append(a) or as_text(*a))
    with dask.config.set(scheduler="sync"):
        to_parquet(merged, str(tmp_path / "out"), write_index=False, schema=schema)
    found = pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / "out").glob("*.parquet"))])
    expected = frame.merge(small, on="k", how="left")
    pd.testing.assert_frame_equal(
        found.astype(expected.dtypes.to_dict()).sort_values("k", ignore_index=True), expected
    )
    assert decoded == []
    for path in (tmp_path / "out").glob("*.parquet"):
        file = pq.ParquetFile(path)
        kind = file.schema_arrow.field("word").type
        if not isinstance(schema, dict):
            assert is_text(kind)
            assert not isinstance(pd.read_parquet(path)["word"].dtype, pd.CategoricalDtype)
        else:
            # Older versions of pyarrow read numbers of 32 bits, whatever the schema says.
            assert (
                kind.value_type == schema["word"].value_type
                if pa.types.is_dictionary(kind)
                else kind == schema["word"]
            )
        statistics = file.metadata.row_group(0).column(file.schema_arrow.names.index("word")).statistics
        assert (statistics.min, statistics.max) == ("east", "west")


def test_words_in_views_are_numbers_too(tmp_path):
    if Version(pa.__version__) < Version("21"):
        pytest.skip("this version of pyarrow writes no views")
    table = pa.table({"k": range(64), "w": pa.array(["x", "y"] * 32, pa.string_view())})
    pq.write_table(table, tmp_path / "0.parquet")
    file = pq.ParquetFile(tmp_path / "0.parquet")
    assert kept_in_dictionaries(file, [0], {"k", "w"}) == {"w"}


@examples(20)
@given(st.data(), st.booleans(), st.sampled_from([None, "pyarrow", "numpy_nullable"]))
def test_staged_text_is_that_of_pandas(data, written, backend):
    keys = data.draw(sides(in_order=False))
    with tempfile.TemporaryDirectory() as directory, planned(StagedMerge), dask.config.set(scheduler="sync"):
        ddf = in_files("l", keys, directory, backend)
        frame = ddf.compute().reset_index(drop=True)
        staged = {"strategy": "staged", "npartitions": 3}
        made = {
            "sort_values": safeframe.sort_values(ddf, "k", **staged),
            "by text": safeframe.sort_values(ddf, ["lw", "l"], **staged),
            "set_index": safeframe.set_index(ddf, "k", **staged).reset_index(),
            "shuffle": safeframe.shuffle(ddf, "k", **staged),
            "shuffle by text": safeframe.shuffle(ddf, "lw", **staged),
            "rebalance": safeframe.rebalance_partitions(ddf, npartitions=4, strategy="staged"),
            "as it is read": ddf,
            "some columns": ddf[["l", "lw"]],
            "groupby": safeframe.groupby(ddf, "k", strategy="staged")
            .agg({"lw": "first", "l": "min"})
            .reset_index(),
            "lag": safeframe.groupby_lag_transform(ddf, "k", "lw", 1, order_by="l", strategy="staged"),
        }
        for name, one in made.items():
            if written:
                with tempfile.TemporaryDirectory() as target:
                    to_parquet(one, target, write_index=False)
                    found = dd.read_parquet(target).compute().astype(one.dtypes.to_dict())
            else:
                found = one.compute()
            assert found.dtypes["lw"] == frame.dtypes["lw"], name
            expected = frame
            if name == "groupby":
                expected = frame.groupby("k").agg({"lw": "first", "l": "min"}).reset_index()
            elif name == "some columns":
                expected = frame[["l", "lw"]]
            elif name == "lag":
                ordered = frame.sort_values(["k", "l"])
                expected = ordered.assign(lw_lag_1=ordered.groupby("k")["lw"].shift(1))
            same_rows(found[list(expected.columns)], expected.astype(found.dtypes.to_dict()), ["l"])


def test_numbers_count_as_text_where_rows_are_gathered(tmp_path):
    (tmp_path / "in").mkdir()
    words, rows = [f"{n}" + "x" * 1000 for n in range(8)], 60_000
    numbers = pa.array(np.random.default_rng(1).integers(0, 8, rows), pa.int32())
    table = pa.table({"k": np.arange(rows), "w": pa.DictionaryArray.from_arrays(numbers, words)})
    pq.write_table(table, tmp_path / "in" / "0.parquet", store_schema=False)
    ddf = dd.read_parquet(tmp_path / "in")
    small = dd.from_pandas(pd.DataFrame({"k": np.arange(0, rows, 10), "v": 1}), npartitions=1)
    merged = safeframe.merge(ddf, small, on="k", how="left", memory="500MiB")
    with dask.config.set(scheduler="sync"):
        to_parquet(merged, tmp_path / "out", write_index=False)
    (path,) = (tmp_path / "out").glob("*.parquet")
    groups = pq.ParquetFile(path).metadata
    # Who reads a row group reads text.
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) * 1000 <= 32 * 2**20


def test_long_text_is_counted_before_it_is_repeated():
    column = pd.Categorical(["a" * 1000, "b"])
    rows = np.zeros(3, np.int64)
    check_text(3, [([column], [0], rows, None)] * 2, 6000, ({0}, {0}))
    with pytest.raises(TextTooLargeError):
        check_text(3, [([column], [0], rows, None)] * 2, 5000, ({0}, {0}))
    check_text(3, [([column], [0], rows, None)] * 2, 5000)  # categories of the user's are numbers


def test_columns_that_are_picked_need_not_have_the_text(tmp_path):
    rows = PickedRows(
        CellRows(
            n_rows=3,
            make=lambda lo, hi: pd.DataFrame({"k": range(lo, hi), "w": "x"}),
            limit=None,
            coded=frozenset("w"),
        ),
        ["k"],
    )
    assert rows.coded == frozenset()

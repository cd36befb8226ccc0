"""Keys that are read in slices are counted as those of whole partitions, and a task holds no more than a slice."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.summary import combine_slices, summarise
from safeframe.sizing.keys.bounds import bounded_schema
from safeframe.sizing.keys.statistics import gather_key_statistics
from safeframe.sizing.keys.table import look_at_keys
from safeframe.sizing.partitions import tasks

INT = KeySchema(columns=(KeyColumn(kind="int"),))
STRING = KeySchema(columns=(KeyColumn(kind="string"),))


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def read_rows(monkeypatch):
    """Rows of each slice."""
    rows = []
    keys_of = tasks.keys_of

    def noted(frame, on):
        rows.append(len(frame))
        return keys_of(frame, on)

    monkeypatch.setattr(tasks, "keys_of", noted)
    return rows


def same(one, other):
    for name in ("codes", "counts", "heavy_codes", "heavy_counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("rows", "null_rows", "sample_fraction", "minimum", "maximum", "heavy_error"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("rows", "null_rows", "increasing", "checksums"):
        np.testing.assert_array_equal(
            getattr(one.partitions, name), getattr(other.partitions, name), err_msg=name
        )
    full = one.partitions.full
    for name in ("first", "last", "first_rows", "last_rows"):
        np.testing.assert_array_equal(
            getattr(one.partitions, name)[full], getattr(other.partitions, name)[full], err_msg=name
        )


@pytest.mark.parametrize("capacity", [2**20, 2**9])
@pytest.mark.parametrize("keys", ["numbers", "in order", "words", "none", "no rows"])
def test_slices_of_a_partition_are_counted_as_the_whole(tmp_path, monkeypatch, read_rows, keys, capacity):
    rng = np.random.default_rng(5)
    values = {
        "numbers": rng.integers(0, 5000, 20_000),
        "in order": np.arange(20_000) // 3,
        "words": [None if i % 11 == 0 else f"w{i % 3000}" for i in range(20_000)],
        "none": pd.Series([None] * 20_000, dtype=pd.StringDtype("pyarrow")),
        "no rows": pd.Series([], dtype="str"),
    }[keys]
    frame = pd.DataFrame({"k": values, "x": 0.5})
    schema = INT if keys in ("numbers", "in order") else STRING
    frame.iloc[:15_000].to_parquet(tmp_path / "0.parquet", row_group_size=4000)
    frame.iloc[15_000:].to_parquet(tmp_path / "1.parquet")
    ddf = dd.read_parquet(tmp_path)
    monkeypatch.setattr(options, "HEAVY_CANDIDATES", 2**16)
    monkeypatch.setattr(options, "KEY_SLICE_NBYTES", 8000)
    (sliced,) = gather_key_statistics([(ddf, ("k",))], schema, capacity=capacity)
    assert len(read_rows) > 4 or keys == "no rows"
    parts = dd.from_map(lambda i: frame.iloc[:15_000] if i == 0 else frame.iloc[15_000:], [0, 1])
    (whole,) = gather_key_statistics([(parts, ("k",))], schema, capacity=capacity)
    same(sliced, whole)
    assert set(sliced.labels) >= set(whole.labels) if sliced.exact else sliced.labels is not None


def test_disorder_between_slices_is_noticed():
    schema = INT
    in_order = combine_slices([summarise([pd.Series(keys)], schema, 8) for keys in ([1, 2], [2, 3])])
    not_so = combine_slices([summarise([pd.Series(keys)], schema, 8) for keys in ([1, 3], [2, 4])])
    assert in_order.partitions.increasing.tolist() == [True]
    assert not_so.partitions.increasing.tolist() == [False]


def test_a_filter_is_applied_to_each_slice(tmp_path, monkeypatch, read_rows):
    frame = pd.DataFrame({"k": np.arange(10_000) % 7, "x": np.arange(10_000)})
    frame.to_parquet(tmp_path / "0.parquet")
    monkeypatch.setattr(options, "KEY_SLICE_NBYTES", 16_000)
    ddf = dd.read_parquet(tmp_path)
    (found,) = gather_key_statistics([(ddf[ddf["x"] % 2 == 0], ("k",))], INT)
    assert len(read_rows) > 3
    assert found.counts.tolist() == frame[frame["x"] % 2 == 0]["k"].value_counts().sort_index().tolist()


def test_tables_and_bounds_are_of_slices_too(tmp_path, monkeypatch, read_rows):
    frame = pd.DataFrame({"k": np.arange(10_000), "s": [f"w{i:05}" for i in range(10_000)]})
    frame.to_parquet(tmp_path / "0.parquet")
    monkeypatch.setattr(options, "KEY_SLICE_NBYTES", 16_000)
    ddf = dd.read_parquet(tmp_path)
    table, presence = look_at_keys(ddf, ("k",), INT, rows=10_000, build_side="right")
    assert (table.span, table.rows) == (10_000, 10_000)
    assert len(read_rows) > 3
    assert presence.of(np.array([table.base, table.base + 10_000], np.uint64)).tolist() == [True, False]
    bounds = bounded_schema([(ddf, ("s",))], STRING).bounds
    assert (bounds[0], bounds[-1]) == ("w00000", "w09999")

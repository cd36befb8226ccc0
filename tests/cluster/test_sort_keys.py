"""Sorts by keys of every kind, by heavy keys and by none, against pandas row for row."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from tests.cluster.test_sort import STRING, indexed, number_rows, right_divisions, same_rows

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
    "float32": lambda codes: pd.Series(np.where(codes == 0, np.nan, codes / 3 - 5).astype("float32")),
    "Float32": lambda codes: KINDS["float32"](codes).astype("Float32"),
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


@pytest.mark.parametrize("strategy", ["p2p", "staged"])
@pytest.mark.parametrize("recipe", ["set_index", "sort_values"])
def test_nulls_alone(small_cluster, tmp_path, recipe, strategy):
    expected = pd.DataFrame({"k": np.full(7, np.nan), "row": np.arange(7)})
    staging = str(tmp_path) if strategy == "staged" else None
    result = getattr(safeframe, recipe)(
        dd.from_pandas(expected, npartitions=3), "k", strategy=strategy, staging=staging
    )
    same_rows(result.compute(), expected if recipe == "sort_values" else expected.set_index("k"))


def test_an_index_in_order_with_empty_partitions(small_cluster, tmp_path):
    frame = dd.from_map(
        lambda i: number_rows(i) if i % 2 else number_rows(i).iloc[:0], range(6), meta=number_rows(0).iloc[:0]
    )
    result = safeframe.set_index(frame, "k", staging=str(tmp_path / "staging"))
    assert safeframe.explain(result).strategy == "sorted"
    same_rows(result.compute(), indexed(frame.compute()))
    right_divisions(result)

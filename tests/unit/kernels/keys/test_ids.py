"""Numbers of keys: equal where pandas.merge finds them equal, across types, and without overflow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.ids import key_ids
from safeframe.kernels.keys.schema import common_schema


def ids(left, right):
    left, right = ([series] if isinstance(series, pd.Series) else series for series in (left, right))
    names = list(range(len(left)))
    schema = common_schema(
        [series.iloc[:0] for series in left], [series.iloc[:0] for series in right],
        left_names=names, right_names=names,
    )  # fmt: skip
    return key_ids(left, right, schema)


def pairs(left_ids, right_ids):
    left, right = (pd.DataFrame({"id": part, "at": range(len(part))}) for part in (left_ids, right_ids))
    merged = left.merge(right, on="id")
    return sorted(zip(merged["at_x"], merged["at_y"], strict=True))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pd.Series([1, 2, 2]), pd.Series([2, 3], dtype="int8")),
        (pd.Series([1, None, 2], dtype="Int64"), pd.Series([2, 1])),
        (pd.Series([0.0, np.nan, 1.5]), pd.Series([-0.0, 1.5, np.nan], dtype="float64")),
        (pd.Series([1, 2, 3]), pd.Series([2.0, 2.5, np.nan])),
        (pd.Series(["a", None, "b"], dtype="string[pyarrow]"), pd.Series(["b", "a", None], dtype=object)),
        (pd.Series(["a", "b"], dtype="category"), pd.Series(["b", "c"], dtype="category")),
        (
            pd.Series(np.array(["2024-01-01", "NaT"], "datetime64[s]")),
            pd.Series(np.array(["2024-01-01", "NaT"], "datetime64[ns]")),
        ),
        (pd.Series([-(2**63), 2**63 - 1, 0]), pd.Series([0, 2**63 - 1])),
        (pd.Series([2**64 - 1, 0], dtype="uint64"), pd.Series([2**64 - 1, 1], dtype="uint64")),
    ],
)
@pytest.mark.filterwarnings("ignore:You are merging on int and float")
def test_rows_match_as_in_pandas(left, right):
    left_ids, right_ids = ids(left, right)
    assert left_ids.dtype == right_ids.dtype == np.int64
    assert (np.concatenate([left_ids, right_ids]) >= 0).all()
    frames = [pd.DataFrame({"k": series, "at": range(len(series))}) for series in (left, right)]
    merged = frames[0].merge(frames[1], on="k")
    assert pairs(left_ids, right_ids) == sorted(zip(merged["at_x"], merged["at_y"], strict=True))


def test_integers_beyond_two_to_the_53_meet_no_float_but_their_own():
    left_ids, right_ids = ids(pd.Series([2**53, 2**53 + 1]), pd.Series([2.0**53]))
    assert pairs(left_ids, right_ids) == [(0, 0)]


def test_wide_ranges_in_several_columns_do_not_overflow():
    wide = pd.Series([-(2**60), 2**60, 0])
    left = [wide, wide, wide]
    right = [wide[::-1].reset_index(drop=True)] * 3
    assert pairs(*ids(left, right)) == [(0, 2), (1, 1), (2, 0)]


def test_two_keys_of_one_hash_stay_apart(monkeypatch):
    from safeframe.kernels.keys import codes as key_codes

    monkeypatch.setattr(key_codes, "mix64", np.zeros_like)
    schema = KeySchema(columns=(KeyColumn(kind="string"), KeyColumn(kind="int")))
    sides = [[pd.Series(["a", "b"], dtype="string[pyarrow]"), pd.Series([1, 1])] for _ in "lr"]
    assert len(set(key_codes.encode_keys(sides[0], schema)[0].tolist())) == 1
    assert pairs(*key_ids(*sides, schema)) == [(0, 0), (1, 1)]


def test_numbers_start_at_zero_so_that_they_can_be_addresses():
    left_ids, right_ids = ids(pd.Series([90_007, 90_000]), pd.Series([90_009]))
    assert left_ids.tolist() == [7, 0]
    assert right_ids.tolist() == [9]
    left_ids, _ = ids(pd.Series([-(10**12), 5 - 10**12]), pd.Series([], dtype="int64"))
    assert left_ids.tolist() == [0, 5]

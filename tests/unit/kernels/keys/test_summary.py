"""What a summary holds and how large it may become."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.codes import decode_codes, encode_keys
from safeframe.kernels.keys.counts import count_candidates, count_keys
from safeframe.kernels.keys.labels import key_labels
from safeframe.kernels.keys.summary import combine, heaviest, sample_size, summarise, summary_nbytes_bound

INT = KeySchema(columns=(KeyColumn(kind="int"),))
STRING = KeySchema(columns=(KeyColumn(kind="string"),))


@pytest.mark.parametrize("spread", [1, 10**12], ids=["dense", "sparse"])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("dtype", ["int64", "Int64"])
def test_dense_and_sparse_keys_are_counted_the_same(spread, ordered, dtype):
    values = np.random.default_rng(0).integers(-40, 40, 5000) * spread
    series = pd.Series(np.sort(values) if ordered else values).astype(dtype)
    if dtype == "Int64":
        series[::7] = pd.NA
    counted = count_keys([series], INT)
    expected = series.value_counts()
    assert (
        dict(zip(decode_codes(counted.codes, INT), counted.counts.tolist(), strict=True))
        == expected.to_dict()
    )
    assert (counted.codes[1:] > counted.codes[:-1]).all()
    assert counted.null_rows == int(series.isna().sum())
    assert counted.increasing is ordered
    assert (counted.row_codes is None) is (spread == 1)


@pytest.mark.parametrize(
    "values", [[-(2**63), 2**63 - 1], [2**63 - 1] * 3, [-(2**63)] * 3, [-(2**63), 1 - 2**63]]
)
def test_the_ends_of_the_range_do_not_overflow(values):
    counted = count_keys([pd.Series(values)], INT)
    assert decode_codes(counted.codes, INT) == sorted(set(values))


def test_disorder_late_in_a_partition_is_noticed():
    values = np.arange(100_000)
    values[-1] = 0
    assert not count_keys([pd.Series(values)], INT).increasing


def test_candidates_are_counted_exactly():
    series = pd.Series([5, None, 7, 5, 1], dtype="Int64")
    candidates, _ = encode_keys([pd.Series([1, 5, 6])], INT)
    assert count_candidates([series], INT, candidates).tolist() == [1, 2, 0]


def test_labels_name_the_wanted_keys_wherever_they_are():
    words = pd.Series([f"w{i % 1000}" for i in range(200_000)] + ["last"])
    codes, _ = encode_keys([words], STRING)
    wanted = np.unique(codes[[3, 500, -1]])
    labels = key_labels([words], codes, wanted)
    assert sorted(labels.values()) == ["last", "w3", "w500"]
    assert all(codes[words == value][0] == code for code, value in labels.items())


def test_labels_of_several_columns_are_tuples_with_none_for_null():
    schema = KeySchema(columns=(KeyColumn(kind="int"), KeyColumn(kind="string")))
    columns = [pd.Series([1, None], dtype="Int64"), pd.Series([None, "a"], dtype="string[pyarrow]")]
    assert set(summarise(columns, schema, 10).labels.values()) == {(1, None), (None, "a")}


def test_a_summary_keeps_to_its_bound():
    rng = np.random.default_rng(0)
    capacity = 2**12
    words = [pd.Series(rng.integers(0, 10**6, 20_000)).astype(str) for _ in range(4)]
    for schema, parts in (
        (INT, [pd.Series(rng.integers(0, 10**9, 50_000)) for _ in range(4)]),
        (STRING, words),
    ):
        summary = combine([summarise([part], schema, capacity) for part in parts])
        assert not summary.exact
        assert len(summary.codes) == sample_size(capacity)
        assert len(summary.heavy_codes) == options.HEAVY_CANDIDATES
        assert len(pickle.dumps(summary)) <= summary_nbytes_bound(capacity, partitions=4)


def test_a_key_that_is_heavy_in_all_partitions_together_stays_a_candidate():
    rng = np.random.default_rng(1)
    parts = [
        pd.Series(np.concatenate([np.repeat(777, 5), rng.integers(10**6, 10**15, 40_000)])) for _ in range(8)
    ]
    summary = combine([summarise([part], INT, 2**10) for part in parts])
    code = int(encode_keys([pd.Series([777])], INT)[0][0])
    at = np.flatnonzero(summary.heavy_codes == code)
    assert summary.heavy_counts[at].tolist() == [40]


@pytest.mark.parametrize("seed", range(40))
def test_the_heaviest_keys(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 2 ** int(rng.integers(1, 20)), int(rng.integers(1, 3000)))
    n = int(rng.integers(1, 400))
    at = heaviest(np.arange(len(counts), dtype=np.uint64), counts, n)
    assert len(at) == min(n, len(counts))
    assert (np.diff(at) > 0).all()
    assert sorted(counts[at]) == sorted(counts)[-n:]

"""Samples of keys: how many rows lie below a key, and how wrong that can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.sort.rows import RowOrder, ordered_keys
from safeframe.kernels.sort.sample import join_samples, sample_keys, thin


def order_of(frame, *by, ascending=True):
    columns = [frame[name] for name in by]
    return RowOrder(
        by=by,
        ascending=(ascending,) * len(by),
        na_last=True,
        schema=common_schema(columns, columns, left_names=by, right_names=by),
        dtypes=tuple(column.dtype for column in columns),
    )


def quantiles_of(parts, order, size, group=1):
    samples = [sample_keys(ordered_keys(part, order), size * (8 if group > 1 else 1)) for part in parts]
    groups = [thin(samples[at : at + group], order, size * group) for at in range(0, len(samples), group)]
    return join_samples(groups, order)


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    n_keys=st.integers(1, 200),
    size=st.integers(2, 20),
    seed=st.integers(0, 5),
    in_order=st.booleans(),
    group=st.integers(1, 4),
)
def test_rows_below_each_sampled_key_are_known_within_a_stretch_of_each_sample(
    sizes, n_keys, size, seed, in_order, group
):
    keys = np.random.default_rng(seed).integers(0, n_keys, sum(sizes))
    frame = pd.DataFrame({"k": np.sort(keys) if in_order else keys})
    parts = [frame.iloc[end - n : end] for n, end in zip(sizes, np.cumsum(sizes), strict=True)]
    order = order_of(frame, "k")
    samples = [sample_keys(ordered_keys(part, order), size) for part in parts]
    groups = [thin(samples[at : at + group], order, size) for at in range(0, len(samples), group)]
    quantiles = join_samples(groups, order)
    codes = np.sort(order.codes(frame)[0])
    true = np.searchsorted(codes, quantiles.codes, side="left")
    bound = sum(sample.error_rows for sample in groups)
    assert (np.abs(true - quantiles.below) <= bound + 1e-6).all()
    assert quantiles.rows.sum() == pytest.approx(len(codes))
    if len(codes):
        assert quantiles.codes[0] == codes[0]
        assert quantiles.codes[-1] == codes[-1]


@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("in_order", [False, True])
def test_errors_of_many_partitions_cancel_and_are_bounded(group, in_order):
    parts = [
        pd.DataFrame({"k": np.random.default_rng(i).random(1000) + (i if in_order else 0)})
        for i in range(200)
    ]
    order = order_of(parts[0], "k")
    quantiles = quantiles_of(parts, order, 50, group)
    codes = np.sort(np.concatenate([order.codes(part)[0] for part in parts]))
    true = np.searchsorted(codes, quantiles.codes, side="left")
    error = np.abs(true - quantiles.below)
    assert (error <= quantiles.below_error + 1e-6).all()
    assert quantiles.below_error.max() < 200 * 20 / 4, "tighter than the bound that always holds"
    assert error.max() > 0


def test_joining_neighbours_first_leaves_a_smaller_error():
    parts = [pd.DataFrame({"k": np.random.default_rng(i).random(1000)}) for i in range(200)]
    order = order_of(parts[0], "k")
    apart, joined = (quantiles_of(parts, order, 50, group) for group in (1, 8))
    assert joined.below_error.max() < apart.below_error.max() / 1.5


def test_a_heavy_key_is_known():
    parts = [pd.DataFrame({"k": [*range(50), *[77] * 950]}) for _ in range(4)]
    quantiles = quantiles_of(parts, order_of(parts[0], "k"), 100)
    assert quantiles.rows.max() == pytest.approx(4 * 950, abs=4 * 10)


@pytest.mark.parametrize(
    ("values", "increasing"),
    [([1, 2, 2, 3], True), ([1, 3, 2], False), ([1, 2, None], False), ([], True)],
)
def test_order_within_a_partition_is_noticed(values, increasing):
    frame = pd.DataFrame({"k": pd.array(values, dtype="Int64")})
    partitions = sample_keys(ordered_keys(frame, order_of(frame, "k")), 4).partitions
    assert (partitions.increasing.all() and not partitions.null_rows.any()) == increasing


def test_several_columns_and_their_nulls_are_ranked():
    frame = pd.DataFrame({"a": ["x", "y", None, "x"], "b": [2.0, None, 1.0, 1.0]})
    quantiles = quantiles_of([frame[:2], frame[2:]], order_of(frame, "a", "b"), 10)
    assert quantiles.values is not None
    assert quantiles.values["a"].tolist()[:3] == ["x", "x", "y"]
    assert quantiles.values["b"].tolist()[:2] == [1.0, 2.0]
    assert quantiles.null_rows == 0
    assert quantiles.codes.tolist() == [1, 3, 5, 7]


def test_a_long_value_is_taken_once():
    frame = pd.DataFrame({"t": ["", "a", "b", "z" * 10_000, "c"] * 4})
    order = order_of(frame, "t")
    nbytes = frame["t"].str.len().to_numpy(np.float64) + 8
    sample = sample_keys(ordered_keys(frame, order, nbytes), 512)
    assert len(sample.values) <= len(frame)
    assert sample.weights.sum() == pytest.approx(join_samples([sample], order).rows.sum())
    assert len(thin([sample, sample], order, 16).values) <= 16 + 2


def test_partitions_without_rows_may_have_another_type():
    text = pd.DataFrame({"t": pd.array(["a", None, "b"], dtype="string"), "v": [1, 2, 3]})
    none = text.iloc[:0].astype({"t": object})
    order = order_of(text, "t", "v")
    samples = [sample_keys(ordered_keys(part, order), 4) for part in (none, text, none)]
    assert join_samples(samples, order).rows.sum() == len(text)
    assert join_samples(samples[:1], order).rows.sum() == 0

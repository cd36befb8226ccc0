"""Key statistics count as pandas counts, and predict pandas.merge to the row."""

from __future__ import annotations

from itertools import chain, pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.kernels.keys.codes import decode_codes, encode_keys
from safeframe.kernels.keys.ids import key_ids
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.keys.summary import combine, combine_slices, summarise
from safeframe.kernels.keys.threshold import foreseen_fraction, smallest_of
from safeframe.sizing.keys.statistics import gather_key_statistics
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

HOWS = ("inner", "left", "right", "outer")
STRINGS = [
    kind for kind in ("object", "str", "string[python]", "string[pyarrow]", "category") if kind != "str"
]
STRINGS += ["str"] if pd.__version__ >= "3" else []

kinds = st.sampled_from(sorted(KEY_KINDS))


def schema_of(*frames, on):
    left, right = frames[0], frames[-1]
    return common_schema(
        [left[name].iloc[:0] for name in on],
        [right[name].iloc[:0] for name in on],
        left_names=on,
        right_names=on,
    )


@given(data=st.data(), kind=kinds)
def test_one_key_is_counted_as_value_counts_does(data, kind):
    frame = data.draw(key_frames([kind], names=["k"], extra="n"))
    with dask.config.set(scheduler="sync"):
        found = safeframe.key_statistics(data.draw(partitioned(frame)), "k")
    expected = frame["k"].value_counts()
    expected = expected[expected > 0]  # categories without rows
    assert found.exact
    assert found.rows == len(frame)
    assert found.null_rows == int(frame["k"].isna().sum())
    assert int(found.distinct) == len(expected)
    assert {
        found.labels[code]: rows
        for code, rows in zip(found.codes.tolist(), found.counts.tolist(), strict=True)
    } == (expected.to_dict())
    if found.schema.injective and len(expected):
        assert found.minimum == frame["k"].min()
        assert found.maximum == frame["k"].max()


@given(data=st.data(), several=st.lists(kinds, min_size=2, max_size=3))
def test_keys_of_several_columns_are_counted_with_their_nulls(data, several):
    names = [f"k{i}" for i in range(len(several))]
    frame = data.draw(key_frames(several, names=names, extra="n"))
    with dask.config.set(scheduler="sync"):
        found = safeframe.key_statistics(data.draw(partitioned(frame)), names)
    expected = frame.groupby(names, dropna=False, observed=True).size()
    assert sorted(found.counts.tolist()) == sorted(expected.tolist())
    assert found.null_rows == 0


@given(data=st.data(), kind=kinds, how=st.sampled_from(HOWS))
def test_a_merge_on_one_key_is_predicted_to_the_row(data, kind, how):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    with dask.config.set(scheduler="sync"):
        found = safeframe.estimate_merge(
            data.draw(partitioned(left)), data.draw(partitioned(right)), how=how, on="k"
        )
    assert_predicted(found, left, right, how, ["k"])


@given(data=st.data(), several=st.lists(kinds, min_size=2, max_size=3), how=st.sampled_from(HOWS))
def test_a_merge_on_several_keys_is_predicted_to_the_row(data, several, how):
    names = [f"k{i}" for i in range(len(several))]
    left = data.draw(key_frames(several, names=names, extra="l"))
    right = data.draw(key_frames(several, names=names, extra="r"))
    with dask.config.set(scheduler="sync"):
        found = safeframe.estimate_merge(
            data.draw(partitioned(left)), data.draw(partitioned(right)), how=how, on=names
        )
    assert_predicted(found, left, right, how, names)


def assert_predicted(found, left, right, how, on):
    truth = left.merge(right, how="outer", on=on, indicator=True)
    assert found.rows.exact
    assert int(found.rows) == len(left.merge(right, how=how, on=on))
    assert int(found.left_unmatched_rows) == int((truth["_merge"] == "left_only").sum())
    assert int(found.right_unmatched_rows) == int((truth["_merge"] == "right_only").sum())
    largest = max((key.output_rows for key in found.heaviest), default=0)
    by_key = left.merge(right, how=how, on=on).groupby(on, dropna=False, observed=True).size()
    assert largest == (int(by_key.max()) if len(by_key) else 0)


@given(data=st.data(), kind=kinds)
def test_codes_and_ids_agree_with_pandas_on_what_is_equal(data, kind):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    schema = schema_of(left, right, on=["k"])
    ids = np.concatenate(key_ids([left["k"]], [right["k"]], schema))
    assert (ids >= 0).all()
    values = [*left["k"].astype(object), *right["k"].astype(object)]
    groups = pd.factorize(pd.Series(values, dtype=object), use_na_sentinel=True)[0]
    assert same_grouping(ids, groups)
    codes, nulls = zip(*(encode_keys([side["k"]], schema) for side in (left, right)), strict=True)
    codes = np.concatenate(codes)
    null = np.concatenate(
        [
            np.zeros(len(side), bool) if mask is None else mask
            for side, mask in zip((left, right), nulls, strict=True)
        ]
    )
    np.testing.assert_array_equal(null, groups < 0)
    assert same_grouping(codes[~null], groups[~null])
    if schema.injective:
        decoded = decode_codes(codes[~null], schema)
        expected = [value for value, is_null in zip(values, null, strict=True) if not is_null]
        assert decoded == expected
        order = np.argsort(codes[~null], kind="stable")
        assert [expected[at] for at in order] == sorted(expected)


def same_grouping(one, other):
    pairs = set(zip(np.asarray(one).tolist(), np.asarray(other).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@given(words=st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=20), kinds=st.permutations(STRINGS))
def test_a_string_has_one_code_whatever_holds_it(words, kinds):
    pairs = [pd.Series(words, dtype=object).astype(kind) for kind in kinds[:2]]
    schema = schema_of(*(pd.DataFrame({"k": series}) for series in pairs), on=["k"])
    (one, one_null), (other, other_null) = (encode_keys([series], schema) for series in pairs)
    there = np.array([word is not None for word in words], bool)
    np.testing.assert_array_equal(one[there], other[there])
    for null in (one_null, other_null):
        np.testing.assert_array_equal(np.zeros(len(words), bool) if null is None else null, ~there)


@given(
    keys=st.lists(st.lists(st.integers(0, 200), max_size=60), min_size=1, max_size=6),
    capacity=st.integers(1, 40),
    data=st.data(),
)
def test_summaries_give_one_sample_however_they_are_joined(keys, capacity, data):
    schema = schema_of(pd.DataFrame({"k": pd.Series([], dtype="int64")}), on=["k"])
    parts = [summarise([pd.Series(part, dtype="int64")], schema, capacity) for part in keys]
    at_once = combine(parts)
    cut = data.draw(st.integers(0, len(parts) - 1))
    nested = combine([*parts[:cut], combine(parts[cut:])])
    for summary in (at_once, nested):
        truth = pd.Series(list(chain.from_iterable(keys)), dtype="int64").value_counts()
        values = decode_codes(summary.codes, schema)
        assert len(values) <= capacity
        assert summary.counts.tolist() == [truth[value] for value in values]
        assert summary.exact == (len(truth) <= capacity)
        lacking = truth - pd.Series(
            summary.heavy_counts, index=pd.Index(decode_codes(summary.heavy_codes, schema), dtype="int64")
        ).reindex(truth.index, fill_value=0)
        if not summary.exact:
            assert (lacking >= 0).all()
            assert lacking.max() <= summary.heavy_error
    np.testing.assert_array_equal(at_once.codes, nested.codes)
    assert at_once.fraction == nested.fraction
    np.testing.assert_array_equal(at_once.partitions.rows, [len(part) for part in keys])
    np.testing.assert_array_equal(nested.partitions.rows, at_once.partitions.rows)


@given(
    keys=st.lists(st.one_of(st.none(), st.integers(0, 60)), max_size=120),
    capacity=st.integers(1, 40),
    data=st.data(),
)
def test_slices_of_a_partition_are_summarised_as_the_whole(keys, capacity, data):
    schema = schema_of(pd.DataFrame({"k": pd.Series([], dtype="Int64")}), on=["k"])
    whole = summarise([pd.Series(keys, dtype="Int64")], schema, capacity)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(keys)), max_size=4)))
    slices = []
    for start, stop in pairwise([0, *cuts, len(keys)]):
        # What slices before tell of the threshold changes nothing.
        known = foreseen_fraction([smallest_of(one) for one in slices])
        part = pd.Series(keys[start:stop], dtype="Int64")
        slices.append(summarise([part], schema, capacity, fraction=known))
    found = combine_slices(slices)
    np.testing.assert_array_equal(found.codes, whole.codes)
    np.testing.assert_array_equal(found.counts, whole.counts)
    assert found.fraction == whole.fraction
    for name in ("rows", "null_rows", "increasing", "checksums"):
        np.testing.assert_array_equal(getattr(found.partitions, name), getattr(whole.partitions, name), name)
    if whole.partitions.full.any():
        for name in ("first", "last", "first_rows", "last_rows"):
            np.testing.assert_array_equal(
                getattr(found.partitions, name), getattr(whole.partitions, name), name
            )
    truth = pd.Series(keys, dtype="Int64").dropna().astype("int64").value_counts()
    if not found.exact:
        counted = pd.Series(found.heavy_counts, index=decode_codes(found.heavy_codes, schema), dtype="int64")
        lacking = truth - counted.reindex(truth.index, fill_value=0)
        assert (lacking >= 0).all()
        assert lacking.max() <= found.heavy_error


@given(data=st.data(), how=st.sampled_from(HOWS), capacity=st.integers(1, 6), kind=kinds)
def test_a_sampled_estimate_holds_the_truth(data, how, capacity, kind):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    schema = schema_of(left, right, on=["k"])
    sides = [(data.draw(partitioned(frame)), ("k",)) for frame in (left, right)]
    with dask.config.set(scheduler="sync"):
        statistics = gather_key_statistics(sides, schema, capacity=capacity)
    truth = [frame["k"].value_counts() for frame in (left, right)]
    for found, counts in zip(statistics, truth, strict=True):
        assert found.heavy_error == 0
        assert found.distinct.lower <= int((counts > 0).sum()) <= found.distinct.upper
    with dask.config.set(scheduler="sync"):
        found = safeframe.estimate_merge(
            *(ddf for ddf, _ in sides), how=how, on="k", statistics=tuple(statistics)
        )
    # So few keys are all among the heaviest: nothing is left to the sample.
    assert found.rows.lower <= len(left.merge(right, how=how, on="k")) <= found.rows.upper


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_every_way_to_have_a_frame_gives_the_same_statistics(scheduler, tmp_path):
    frame = pd.DataFrame({"k": np.arange(1000) % 37, "s": [f"w{i % 11}" for i in range(1000)], "x": 0.5})
    frame.iloc[:500].to_parquet(tmp_path / "0.parquet")
    frame.iloc[500:].to_parquet(tmp_path / "1.parquet")
    made = dd.from_pandas(frame, npartitions=2)
    ways = {
        "from_pandas": made,
        "parquet": dd.read_parquet(tmp_path),
        "parquet arrow": dd.read_parquet(tmp_path, filesystem="arrow"),
        "from_map": dd.from_map(lambda i: frame.iloc[500 * i : 500 * i + 500], [0, 1]),
        "from_delayed": dd.from_delayed([dask.delayed(frame.iloc[:500]), dask.delayed(frame.iloc[500:])]),
        "persisted": made.persist(),
        "derived": made.rename(columns={"k": "j"}).assign(k=lambda part: part["j"] + 0)[["s", "k"]],
        "index": dd.from_pandas(frame.set_index("k"), npartitions=2, sort=False),
    }
    expected = frame["k"].value_counts()
    with dask.config.set(scheduler=scheduler):
        for name, ddf in ways.items():
            found = safeframe.key_statistics(ddf, "k")
            assert dict(zip(decode_codes(found.codes, found.schema), found.counts.tolist(), strict=True)) == (
                expected.to_dict()
            ), name
            assert found.partitions.rows.tolist() == [500, 500], name

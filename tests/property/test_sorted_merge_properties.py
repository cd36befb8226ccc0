"""safeframe.sorted_merge gives the rows of pandas.merge, in the order of their keys."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from tests.property.merging import HOWS, examples, narrowest_row_nbytes, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

ORDERED_KINDS = sorted(KEY_KINDS)
WORDS = "str" if pd.__version__ >= "3" else "string[pyarrow]"
STRATEGIES = ("sorted", "sorted-one-side", "staged")


@st.composite
def in_order(draw, frame, key="k"):
    """Put a frame in key order, nulls first, last or where they were, and cut it into partitions."""
    nulls = draw(st.sampled_from(["first", "last", "between"]))
    if nulls != "between":
        ordered = frame.sort_values(key, kind="stable", na_position=nulls)
    else:
        ordered = frame.copy()
        keys = frame[key].notna().to_numpy()
        ordered.iloc[np.flatnonzero(keys)] = frame[keys].sort_values(key, kind="stable").to_numpy()
        ordered = ordered.astype(frame.dtypes)
    return draw(partitioned(ordered.reset_index(drop=True)))


def in_key_order(parts: list[pd.DataFrame], on: str, *, whole_rows: int | None) -> pd.DataFrame:
    """Join partitions whose keys have to be in order, nulls last, a key in one of them if it fits."""
    joined = pd.concat(parts, ignore_index=True)
    keys = joined[on]
    assert keys[keys.notna()].is_monotonic_increasing
    assert keys.isna().is_monotonic_increasing
    if whole_rows is not None:
        numbers = pd.Series(np.repeat(np.arange(len(parts)), [len(part) for part in parts]), dtype="int64")
        spread = numbers.groupby(keys, dropna=False).agg(["nunique", "size"])
        assert (spread["nunique"][spread["size"] <= whole_rows] <= 1).all()
    return joined


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(ORDERED_KINDS),
    how=st.sampled_from(HOWS),
    strategy=st.sampled_from([None, *STRATEGIES]),
)
def test_sides_in_key_order(data, kind, how, strategy, tmp_path_factory):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    with dask.config.set(scheduler="sync"):
        collection = safeframe.sorted_merge(
            data.draw(in_order(left)),
            data.draw(in_order(right)),
            how=how,
            on="k",
            strategy=strategy,
            partition_size=data.draw(st.sampled_from([None, 100, 300, 2000])),
            staging=str(tmp_path_factory.getbasetemp()),
        )
        parts = dask.compute(*collection.to_delayed())
    plan = safeframe.explain(collection)
    assert plan.strategy == (strategy or "sorted")
    assert len(parts) == plan.output_partitions == collection.npartitions
    for part in parts:
        assert list(part.dtypes) == list(collection.dtypes), "every partition has the promised types"
        assert len(part) * narrowest_row_nbytes(plan) <= plan.largest_partition_nbytes
    whole = int(plan.partition_nbytes // plan.row_nbytes)
    joined = in_key_order(list(parts), "k", whole_rows=whole)
    expected = left.merge(right, how=how, on="k")
    if how == "right":  # pandas keeps the right side's order there
        same_rows(joined, expected, ["l", "r"])
        return
    expected = expected.sort_values("k", kind="stable", na_position="last", ignore_index=True)
    pd.testing.assert_frame_equal(joined, expected, check_exact=True)


@examples(40)
@given(data=st.data(), how=st.sampled_from(HOWS), capacity=st.sampled_from([2, 1000]))
def test_the_side_that_is_not_in_order_is_moved(data, how, capacity, tmp_path_factory):
    left = data.draw(key_frames(["int64"], names=["a"], extra="l"))
    right = data.draw(key_frames(["int64"], names=["b"], extra="r"))
    ordered = data.draw(st.sets(st.sampled_from(["left", "right"])))
    sides = [
        data.draw(in_order(frame, key) if name in ordered else partitioned(frame))
        for name, frame, key in (("left", left, "a"), ("right", right, "b"))
    ]
    with dask.config.set({"scheduler": "sync", "safeframe.key-capacity": capacity}):
        collection = safeframe.sorted_merge(
            *sides,
            how=how,
            left_on="a",
            right_on="b",
            sort=True,
            partition_size=data.draw(st.sampled_from([None, 300])),
            staging=str(tmp_path_factory.getbasetemp()),
        )
        parts = dask.compute(*collection.to_delayed())
    if len(ordered) == 2:
        assert safeframe.explain(collection).strategy == "sorted"
    joined = pd.concat(parts, ignore_index=True)
    keys = joined["a"].fillna(joined["b"])
    assert keys.is_monotonic_increasing
    same_rows(joined, left.merge(right, how=how, left_on="a", right_on="b"), ["l", "r"])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("words", [False, True])
def test_a_key_that_crosses_many_partitions(how, strategy, words, tmp_path):
    # Seven partitions of the left side and three of the right one are of one key or nearly so, the nulls besides.
    left_keys = [1.0] * 3 + [2.0] * 65 + [3.0] * 2 + [np.nan] * 25
    right_keys = [0.0] * 2 + [2.0] * 28 + [np.nan] * 12
    left = pd.DataFrame({"k": left_keys, "l": range(len(left_keys))})
    right = pd.DataFrame({"k": right_keys, "r": range(len(right_keys))})
    if words:
        as_words = {0.0: "", 1.0: "a", 2.0: "two", 3.0: "twofold"}
        left, right = (frame.assign(k=frame["k"].map(as_words).astype(WORDS)) for frame in (left, right))
    with dask.config.set({"scheduler": "sync", "dataframe.convert-string": False}):
        collection = safeframe.sorted_merge(
            dask.dataframe.from_pandas(left, npartitions=10, sort=False),
            dask.dataframe.from_pandas(right, npartitions=4, sort=False),
            how=how,
            on="k",
            strategy=strategy,
            partition_size=24 * 50,
            staging=str(tmp_path),
        )
        parts = dask.compute(*collection.to_delayed())
    plan = safeframe.explain(collection)
    assert plan.strategy == strategy
    assert plan.run.layout.single_key.sum() >= 2
    assert max(map(len, parts)) <= 50
    joined = in_key_order(list(parts), "k", whole_rows=50 if not words else None)
    same_rows(joined, left.merge(right, how=how, on="k"), ["l", "r"])


@examples(40)
@given(data=st.data(), how=st.sampled_from(HOWS), bounds=st.sampled_from([1, 3]))
def test_strings_between_few_bounds(data, how, bounds, tmp_path_factory):
    words = st.text(alphabet="aAé🐍", max_size=3)
    sides = [
        pd.DataFrame({"k": pd.Series(data.draw(st.lists(words, max_size=25)), dtype=WORDS)}) for _ in range(2)
    ]
    sides = [side.assign(**{name: range(len(side))}) for side, name in zip(sides, "lr", strict=True)]
    with (
        dask.config.set(
            {"scheduler": "sync", "safeframe.key-capacity": data.draw(st.sampled_from([3, 1000]))}
        ),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(options, "KEY_BOUNDS", bounds)
        collection = safeframe.sorted_merge(
            data.draw(in_order(sides[0])),
            data.draw(partitioned(sides[1])),
            how=how,
            on="k",
            sort=True,
            partition_size=data.draw(st.sampled_from([None, 200])),
            staging=str(tmp_path_factory.getbasetemp()),
        )
        parts = dask.compute(*collection.to_delayed())
    joined = in_key_order(list(parts), "k", whole_rows=None)
    same_rows(joined, sides[0].merge(sides[1], how=how, on="k"), ["l", "r"])

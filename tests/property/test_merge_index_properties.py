"""safeframe.merge on indexes gives the rows, columns and index of pandas.merge."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.property.merging import HOWS, examples, in_dask, merged, merged_collection, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

# What pandas itself cannot index by, or reads differently as an index.
INDEX_KINDS = sorted(KEY_KINDS)


def indexed(frame, name):
    """Make the column ``k`` the index, under a name."""
    index = pd.Index(frame["k"].array, dtype=frame["k"].dtype, name=name)
    frame = frame.drop(columns="k")
    frame.index = index
    return frame


def arguments_for(data, tmp_path_factory):
    return {
        "partition_size": data.draw(st.sampled_from([None, 200, 2000])),
        "staging": str(tmp_path_factory.getbasetemp()),
    }


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(INDEX_KINDS),
    how=st.sampled_from(HOWS),
    names=st.sampled_from([("k", "k"), ("k", "j"), (None, None), (None, "k")]),
)
def test_both_indexes(data, kind, how, names, tmp_path_factory):
    left = indexed(data.draw(key_frames([kind], names=["k"], extra="l")), names[0])
    right = indexed(data.draw(key_frames([kind], names=["k"], extra="r")), names[1])
    result, plan = merged(
        data.draw(partitioned(left, index=True)),
        data.draw(partitioned(right, index=True)),
        how=how,
        left_index=True,
        right_index=True,
        **arguments_for(data, tmp_path_factory),
    )
    expected = left.merge(right, how=how, left_index=True, right_index=True)
    same_rows(result, expected, ["l", "r"], index=True)
    assert int(plan.output_rows) == len(expected)


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(INDEX_KINDS),
    how=st.sampled_from(HOWS),
    index_side=st.sampled_from(["left", "right"]),
    column=st.sampled_from(["k", "l", "both"]),
)
def test_an_index_and_a_column(data, kind, how, index_side, column, tmp_path_factory):
    one = indexed(data.draw(key_frames([kind], names=["k"], extra="l")), "i")
    other = data.draw(key_frames([kind], names=["k"], extra="r"))
    other.index = pd.Index(range(100, 100 + len(other)), name="j")
    # The column's name may clash with one of the other side.
    other = other.rename(columns={"k": column} if column != "both" else {"k": "both", "both": "k"})
    frames = (one, other) if index_side == "left" else (other, one)
    named = {"left": ("left_index", "right_on"), "right": ("right_index", "left_on")}[index_side]
    arguments = {"how": how, named[0]: True, named[1]: column}
    result, _ = merged(
        *(data.draw(partitioned(frame, index=True)) for frame in frames),
        **arguments,
        **arguments_for(data, tmp_path_factory),
    )
    expected = frames[0].merge(frames[1], **arguments)
    by = [name for name in expected.columns if str(name)[0] in "lrb"]
    same_rows(result, expected, by, index=True)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("index_side", ["left", "right"])
@pytest.mark.parametrize("empty", ["left", "right"])
@pytest.mark.parametrize("name", [None, "i"])
@pytest.mark.parametrize("strategy", ["staged", "broadcast"])
def test_an_index_next_to_a_side_without_rows_is_that_of_pandas(
    how, index_side, empty, name, strategy, tmp_path
):
    by_index = pd.DataFrame({"l": range(5)}, index=pd.Index([f"key {i}" for i in range(5)], name=name))
    by_column = pd.DataFrame(
        {"k": ["key 1", "key 1", "x"], "r": range(3)}, index=pd.Index([7, 8, 9], name="j")
    )
    frames = {"left": by_index, "right": by_column}
    arguments = {"left_index": True, "right_on": "k"}
    if index_side == "right":
        frames, arguments = {"left": by_column, "right": by_index}, {"left_on": "k", "right_index": True}
    frames[empty] = frames[empty].iloc[:0]
    if strategy == "broadcast" and how == "outer":
        return
    result, _ = merged(
        *(in_dask(frame, 2) for frame in frames.values()),
        how=how, strategy=strategy, staging=str(tmp_path), **arguments,
    )  # fmt: skip
    expected = frames["left"].merge(frames["right"], how=how, **arguments)
    same_rows(result, expected, ["l", "r"], index=True)
    assert result.index.name == expected.index.name


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(INDEX_KINDS),
    how=st.sampled_from(HOWS),
    levels=st.sampled_from([(True, True), (True, False), (False, True)]),
    second=st.booleans(),
)
def test_on_naming_an_index_level(data, kind, how, levels, second, tmp_path_factory):
    kinds, names = ([kind, "int8"], ["k", "c"]) if second else ([kind], ["k"])
    left, right = (data.draw(key_frames(kinds, names=names, extra=extra)) for extra in "lr")
    left, right = (
        indexed(frame, "k") if level else frame for frame, level in zip((left, right), levels, strict=True)
    )
    result, _ = merged(
        data.draw(partitioned(left, index=True)),
        data.draw(partitioned(right, index=True)),
        how=how,
        on=names,
        **arguments_for(data, tmp_path_factory),
    )
    same_rows(result, left.merge(right, how=how, on=names), ["l", "r"], index=levels == (True, True))


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(["int64", "int8", "timedelta"]),
    how=st.sampled_from([*HOWS, "leftsemi", "leftanti"]),
    strategy=st.sampled_from(["sorted", "staged"]),
    spread=st.sampled_from([1, 10**6]),
)
def test_divisions_are_known_where_no_key_fills_several_partitions(
    data, kind, how, strategy, spread, tmp_path_factory
):
    left, right = (data.draw(key_frames([kind], names=["k"], extra=extra)) for extra in "lr")
    if kind == "int64":
        left, right = (frame.assign(k=frame["k"] * spread) for frame in (left, right))
    left, right = (indexed(frame.sort_values("k"), "k") for frame in (left, right))
    arguments = {"how": how, "left_index": True, "right_index": True, "strategy": strategy}
    collection, plan, result = merged_collection(
        data.draw(partitioned(left, index=True)),
        data.draw(partitioned(right, index=True)),
        **arguments,
        **arguments_for(data, tmp_path_factory),
    )
    one_cell_each = plan.run.layout.cells.max() <= 1
    assert collection.known_divisions == bool(one_cell_each and len(left) + len(right))
    assert int(plan.output_rows) == len(result)


def test_a_broadcast_keeps_the_divisions_of_the_side_whose_index_stays():
    left = dd.from_pandas(pd.DataFrame({"a": range(20)}, index=pd.Index(range(20), name="k")), npartitions=4)
    right = in_dask(pd.DataFrame({"b": range(5)}, index=pd.Index([4, 3, 9, 0, 1], name="k")), 1)
    assert left.known_divisions
    collection, _, result = merged_collection(
        left, right, left_index=True, right_index=True, how="left", strategy="broadcast"
    )
    assert collection.divisions == left.divisions
    assert result["b"].notna().sum() == 5
    assert collection.loc[3:6].compute().index.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
@pytest.mark.parametrize(("how", "on_left"), [("left", True), ("inner", True), ("right", False)])
@pytest.mark.parametrize("repeats", [1, 3])
def test_rows_that_stay_keep_an_index_that_is_not_the_key_with_its_divisions_and_order(
    kind, how, on_left, repeats
):
    rng = np.random.default_rng(4)
    index = pd.Index(np.sort(rng.integers(10, 40, 60)), name="i").astype(kind)
    rows = pd.DataFrame({"a": range(60), "k": rng.integers(0, 30, 60)}, index=index)
    other = pd.DataFrame({"b": range(20 * repeats)}, index=np.repeat(rng.permutation(20), repeats))
    sides = [dd.from_pandas(rows, npartitions=4), in_dask(other, 2)]
    frames = [side.compute(scheduler="sync") for side in sides]  # strings are of dask's type
    keys = {"left_on": "k", "right_index": True}
    if not on_left:
        sides, frames, keys = sides[::-1], frames[::-1], {"left_index": True, "right_on": "k"}
    merged = safeframe.merge(*sides, how=how, strategy="broadcast", **keys)
    expected = frames[0].merge(frames[1], how=how, **keys)
    with dask.config.set(scheduler="sync"):
        result = merged.compute()
        found = merged.loc[index[20] : index[35]].compute()
    assert merged.divisions == sides[0 if on_left else 1].divisions
    assert result.index.is_monotonic_increasing
    assert result["a"].is_monotonic_increasing
    ordered = [frame.reset_index().sort_values(["a", "b"], ignore_index=True) for frame in (result, expected)]
    pd.testing.assert_frame_equal(*ordered)
    assert len(found) == expected.index.to_series().between(index[20], index[35]).sum()


@pytest.mark.parametrize("strategy", ["sorted", "staged", "broadcast"])
@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize(
    "keys",
    [
        np.array([-np.inf, -1e300, -2.5, -0.0, 1e-300, 0.25, 3.0, np.inf]),
        np.array([-2.5, -1.0, 0.5, 8.0], "float32"),
        np.array([0, 3, 2**62, 2**63, 2**64 - 1], "uint64"),
        np.array([-(2**63), -5, 4, 2**63 - 1]),
    ],
    ids=["floats", "narrow", "unsigned", "far-apart"],
)
def test_numbers_of_every_kind_have_divisions_and_rows_in_their_order(keys, how, strategy, tmp_path):
    if (how, strategy) == ("outer", "broadcast"):
        return
    rng = np.random.default_rng(7)
    left, right = (
        pd.DataFrame({name: range(30)}, index=pd.Index(np.sort(rng.choice(keys, 30)))) for name in ("a", "b")
    )
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=3), dd.from_pandas(right, npartitions=2),
        left_index=True, right_index=True, how=how, strategy=strategy, staging=str(tmp_path),
    )  # fmt: skip
    expected = left.merge(right, left_index=True, right_index=True, how=how)
    with dask.config.set(scheduler="sync"):
        result = merged.compute()
        parts = [merged.get_partition(i).compute().index for i in range(merged.npartitions)]
        found = merged.loc[keys[1] : keys[3]].compute()
    assert merged.known_divisions
    assert result.index.is_monotonic_increasing
    for part, low, high in zip(parts, merged.divisions, merged.divisions[1:], strict=False):
        assert len(part) == 0 or (low <= part.min() and part.max() <= high)
    assert len(found) == len(expected.loc[keys[1] : keys[3]])

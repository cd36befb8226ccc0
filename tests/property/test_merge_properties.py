"""safeframe.merge gives the rows of pandas.merge."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.property.merging import HOWS, examples, in_dask, merged, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned


@examples(40)
@given(data=st.data(), kind=st.sampled_from(sorted(KEY_KINDS)), how=st.sampled_from(HOWS))
def test_one_key_of_any_kind(data, kind, how, tmp_path_factory):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    result, plan = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how=how,
        on="k",
        partition_size=data.draw(st.sampled_from([None, 200, 2000])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    expected = left.merge(right, how=how, on="k")
    same_rows(result, expected, ["l", "r"])
    assert plan.output_rows.exact
    assert int(plan.output_rows) == len(expected)


@examples(40)
@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=2, max_size=3),
    how=st.sampled_from(HOWS),
)
def test_keys_of_several_columns(data, kinds, how, tmp_path_factory):
    left_on = [f"a{i}" for i in range(len(kinds))]
    right_on = [f"b{i}" for i in range(len(kinds))]
    left = data.draw(key_frames(kinds, names=left_on, extra="l"))
    right = data.draw(key_frames(kinds, names=right_on, extra="r"))
    result, _ = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how=how,
        left_on=left_on,
        right_on=right_on,
        suffixes=("_left", None),
        partition_size=data.draw(st.sampled_from([None, 300])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    expected = left.merge(right, how=how, left_on=left_on, right_on=right_on, suffixes=("_left", None))
    same_rows(result, expected, ["l", "r"])


@examples(40)
@given(data=st.data(), how=st.sampled_from(HOWS), strategy=st.sampled_from(["sorted", "broadcast", "staged"]))
def test_every_strategy_that_can_run_gives_the_same_rows(data, how, strategy, tmp_path_factory):
    left = data.draw(key_frames(["int64"], names=["k"], extra="l"))
    right = data.draw(key_frames(["int64"], names=["k"], extra="r"))
    if strategy == "sorted":
        left, right = (frame.sort_values("k", kind="stable") for frame in (left, right))
    try:
        result, plan = merged(
            data.draw(partitioned(left)),
            data.draw(partitioned(right)),
            how=how,
            on="k",
            strategy=strategy,
            partition_size=data.draw(st.sampled_from([None, 500])),
            staging=str(tmp_path_factory.getbasetemp()),
        )
    except safeframe.ValidationError:
        # Sorted input can always be joined in place, and any input staged.
        if strategy != "broadcast":
            raise
        return
    assert plan.strategy == strategy
    same_rows(result, left.merge(right, how=how, on="k"), ["l", "r"])


@pytest.mark.parametrize(
    ("left_type", "right_type"),
    [("int32", "int64"), ("int64", "float64"), ("Int64", "int64"), ("uint8", "int16"), ("float32", "float64"),
     ("datetime64[s]", "datetime64[ns]"), ("category", "object")],
)  # fmt: skip
@pytest.mark.parametrize("how", HOWS)
def test_keys_of_two_types_that_pandas_compares(left_type, right_type, how, tmp_path):
    values, others = [1, 2, 2, 5], [2, 5, 7]
    if left_type == "category":
        values, others = ["a", "b", "b", "c"], ["b", "c", "x"]
    if left_type.startswith("datetime"):
        values, others = (list(pd.to_datetime(seconds, unit="s")) for seconds in (values, others))
    left = pd.DataFrame({"k": pd.Series(values).astype(left_type), "l": range(4)})
    right = pd.DataFrame({"k": pd.Series(others).astype(right_type), "r": range(3)})
    with dask.config.set({"dataframe.convert-string": False}):
        result, _ = merged(
            dask.dataframe.from_pandas(left, npartitions=2),
            dask.dataframe.from_pandas(right, npartitions=2),
            how=how,
            on="k",
            staging=str(tmp_path),
            strategy="staged",
        )
    same_rows(result, left.merge(right, how=how, on="k"), ["l", "r"])


def test_whole_numbers_beyond_two_to_the_53_never_meet_through_floats(tmp_path):
    left = pd.DataFrame({"k": [2**53, 2**53 + 1]})
    right = pd.DataFrame({"k": [float(2**53)], "r": [1]})
    result, plan = merged(
        dask.dataframe.from_pandas(left, npartitions=1),
        dask.dataframe.from_pandas(right, npartitions=1),
        on="k",
        staging=str(tmp_path),
    )
    assert result["k"].tolist() == [2**53]
    assert int(plan.output_rows) == 1


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("strategy", ["staged", "broadcast"])
@pytest.mark.parametrize("breaks", ["int64", "int8", "float64", "datetime64[ns]"])
def test_intervals_that_have_no_match(breaks, strategy, how, tmp_path):
    if strategy == "broadcast" and how == "outer":
        return
    intervals = pd.arrays.IntervalArray.from_breaks(np.arange(7).astype(breaks))
    left = pd.DataFrame({"k": range(6), "l": range(6), "i": intervals})
    right = pd.DataFrame({"k": range(3, 9), "r": range(6), "j": intervals})
    result, _ = merged(
        in_dask(left, 2), in_dask(right, 2), how=how, on="k", strategy=strategy, staging=str(tmp_path)
    )
    same_rows(result, left.merge(right, how=how, on="k"), ["l", "r"])

"""safeframe.groupby_lag_transform gives the values of pandas' groupby().shift(), however rows are partitioned."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

KINDS = sorted(KEY_KINDS)
SIZES = st.sampled_from(
    [{}, {"npartitions": 1}, {"npartitions": 3}, {"partition_size": 100}, {"partition_size": 700}]
)
LAGS = st.lists(st.integers(-7, 7), min_size=1, max_size=3, unique=True)
ARRANGED = st.sampled_from(["as it comes", "in order", "by key alone"])

STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"
VALUES = {
    "int64": lambda n: pd.Series(range(n), dtype="int64") + 10,
    "int8": lambda n: pd.Series(range(n), dtype="int8"),
    "float32": lambda n: pd.Series(range(n), dtype="float32") / 4,
    "bool": lambda n: pd.Series([i % 3 == 0 for i in range(n)], dtype="bool"),
    "string": lambda n: pd.Series([None if i % 5 == 4 else f"w{i}" for i in range(n)], dtype=STRING),
    "Int64": lambda n: pd.Series([pd.NA if i % 5 == 4 else i for i in range(n)], dtype="Int64"),
    "datetime": lambda n: pd.Series(pd.date_range("2020", periods=n, unit="ns")),
    "datetime_tz": lambda n: pd.Series(pd.date_range("2020", periods=n, tz="Europe/Berlin", unit="ns")),
    "category": lambda n: pd.Series(pd.Categorical([f"c{i % 4}" for i in range(n)], [f"c{i}" for i in range(4)])),
    "object": lambda n: pd.Series([("t", i) if i % 2 else None for i in range(n)], dtype="object"),
}  # fmt: skip


def computed(result):
    """All rows, every partition being of the types, and within the size, that were promised."""
    with dask.config.set(scheduler="sync"):
        parts = dask.compute(*result.to_delayed())
    plan = safeframe.explain(result)
    assert len(parts) == plan.output_partitions == result.npartitions
    for part in parts:
        assert list(part.columns) == list(result.columns)
        assert list(part.dtypes) == list(result.dtypes), "every partition has the promised types"
        assert len(part) * plan.row_nbytes <= plan.largest_partition_nbytes + plan.row_nbytes
    return pd.concat(parts)


def same_values(found, expected, *, rows="l"):
    """Compare by the number of each row; pandas decides types by values, and we do not."""
    found = found.set_index(rows)[expected.columns].sort_index()
    expected = expected.sort_index()
    assert found.index.tolist() == expected.index.tolist()
    for name in expected.columns:
        ours, theirs = found[name], expected[name]
        if ours.dtype != theirs.dtype:
            assert not theirs.isna().any() or len(theirs) == 0 or theirs.isna().all(), (
                ours.dtype,
                theirs.dtype,
            )
            theirs = theirs.astype(ours.dtype)
        pd.testing.assert_series_equal(ours, theirs, check_names=False, check_categorical=False)


def shifted(frame, by, columns, lags, *, rows="l", dropna=True, **kwargs):
    groups = frame.groupby(by, dropna=dropna, observed=True)
    made = {f"{c}_lag_{lag}": groups[c].shift(lag, **kwargs) for c in columns for lag in lags}
    expected = pd.DataFrame(made, index=frame.index)
    expected.index = frame[rows]
    return expected


def arranged(frame, how, by):
    if how == "as it comes":
        return frame
    frame = frame.sort_values(by, kind="stable", ignore_index=True)
    return frame if how == "in order" else frame.sort_values(by[0], kind="stable", ignore_index=True)


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
    lags=LAGS,
    size=SIZES,
    how=ARRANGED,
    dropna=st.booleans(),
)
def test_shifts_are_those_of_pandas(data, kinds, lags, size, how, dropna, tmp_path_factory):
    by = [f"k{i}" for i in range(len(kinds))]
    frame = arranged(data.draw(key_frames(kinds, names=by, extra="l")), how, by)
    result = safeframe.groupby_lag_transform(
        data.draw(partitioned(frame)),
        by,
        ["l", "both"],
        lags,
        dropna=dropna,
        staging=str(tmp_path_factory.getbasetemp()),
        **size,
    )
    found = computed(result)
    same_values(found, shifted(frame, by, ["l", "both"], lags, dropna=dropna))
    strategy = safeframe.explain(result).strategy
    if strategy == "halo":
        assert found["l"].tolist() == frame["l"].tolist(), "rows stay where they are"
    else:
        in_order = frame.sort_values(by, kind="stable")
        assert found["l"].tolist() == in_order["l"].tolist(), "rows come in the order of the groups"
    if how == "in order" and not size:
        assert strategy == "halo"


@given(
    data=st.data(),
    kind=st.sampled_from(KINDS),
    orders=st.lists(st.sampled_from(["float", "int8", "string", "datetime_tz"]), min_size=1, max_size=2),
    lags=LAGS,
    size=SIZES,
    in_order=st.booleans(),
)
def test_rows_of_a_group_in_another_order(data, kind, orders, lags, size, in_order, tmp_path_factory):
    ordering = [f"t{i}" for i in range(len(orders))]
    frame = data.draw(key_frames([kind, *orders], names=["k", *ordering], extra="l"))
    if in_order:
        frame = frame.sort_values(["k", *ordering], kind="stable", ignore_index=True)
    result = safeframe.groupby_lag_transform(
        data.draw(partitioned(frame)),
        "k",
        "both",
        lags,
        order_by=ordering,
        staging=str(tmp_path_factory.getbasetemp()),
        **size,
    )
    expected = shifted(frame.sort_values(ordering, kind="stable"), "k", ["both"], lags)
    same_values(computed(result), expected)


@given(data=st.data(), value=st.sampled_from(sorted(VALUES)), lags=LAGS, in_order=st.booleans(), size=SIZES)
def test_values_of_every_type(data, value, lags, in_order, size, tmp_path_factory):
    frame = data.draw(key_frames(["int64"], names=["k"], extra="l"))
    frame["v"] = VALUES[value](len(frame))
    if value == "object":  # what Arrow has no type for cannot be staged
        in_order, size = True, {}
        frame["v"] = frame["v"].map(repr).astype(object)
    if in_order:
        frame = frame.sort_values("k", kind="stable", ignore_index=True)
    result = safeframe.groupby_lag_transform(
        data.draw(partitioned(frame)), "k", "v", lags, staging=str(tmp_path_factory.getbasetemp()), **size
    )
    same_values(computed(result), shifted(frame, "k", ["v"], lags))


FILLS = {
    "int64": -1,
    "float32": 0.5,
    "string": "none",
    "Int64": 7,
    "bool": False,
    "datetime": pd.Timestamp(0),
}


@given(data=st.data(), value=st.sampled_from(sorted(FILLS)), lags=LAGS, in_order=st.booleans())
def test_fill_value(data, value, lags, in_order, tmp_path_factory):
    frame = data.draw(key_frames(["float"], names=["k"], extra="l"))
    frame["v"] = VALUES[value](len(frame))
    if in_order:
        frame = frame.sort_values("k", kind="stable", ignore_index=True)
    result = safeframe.groupby_lag_transform(
        data.draw(partitioned(frame)),
        "k",
        "v",
        lags,
        fill_value=FILLS[value],
        staging=str(tmp_path_factory.getbasetemp()),
    )
    assert all(dtype == frame["v"].dtype for dtype in result.dtypes.iloc[-len(lags) :])
    same_values(computed(result), shifted(frame, "k", ["v"], lags, fill_value=FILLS[value]))


def added_to_itself(column):
    return column + column


TRANSFORMS = {
    "log1p": (np.log1p, np.log1p),
    "own": (added_to_itself, added_to_itself),
}


@given(
    data=st.data(),
    value=st.sampled_from(["int64", "float32", "Int64", "int8"]),
    transform=st.sampled_from([*TRANSFORMS, "diff", "pct_change"]),
    lags=LAGS,
    in_order=st.booleans(),
    size=SIZES,
)
def test_transforms(data, value, transform, lags, in_order, size, tmp_path_factory):
    frame = data.draw(key_frames(["int64"], names=["k"], extra="l"))
    frame["v"] = VALUES[value](len(frame)).replace(0, 3)
    if in_order:
        frame = frame.sort_values("k", kind="stable", ignore_index=True)
    ours, theirs = TRANSFORMS.get(transform, (transform, None))
    result = safeframe.groupby_lag_transform(
        data.draw(partitioned(frame)),
        "k",
        "v",
        lags,
        transform=ours,
        staging=str(tmp_path_factory.getbasetemp()),
        **size,
    )
    groups = frame.groupby("k")["v"]
    if theirs is not None:
        made = {f"v_lag_{lag}": theirs(groups.shift(lag)) for lag in lags}
    elif transform == "diff":
        made = {f"v_lag_{lag}": groups.diff(lag) for lag in lags}
    else:
        made = {f"v_lag_{lag}": groups.pct_change(lag, fill_method=None) for lag in lags}
    expected = pd.DataFrame(made, index=frame.index)
    expected.index = frame["l"]
    same_values(computed(result), expected)


@pytest.mark.parametrize("before", ["shuffle", "set_index", "sort_values"])
@given(data=st.data(), kind=st.sampled_from(KINDS), lags=LAGS, size=SIZES, steps=st.booleans())
def test_a_frame_that_recipes_grouped(before, data, kind, lags, size, steps, tmp_path_factory):
    frame = data.draw(key_frames([kind], names=["k"], extra="l"))
    ddf = data.draw(partitioned(frame))
    staging = str(tmp_path_factory.getbasetemp())
    if before == "shuffle":
        ddf = safeframe.shuffle(ddf, "k", npartitions=3, staging=staging)
    elif before == "set_index":
        ddf = safeframe.set_index(ddf, "k", staging=staging, **size)
    else:
        ddf = safeframe.sort_values(ddf, "k", staging=staging, **size)
    if steps:
        ddf, frame = (rows.assign(twice=-rows["l"] * 2) for rows in (ddf, frame))
        if before != "set_index":
            ddf = ddf[["twice", "k", "l", "both"]].assign(both=ddf["l"] > 3)
            frame = frame.assign(both=frame["l"] > 3)
    columns = ["both", "twice"] if steps else ["both"]
    result = safeframe.groupby_lag_transform(ddf, "k", columns, lags, staging=staging)
    same_values(computed(result), shifted(frame, "k", columns, lags))
    plan = safeframe.explain(result)
    assert plan.recipe == "groupby_lag_transform"
    if before == "shuffle":
        assert plan.strategy == "whole" or any("a partition" in one.reason for one in plan.rejected)
    else:
        assert any("rows move once" in reason for reason in plan.reasons)
    assert result._meta.index.name == ("k" if before == "set_index" else None)

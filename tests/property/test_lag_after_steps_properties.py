"""Lag features of a frame that was ordered, and changed since, follow the rows as they are now."""

from __future__ import annotations

import dask
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from tests.property.merging import in_dask
from tests.property.strategies import partitioned
from tests.property.test_lag_properties import same_values, shifted

STEPS = {
    "nothing": lambda frame: frame,
    "a new column": lambda frame: frame.assign(w=frame["v"] * 2),
    "the order turned round": lambda frame: frame.assign(t=-frame["t"]),
    "another order": lambda frame: frame.assign(t=frame["l"]),
    "the same order again": lambda frame: frame.assign(t=frame["t"]),
    "no order": lambda frame: frame[["k", "v", "l"]],
    "an order that comes back": lambda frame: frame[["k", "v", "l"]].assign(t=frame["u"]),
    "a renamed order": lambda frame: frame.rename(columns={"t": "u", "u": "t"}),
    "another key": lambda frame: frame.assign(k=frame["k"] % 2),
    "renamed keys": lambda frame: frame.rename(columns={"k": "t", "t": "k"}),
    "fewer rows": lambda frame: frame[frame["l"] % 3 > 0],
    "another type": lambda frame: frame.astype({"t": "float64"}),
    "changed and chosen": lambda frame: frame.assign(t=-frame["t"], x=1)[["k", "t", "v", "l"]],
}


def ordered(ddf, recipe, staging):
    if recipe == "sort_values":
        return safeframe.sort_values(ddf, ["k", "t"], staging=staging)
    if recipe == "set_index":
        return safeframe.set_index(ddf, "k", staging=staging, drop=False)
    return safeframe.shuffle(ddf, "k", staging=staging, npartitions=3)


@st.composite
def frames(draw):
    n = draw(st.integers(0, 20))
    few = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    columns = {"k": draw(few), "t": draw(few), "u": draw(st.permutations(range(n)))}
    return pd.DataFrame({**columns, "v": range(n), "l": range(n)}, dtype="int64")


@settings(max_examples=30)
@given(
    data=st.data(),
    frame=frames(),
    recipe=st.sampled_from(["sort_values", "set_index", "shuffle"]),
    step=st.sampled_from(sorted(STEPS)),
    order_by=st.sampled_from([None, "u", ["t", "u"]]),
)
def test_lags_after_steps_are_those_of_the_frame_as_it_is(
    data, frame, recipe, step, order_by, tmp_path_factory
):
    staging = str(tmp_path_factory.getbasetemp())
    with dask.config.set(scheduler="sync"):
        then = STEPS[step](ordered(data.draw(partitioned(frame)), recipe, staging))
        rows = then.compute().reset_index(drop=True)
        if not {*([order_by] if isinstance(order_by, str) else order_by or ())} <= set(rows.columns):
            return
        found = safeframe.groupby_lag_transform(then, "k", "v", [1, -1], order_by=order_by, staging=staging)
        found = found.compute()
    # Rows of equal values keep the order of the frame.
    in_order = rows if order_by is None else rows.sort_values(order_by, kind="stable")
    same_values(found, shifted(in_order, "k", ["v"], [1, -1]))


@pytest.mark.parametrize("step", ["the order turned round", "no order", "an order that comes back"])
def test_an_order_that_no_longer_holds_is_not_used(step, tmp_path):
    frame = pd.DataFrame(
        {"k": [0, 1] * 8, "t": range(16, 0, -1), "u": range(16), "v": range(16), "l": range(16)}
    )
    with dask.config.set(scheduler="sync"):
        then = STEPS[step](safeframe.sort_values(in_dask(frame, 4), ["k", "t"], staging=str(tmp_path)))
        found = safeframe.groupby_lag_transform(then, "k", "v", 1, staging=str(tmp_path)).compute()
        same_values(found, shifted(then.compute(), "k", ["v"], [1]))

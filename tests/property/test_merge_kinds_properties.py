"""Semi, anti and cross joins, the indicator, and heavy keys in joins of every kind, as pandas has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.merging import HOWS, examples, in_dask, merged, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

STRATEGIES = (None, "broadcast", "staged")


def matched(left, right, arguments, *, wanted):
    """Return the left rows that have, or have not, a match: what pandas' indicator says of them."""
    numbered = left.assign(row=np.arange(len(left)))
    found = numbered.merge(right, how="left", indicator="found", **arguments)
    rows = found.loc[found["found"] == wanted, "row"]
    return left.iloc[np.unique(rows.to_numpy())]


@examples(65)
@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=1, max_size=2),
    how=st.sampled_from(["leftsemi", "leftanti"]),
    indicator=st.booleans(),
    strategy=st.sampled_from(STRATEGIES),
)
def test_semi_and_anti_joins(data, kinds, how, indicator, strategy, tmp_path_factory):
    names = ["k", "c"][: len(kinds)]
    left = data.draw(key_frames(kinds, names=names, extra="l"))
    right = data.draw(key_frames(kinds, names=names, extra="r"))
    result, plan = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how=how,
        on=names,
        indicator=indicator,
        strategy=strategy,
        partition_size=None if strategy == "broadcast" else data.draw(st.sampled_from([None, 100])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    wanted = {"leftsemi": "both", "leftanti": "left_only"}[how]
    expected = matched(left, right, {"on": names}, wanted=wanted)
    assert int(plan.output_rows) == len(expected)
    if indicator:
        assert (result.pop("_merge") == wanted).all()
    same_rows(result, expected, ["l"])


@examples(65)
@given(
    data=st.data(),
    how=st.sampled_from(["leftsemi", "leftanti"]),
    strategy=st.sampled_from(["sorted", "sorted-one-side"]),
)
def test_semi_and_anti_joins_of_sides_in_key_order(data, how, strategy, tmp_path_factory):
    left = data.draw(key_frames(["int64"], names=["k"], extra="l")).sort_values("k", kind="stable")
    right = data.draw(key_frames(["int64"], names=["k"], extra="r")).sort_values("k", kind="stable")
    result, plan = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how=how,
        on="k",
        strategy=strategy,
        partition_size=data.draw(st.sampled_from([None, 100])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    assert plan.strategy == strategy
    expected = matched(left, right, {"on": "k"}, wanted={"leftsemi": "both", "leftanti": "left_only"}[how])
    same_rows(result, expected, ["l"])


@examples(65)
@given(data=st.data(), how=st.sampled_from(["leftsemi", "leftanti"]), right_index=st.booleans())
def test_semi_and_anti_joins_on_the_index_keep_it(data, how, right_index, tmp_path_factory):
    left = data.draw(key_frames(["int64"], names=["k"], extra="l")).set_index("k")
    right = data.draw(key_frames(["int64"], names=["j"], extra="r"))
    arguments = {"left_index": True, "right_on": "j"}
    if right_index:
        right, arguments = right.set_index("j"), {"left_index": True, "right_index": True}
    result, _ = merged(
        data.draw(partitioned(left, index=True)),
        data.draw(partitioned(right, index=True)),
        how=how,
        staging=str(tmp_path_factory.getbasetemp()),
        **arguments,
    )
    expected = matched(left, right, arguments, wanted={"leftsemi": "both", "leftanti": "left_only"}[how])
    same_rows(result, expected, ["l"], index=True)


@examples(100)
@given(data=st.data(), indicator=st.sampled_from([False, True, "from"]), strategy=st.sampled_from(STRATEGIES))
def test_cross_joins(data, indicator, strategy, tmp_path_factory):
    left = data.draw(key_frames(["string"], names=["k"], extra="l", max_rows=14))
    right = data.draw(key_frames(["float"], names=["k"], extra="r", max_rows=14))
    result, plan = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how="cross",
        indicator=indicator,
        strategy=strategy,
        partition_size=None if strategy == "broadcast" else data.draw(st.sampled_from([None, 100, 1000])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    assert int(plan.output_rows) == len(left) * len(right)
    assert plan.output_rows.exact
    same_rows(result, left.merge(right, how="cross", indicator=indicator), ["l", "r"])


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(sorted(KEY_KINDS)),
    how=st.sampled_from(HOWS),
    indicator=st.sampled_from([True, "found in"]),
    strategy=st.sampled_from([None, "staged"]),
)
def test_the_indicator(data, kind, how, indicator, strategy, tmp_path_factory):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    result, _ = merged(
        data.draw(partitioned(left)),
        data.draw(partitioned(right)),
        how=how,
        on="k",
        indicator=indicator,
        strategy=strategy,
        partition_size=data.draw(st.sampled_from([None, 200])),
        staging=str(tmp_path_factory.getbasetemp()),
    )
    same_rows(result, left.merge(right, how=how, on="k", indicator=indicator), ["l", "r"])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["int64", "string", "Int64"])
def test_a_heavy_key_fills_several_cells(how, kind, tmp_path):
    make = KEY_KINDS[kind]
    null = 0 if kind != "int64" else 6
    left = pd.DataFrame({"k": make([3] * 300 + [1, 2, 2, null, null]), "l": range(305)})
    right = pd.DataFrame({"k": make([2, 3, 3, 3, 4, 5, null] + [7] * 400), "r": range(407)})
    result, plan = merged(
        *(in_dask(frame, 7) for frame in (left, right)),
        how=how,
        on="k",
        indicator=True,
        strategy="staged",
        partition_size=400,
        staging=str(tmp_path),
    )
    assert plan.run.layout.cells.max() > 5, "the heavy key is cut"
    same_rows(result, left.merge(right, how=how, on="k", indicator=True), ["l", "r"])

"""Rows that come to keys from which nothing was to come, because a side had none, are an error and not left out."""

from __future__ import annotations

import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe

pytestmark = pytest.mark.usefixtures("_in_this_process")

WITH = pd.DataFrame({"k": pd.array([*range(20), None, None], dtype="Int64"), "v": range(1, 23)})
WITHOUT = WITH[:20]


@pytest.mark.parametrize("how", ["inner", "leftsemi"])
@pytest.mark.parametrize("changed", ["left", "right"])
def test_null_keys_that_only_one_side_of_a_filtered_merge_had(how, changed, tmp_path):
    frames = {name: WITHOUT if name == changed else WITH for name in ("left", "right")}
    sides = {}
    for name, frame in frames.items():
        path = str(tmp_path / f"{name}.pickle")
        frame.to_pickle(path)
        sides[name] = dd.from_map(pd.read_pickle, [path], meta=frame.iloc[:0])
    merged = safeframe.merge(**sides, on="k", how=how, strategy="staged", staging=str(tmp_path))
    assert merged.expr.plan.run.layout.cells.tolist() == [1, 0]
    filtered = merged[merged["v_x" if how == "inner" else "v"] > 0]
    assert len(filtered.compute()) == 20
    now = frames[changed].copy()
    now.loc[7, "k"] = pd.NA
    now.to_pickle(tmp_path / f"{changed}.pickle")
    with pytest.raises(safeframe.RowConservationError, match="that did not exist when the plan was made"):
        filtered.compute()

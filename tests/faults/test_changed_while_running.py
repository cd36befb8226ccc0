"""Files that are written again while a run reads them a second time: RowConservationError, and never rows chosen by old keys."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.engine.distinct import nodes as distinct_nodes

pytestmark = pytest.mark.usefixtures("_in_this_process")

N = 400
ROWS = pd.DataFrame({"k": np.arange(N) % 90, "v": np.arange(N)})
OTHER = ROWS.assign(k=ROWS["k"].to_numpy()[::-1])
"""As many rows, of as many keys."""

RECIPES = {
    "drop_duplicates": lambda ddf, **given: safeframe.drop_duplicates(ddf, "k", **given),
    "duplicated": lambda ddf, **given: safeframe.duplicated(ddf, "k", **given),
    "unique": lambda ddf, **given: safeframe.unique(ddf, "k", **given),
}
SOURCES = {
    "as read": lambda ddf: ddf,
    "after a step": lambda ddf: ddf.assign(w=ddf["v"] + 1),
}


def write(frame, directory):
    for number in range(4):
        part = frame.iloc[100 * number : 100 * (number + 1)]
        part.to_parquet(directory / f"{number}.parquet", index=False)


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("strategy", ["staged", "tree"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_are_not_chosen_by_keys_that_they_no_longer_have(
    tmp_path, monkeypatch, recipe, strategy, source, filesystem
):
    data = tmp_path / "data"
    data.mkdir()
    write(ROWS, data)
    name = "seal_found" if strategy == "staged" else "found_in_few"
    found = getattr(distinct_nodes, name)

    def found_and_changed(*given):
        write(OTHER, data)
        return found(*given)

    monkeypatch.setattr(distinct_nodes, name, found_and_changed)
    ddf = SOURCES[source](dd.read_parquet(data, filesystem=filesystem))
    lazy = RECIPES[recipe](ddf, strategy=strategy, staging=str(tmp_path / "s"))
    with pytest.raises(safeframe.RowConservationError, match=r"\d\.parquet' was written or removed after"):
        lazy.compute()
    monkeypatch.undo()
    ddf = SOURCES[source](dd.read_parquet(data, filesystem=filesystem))
    again = RECIPES[recipe](ddf, strategy=strategy, staging=str(tmp_path / "s")).compute()
    # pyarrow's file system lists files in no order.
    if recipe == "duplicated":
        assert again.sum() == OTHER.duplicated("k").sum()
    else:
        keys = again["k"] if recipe == "drop_duplicates" else again
        assert sorted(keys) == sorted(OTHER["k"].drop_duplicates())

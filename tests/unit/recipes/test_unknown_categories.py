"""Categories that are not known: those of text that was made categories, and of files whose writer was not pandas."""

from __future__ import annotations

import itertools

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe

pytestmark = pytest.mark.usefixtures("_in_this_process")

FRAME = pd.DataFrame(
    {"k": [0, 1, 0, 1, 0, 1] * 5, "c": list("abcabcbbd") * 3 + list("aed"), "v": np.arange(30)}
)


@pytest.fixture(params=["astype", "files", "files without rows"])
def unknown(request, tmp_path):
    if request.param == "astype":
        ddf = dd.from_pandas(FRAME, npartitions=3, sort=False)
        return ddf.assign(c=ddf.c.astype("category"))
    bounds = [0, 0, 10, 20, 30, 30] if "without" in request.param else [0, 10, 20, 30]
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        some = FRAME.iloc[start:stop]
        words = pa.array(some["c"].to_numpy(object), pa.string()).dictionary_encode()
        table = pa.table({"k": some["k"].to_numpy(), "c": words, "v": some["v"].to_numpy()})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    return dd.read_parquet(tmp_path)


@pytest.mark.parametrize("strategy", [None, "staged"])
@pytest.mark.parametrize("name", ["first", "last", "nunique", "count"])
def test_values_of_groups(unknown, name, strategy, tmp_path):
    groups = safeframe.groupby(unknown, "k", strategy=strategy, staging=str(tmp_path))["c"]
    found = getattr(groups, name)().compute()
    assert found.to_dict() == getattr(FRAME.groupby("k")["c"], name)().to_dict()


@pytest.mark.parametrize("name", ["sum", "median"])
def test_groups_that_no_row_has_are_none(unknown, name):
    groups = safeframe.groupby(unknown, "c", observed=False)["v"]
    assert getattr(groups, name)().compute().to_dict() == getattr(FRAME.groupby("c")["v"], name)().to_dict()
    counts = safeframe.value_counts(unknown, "c").compute()
    assert counts.to_dict() == FRAME["c"].value_counts().to_dict()


@pytest.mark.parametrize(
    "recipe",
    [
        lambda ddf: safeframe.sort_values(ddf, ["c", "v"]),
        lambda ddf: safeframe.set_index(ddf, "c"),
        lambda ddf: safeframe.groupby_lag_transform(ddf, "k", "v", 1, order_by=["c"]),
    ],
    ids=["sort_values", "set_index", "lag"],
)
def test_they_have_no_order(unknown, recipe):
    with pytest.raises(safeframe.UnsupportedError, match="not known"):
        recipe(unknown)


def test_rows_move_with_their_values(unknown, tmp_path):
    expected = sorted(FRAME.itertuples(index=False, name=None))
    for moved in (
        safeframe.shuffle(unknown, "c", npartitions=2, staging=str(tmp_path)),
        safeframe.sort_values(unknown, "v", staging=str(tmp_path)),
        safeframe.rebalance_partitions(unknown, staging=str(tmp_path)),
        safeframe.drop_duplicates(unknown, ["c", "v"], staging=str(tmp_path)),
        safeframe.merge(unknown, unknown[["v"]], on="v", staging=str(tmp_path)),
    ):
        found = moved.compute().astype({"c": object})[["k", "c", "v"]]
        assert sorted(found.itertuples(index=False, name=None)) == expected


def test_a_filter_and_columns_pass_by(unknown):
    some = unknown[unknown["v"] > 7][["c", "v"]]
    found = safeframe.groupby(some, "c")["v"].sum().compute()
    assert found.to_dict() == FRAME[FRAME["v"] > 7].groupby("c")["v"].sum().to_dict()
    assert (
        safeframe.groupby(unknown, "k")["v"].sum().compute().to_dict()
        == FRAME.groupby("k")["v"].sum().to_dict()
    )

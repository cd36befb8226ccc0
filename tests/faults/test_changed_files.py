"""Files that are written anew between planning and running: the rows that are there now, or RowConservationError."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.recipes import merge_table
from tests.property.merging import _check_divisions
from tests.property.test_merge_filter_properties import rows

N = 400
LEFT = pd.DataFrame({"k": np.arange(N), "g": np.arange(N) // 10, "a": np.arange(N)})
RIGHT = pd.DataFrame({"k": np.arange(N), "g": np.arange(N) // 10, "b": np.arange(N) * 100})

MERGES = {
    f"{strategy} {how}": (
        lambda left, right, staging, how=how, strategy=strategy: safeframe.merge(
            left, right, on="k", how=how, strategy=None if strategy == "table" else strategy, staging=staging
        )
    )
    for strategy in ("staged", "broadcast", "sorted", "table")
    for how in ("inner", "left", "right", "outer", "leftsemi", "leftanti")
    if not (strategy == "broadcast" and how == "outer") and (strategy != "table" or how in ("left", "right"))
}
OTHERS = {
    "sorted_merge": lambda left, right, staging: safeframe.sorted_merge(left, right, on="k", how="left"),
    "sorted_merge, one side": lambda left, right, staging: safeframe.sorted_merge(
        left, right.assign(k=N - 1 - right["k"]), on="k", how="left", sort=True, staging=staging
    ),
    "set_index in place": lambda left, right, staging: safeframe.set_index(right, "k", staging=staging),
    "set_index aligned": lambda left, right, staging: safeframe.set_index(right, "g", staging=staging),
    "set_index staged": lambda left, right, staging: safeframe.set_index(
        right.assign(k=-right["k"]), "k", staging=staging
    ),
    "sort_values": lambda left, right, staging: safeframe.sort_values(right, "k", staging=staging),
    "sort_values staged": lambda left, right, staging: safeframe.sort_values(
        right, "k", ascending=False, strategy="staged", staging=staging
    ),
    "shuffle": lambda left, right, staging: safeframe.shuffle(right, "g", staging=staging),
    "rebalance": lambda left, right, staging: safeframe.rebalance_partitions(right, npartitions=3, staging=staging),
    "lag": lambda left, right, staging: safeframe.groupby_lag_transform(
        right, "g", "b", 1, staging=staging
    ),
    "lag in order": lambda left, right, staging: safeframe.groupby_lag_transform(
        right, "g", "b", 1, order_by="k", staging=staging
    ),
    "lag staged": lambda left, right, staging: safeframe.groupby_lag_transform(
        right, "g", "b", 1, order_by="k", strategy="staged", staging=staging
    ),
    "rebalance smaller": lambda left, right, staging: safeframe.rebalance_partitions(
        right, partition_size="1KiB", staging=staging
    ),
    "sum by key": lambda left, right, staging: (
        safeframe.merge(left, right, on="k", staging=staging, strategy="staged").groupby("k").b.sum().reset_index()
    ),
    "sum": lambda left, right, staging: (
        safeframe.merge(left, right, on="k", how="left", staging=staging, strategy="staged").b.sum()
    ),
    "rows": lambda left, right, staging: safeframe.merge(
        left, right, on="k", how="left", staging=staging, strategy="staged"
    ).index.size,
    "filtered": lambda left, right, staging: (
        lambda merged: merged[merged.b > 3000]
    )(safeframe.merge(left, right, on="k", staging=staging, strategy="staged")),
}  # fmt: skip

CHANGES = {
    "other keys": RIGHT.assign(k=np.arange(N) * 2, g=np.arange(N) // 5),
    "keys of one partition": RIGHT.assign(k=np.where(RIGHT["k"] < 300, RIGHT["k"], RIGHT["k"] + 7)),
    "keys in another order": RIGHT.iloc[::-1].reset_index(drop=True),
    "a key twice": RIGHT.assign(k=np.where(RIGHT["k"] == 7, 8, RIGHT["k"])),
    "fewer rows": RIGHT.iloc[: N - 3],
    "more rows": pd.concat([RIGHT, RIGHT.assign(k=RIGHT["k"] + N)], ignore_index=True),
    "no rows": RIGHT.iloc[:0],
    "other values": RIGHT.assign(b=-RIGHT["b"]),
    "negative keys": RIGHT.assign(k=RIGHT["k"] - 1),
}


COUNTED = {("rows", "a key twice"), ("sorted leftanti", "keys of one partition")}
"""What the plan answers without reading: the number of rows, and partitions that no result row can come from."""


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(merge_table, "_MIN_ROWS", 1)
    with dask.config.set(scheduler="sync"):
        yield


def write(frame, directory):
    """Write a frame to the same four files."""
    directory.mkdir(exist_ok=True)
    for number in range(4):
        part = frame.iloc[len(frame) * number // 4 : len(frame) * (number + 1) // 4]
        part.to_parquet(directory / f"{number}.parquet", index=False)


def computed(made):
    found = dask.compute(made)[0]
    if isinstance(found, pd.DataFrame):
        return rows(found.reset_index() if found.index.name else found)
    return found


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("recipe", [*MERGES, *OTHERS])
def test_rows_of_now_or_an_error(recipe, change, tmp_path):
    make = {**MERGES, **OTHERS}[recipe]
    for frame, name in ((LEFT, "left"), (RIGHT, "right")):
        write(frame, tmp_path / name)

    def made():
        return make(
            dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right"), str(tmp_path / "s")
        )

    (tmp_path / "s").mkdir()
    planned = made()
    before = computed(made()) if (recipe, change) in COUNTED else None
    write(CHANGES[change], tmp_path / "right")
    try:
        found = computed(planned)
    except safeframe.RowConservationError:
        return
    assert found == (computed(made()) if before is None else before)
    if recipe.startswith(("set_index", "sort_values")):
        _check_order(planned, "g" if recipe == "set_index aligned" else "k", ascending="staged" not in recipe)


def _check_order(frame, key, *, ascending):
    """Partitions follow each other in order, and keep to their divisions where these are known."""
    parts = dask.compute(*frame.to_delayed())
    if frame.index.name == key:
        assert pd.concat(parts).index.is_monotonic_increasing
        if frame.known_divisions:
            _check_divisions(parts, frame.divisions)
        return
    keys = pd.concat(parts)[key]
    assert keys.is_monotonic_increasing if ascending else keys.is_monotonic_decreasing

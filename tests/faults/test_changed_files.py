"""Files that are written again between planning and running: the rows that are there now, or RowConservationError.

Local files are known again by their marks. The first tests are about data whose
changes have to show in the rows themselves, as of object stores.
"""

from __future__ import annotations

import cloudpickle
import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.tokenize import tokenize
from distributed import Client

import safeframe
from safeframe import options
from safeframe.errors import RowConservationError
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
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 1)
    with dask.config.set(scheduler="sync"):
        yield


def write(frame, directory):
    """Write a frame to the same four files."""
    directory.mkdir(exist_ok=True)
    for number in range(4):
        part = frame.iloc[len(frame) * number // 4 : len(frame) * (number + 1) // 4]
        part.to_parquet(directory / f"{number}.parquet", index=False)


def prepared(recipe, directory, **read):
    """Write the files, and return what makes a recipe's collection of them."""
    make = {**MERGES, **OTHERS}[recipe]
    for frame, name in ((LEFT, "left"), (RIGHT, "right")):
        write(frame, directory / name)
    (directory / "s").mkdir()

    def made():
        sides = (dd.read_parquet(directory / name, **read) for name in ("left", "right"))
        return make(*sides, str(directory / "s"))

    return made


def computed(made):
    found = dask.compute(made)[0]
    if isinstance(found, pd.DataFrame):
        return rows(found.reset_index() if found.index.name else found)
    return found


def _in_turn():
    """Each recipe with each change; CI has time for a third of them, another third of each recipe's."""
    for place, recipe in enumerate([*MERGES, *OTHERS]):
        for number, change in enumerate(CHANGES):
            marks = [] if (place + number) % 3 == 0 or (recipe, change) in COUNTED else [pytest.mark.nightly]
            yield pytest.param(recipe, change, marks=marks)


@pytest.mark.usefixtures("_files_are_not_seen")
@pytest.mark.parametrize(("recipe", "change"), list(_in_turn()))
def test_rows_of_now_or_an_error(recipe, change, tmp_path):
    made = prepared(recipe, tmp_path)
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


WITHOUT_A_PLAN = {"sum", "sum by key"}
"""Totals are those of the rows that are there."""


@pytest.mark.parametrize("recipe", [name for name in (*MERGES, *OTHERS) if name not in WITHOUT_A_PLAN])
def test_local_files_that_change_are_an_error(recipe, tmp_path):
    planned = prepared(recipe, tmp_path)()
    write(RIGHT.assign(b=-RIGHT["b"]), tmp_path / "right")  # as many rows, of the same keys
    with pytest.raises(safeframe.RowConservationError, match=r"right/0\.parquet' \(and 3 more\) was written"):
        dask.compute(planned)


@pytest.mark.parametrize(
    ("recipe", "change", "filesystem"),
    # pyarrow's file system lists files in no order.
    [*((*case, "fsspec") for case in sorted(COUNTED)), ("rows", "a key twice", "arrow")],
)
def test_numbers_of_files_that_changed_are_not_returned(recipe, change, filesystem, tmp_path):
    planned = prepared(recipe, tmp_path, filesystem=filesystem)()
    write(CHANGES[change], tmp_path / "right")
    with pytest.raises(safeframe.RowConservationError, match="was written"):
        len(planned) if recipe != "rows" else planned.compute()
    with pytest.raises(safeframe.RowConservationError, match="was written"):
        planned.compute()


STEPS = {
    "optimised": lambda frame: frame.optimize(),
    "optimised, not fused": lambda frame: frame.optimize(fuse=False),
    "optimised with a step": lambda frame: frame.assign(z=1).optimize(),
    "a partition": lambda frame: frame.partitions[0],
    "a step": lambda frame: frame.map_partitions(lambda part: part, meta=frame._meta),
    "a filter": lambda frame: frame[frame["k"] >= 0],
    "pickled": lambda frame: cloudpickle.loads(cloudpickle.dumps(frame)),
    "merged again": lambda frame: frame.merge(frame[["k"]], on="k"),
    "planned again": lambda frame: safeframe.sort_values(frame.optimize(), "k"),
}


@pytest.mark.parametrize(
    "recipe", ["staged inner", "broadcast left", "sorted leftanti", "table left", "rebalance"]
)
@pytest.mark.parametrize("step", STEPS)
def test_steps_between_planning_and_running_forget_no_file(recipe, step, tmp_path):
    later = STEPS[step](prepared(recipe, tmp_path)())
    write(RIGHT.assign(b=-RIGHT["b"]), tmp_path / "right")
    with pytest.raises(safeframe.RowConservationError, match="was written"):
        later.compute()


@pytest.mark.parametrize("recipe", ["staged inner", "sorted leftanti", "set_index staged", "lag", "shuffle"])
def test_what_was_computed_does_not_need_its_files(recipe, tmp_path):
    made = prepared(recipe, tmp_path)()
    expected, kept = computed(made), made.persist()
    write(CHANGES["no rows"], tmp_path / "right")
    assert computed(kept) == expected


@pytest.mark.parametrize("strategy", ["rows", "blocks"])
def test_a_write_over_its_own_input(strategy, tmp_path):
    for frame, name in ((LEFT, "left"), (RIGHT, "right")):
        write(frame, tmp_path / name)
    merged = safeframe.merge(
        dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right"), on="g", staging=str(tmp_path)
    )
    safeframe.to_parquet(merged, tmp_path / "right", overwrite=True, strategy=strategy)
    assert len(dd.read_parquet(tmp_path / "right").compute()) == 10 * N
    with pytest.raises(safeframe.RowConservationError, match="was written or removed"):
        safeframe.to_parquet(merged, tmp_path / "other", strategy=strategy)


def test_the_same_files_have_the_same_token(tmp_path):
    made = prepared("staged inner", tmp_path)
    one, other = made().expr.plan, made().expr.plan
    assert one.sources is not None
    assert tokenize(one.sources) == tokenize(other.sources)
    assert "sources" not in one.to_dict()


def test_files_of_other_file_systems_are_not_looked_at(tmp_path):
    for side, frame in (("left", LEFT), ("right", RIGHT)):
        dd.from_pandas(frame, npartitions=2).to_parquet(f"memory://{tmp_path}/{side}")
    merged = safeframe.merge(
        *(dd.read_parquet(f"memory://{tmp_path}/{side}") for side in ("left", "right")), on="k"
    )
    assert merged.expr.plan.sources is None
    assert len(merged.compute()) == N


def test_a_client_looks_before_it_sends(tmp_path):
    made = prepared("sorted leftanti", tmp_path)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        planned, good = made(), computed(made())
        assert good == rows(LEFT.iloc[:0])
        write(CHANGES["keys of one partition"], tmp_path / "right")
        with pytest.raises(safeframe.RowConservationError, match="was written"):
            planned.compute()
        with pytest.raises(safeframe.RowConservationError, match="was written"):
            planned.persist()


def test_totals_that_need_no_rows_say_that_a_file_is_gone(tmp_path):
    for name, frame in (("left", LEFT), ("right", RIGHT)):
        dd.from_pandas(frame, npartitions=3).to_parquet(tmp_path / name)
    left, right = (dd.read_parquet(tmp_path / name) for name in ("left", "right"))
    merged = safeframe.merge(left, right[["k", "b"]], on="k", staging=str(tmp_path))
    totals = [merged["b"].sum(), merged.groupby("g")["b"].sum()]
    with dask.config.set(scheduler="sync"):
        assert dask.compute(*totals)[0] == RIGHT["b"].sum()
        (tmp_path / "left" / "part.1.parquet").unlink()
        for total in totals:
            with pytest.raises(RowConservationError, match=r"part\.1\.parquet"):
                total.compute()

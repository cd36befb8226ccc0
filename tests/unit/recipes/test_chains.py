"""Recipes one after the other, with a function of the user's between them that makes rows three times as wide."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.facts.budget import Budget

MIB = 2**20
ROWS = 60_000
TASK = 20 * MIB
WORKERS = 3


@pytest.fixture(autouse=True)
def _small_workers(monkeypatch):
    """Three workers of one thread whose tasks may use 20 MiB each, whatever this process holds."""
    budget = Budget(
        n_workers=WORKERS,
        threads_per_worker=1,
        allowed_nbytes=int((TASK + 100 * MIB) / 0.8) + 1,
        reserved_nbytes=100 * MIB,
        transport_nbytes=0,
        headroom_fraction=0.8,
        measured=True,
    )
    monkeypatch.setattr("safeframe.prepare.arguments.measure_budget", lambda _: budget)


def made(number: int, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    return pd.DataFrame(
        {"k": rng.integers(0, 10_000, rows), "a": rng.random(rows), "row": np.arange(rows) + number * rows}
    )


def worded(number: int) -> pd.DataFrame:
    frame = made(number, ROWS // 4)
    return frame.assign(a=("word " + frame["k"].astype(str)).astype("string[pyarrow]"))


def table(kind: str) -> dd.DataFrame:
    make = made if kind == "numbers" else worded
    return dd.from_map(make, range(10), meta=make(0).iloc[:0])


def three_fold(frame: pd.DataFrame) -> pd.DataFrame:
    """Widen rows as nobody can know before: each column, three times."""
    return frame.assign(**{f"{name}_{i}": frame[name] for name in ("k", "a", "row") for i in range(2)})


OTHER = pd.DataFrame({"k": np.arange(10_000), "b": 0.5})

FIRST = {
    "set_index": lambda frame: safeframe.set_index(frame, "k", drop=False),
    "sort_values": lambda frame: safeframe.sort_values(frame, "k"),
    "shuffle": lambda frame: safeframe.shuffle(frame, "k"),
    "rebalance": lambda frame: safeframe.rebalance_partitions(frame),
    "merge": lambda frame: safeframe.merge(frame, OTHER, on="k", broadcast=False).drop(columns="b"),
    "lag": lambda frame: safeframe.groupby_lag_transform(frame, "k", "row", [1], order_by=["a"]).drop(
        columns="row_lag_1"
    ),
}
SECOND = {
    "set_index": lambda frame: safeframe.plan_set_index(frame, "a"),
    "sort_values": lambda frame: safeframe.plan_sort_values(frame, ["a", "row"]),
    "shuffle": lambda frame: safeframe.plan_shuffle(frame, "row"),
    "rebalance": lambda frame: safeframe.plan_rebalance(frame),
    "merge": lambda frame: safeframe.plan_merge(frame, OTHER, on="k", broadcast=False),
    "lag": lambda frame: safeframe.plan_lag(frame, "k", "row", [1], order_by=["row"]),
}


@pytest.mark.parametrize("kind", ["numbers", "words"])
@pytest.mark.parametrize("first", FIRST)
def test_what_a_recipe_gives_is_input_of_any_after_it_was_widened(first, kind):
    frame = table(kind)
    result = FIRST[first](frame)
    assert result.npartitions >= WORKERS
    wide = result.reset_index(drop=True).map_partitions(three_fold)
    for name, plan_of in SECOND.items():
        plan = plan_of(wide)
        assert plan.projected_worker_nbytes <= plan.budget.usable_nbytes, (first, name, plan.details())
        assert plan.output_partitions >= WORKERS, (first, name, plan.details())


@pytest.mark.parametrize("first", FIRST)
def test_there_are_no_fewer_partitions_than_there_were(first, monkeypatch):
    monkeypatch.setattr(options, "KEPT_PARTITION_NBYTES", MIB // 2)
    assert FIRST[first](table("numbers")).npartitions >= 10


@pytest.mark.parametrize("first", FIRST)
def test_small_partitions_are_no_fewer_than_threads(first):
    frame = dd.from_pandas(made(0, 500), npartitions=8)
    assert FIRST[first](frame).npartitions >= WORKERS


def test_three_recipes_with_functions_between_them_give_the_rows_of_pandas():
    frame = dd.from_map(made, range(4), [500] * 4, meta=made(0, 1))
    plain = frame.compute()
    indexed = safeframe.set_index(frame, "k").map_partitions(lambda part: part.assign(c=part["a"] * 2))
    merged = safeframe.merge(indexed, OTHER, left_index=True, right_on="k")
    wide = merged.map_partitions(lambda part: part.assign(d=part["c"] + part["b"]))
    found = safeframe.sort_values(wide, "row", ignore_index=True).compute().reset_index(drop=True)
    wanted = plain.assign(c=plain["a"] * 2).merge(OTHER, on="k")
    wanted = wanted.assign(d=wanted["c"] + wanted["b"]).sort_values("row", ignore_index=True)
    pd.testing.assert_frame_equal(found[wanted.columns], wanted)

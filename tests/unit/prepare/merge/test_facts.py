"""What is gathered for a merge, in which order, and how often."""

from __future__ import annotations

import collections

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.prepare.merge import facts, sizes, table

UNIQUE = np.arange(100)
BEATEN = {"sorted", "sorted-one-side", "staged", "p2p"}


@pytest.fixture(autouse=True)
def _tables_of_any_size(monkeypatch):
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 0)
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def looks(monkeypatch):
    """How often each look is taken."""
    counts = collections.Counter()

    def counted(module, name):
        look = getattr(module, name)

        def one(*args, **kwargs):
            counts[name] += 1
            return look(*args, **kwargs)

        monkeypatch.setattr(module, name, one)

    for module, name in (
        (facts, "keyed_sides"), (facts, "source_files"), (table, "profile_frame"), (sizes, "profile_frame"),
        (table, "footer_rows"), (table, "look_at_keys"), (table, "count_unmatched"),
        (sizes, "gather_key_statistics"),
    ):  # fmt: skip
        counted(module, name)
    return counts


def sides(tmp_path, right_keys, *, name="b"):
    left = pd.DataFrame({"k": np.arange(1000) % 100, "a": 1})
    right = pd.DataFrame({"k": right_keys, name: 0.5})
    frames = []
    for side, frame in (("left", left), ("right", right)):
        frame.to_parquet(tmp_path / f"{side}.parquet", index=False)
        frames.append(dd.read_parquet(tmp_path / f"{side}.parquet"))
    return frames


def planned(tmp_path, right_keys=UNIQUE, **given):
    given = {"on": "k", "how": "left", "staging": str(tmp_path), **given}
    return safeframe.plan_merge(*sides(tmp_path, right_keys), **given)


def why(plan):
    return {candidate.strategy: candidate.reason for candidate in plan.rejected}


def test_a_table_is_taken_before_any_key_is_counted(tmp_path, looks):
    plan = planned(tmp_path)
    assert plan.strategy == "broadcast"
    assert plan.run.table is not None
    assert why(plan) == dict.fromkeys(BEATEN, "table comes first and fits")
    assert looks["gather_key_statistics"] == looks["count_unmatched"] == 0
    assert (looks["keyed_sides"], looks["profile_frame"], looks["look_at_keys"]) == (1, 2, 1)


@pytest.mark.parametrize("index_of", ["left", "right"])
def test_an_index_that_a_key_names_leaves_footers_to_tell_the_rows(tmp_path, index_of):
    read = []
    for name, frame in zip(("left", "right"), sides(tmp_path, UNIQUE), strict=True):
        path = tmp_path / f"{name}-by-key.parquet"
        frame.compute().set_index("k").to_parquet(path, index=True)
        read.append(dd.read_parquet(path) if name == index_of else frame)
    plan = safeframe.plan_merge(*read, how="left", on="k", staging=str(tmp_path))
    assert plan.run.table is not None, why(plan)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (np.append(UNIQUE, 7), "the right side has 100 keys in 101 rows"),
        (UNIQUE * 100, "the right side's 100 keys are spread over more than 400 numbers"),
    ],
)
def test_a_table_that_is_refused_late_makes_nothing_happen_twice(tmp_path, looks, keys, reason):
    plan = planned(tmp_path, keys)
    assert plan.run.table is None
    assert why(plan)["table"] == reason
    assert (looks["keyed_sides"], looks["source_files"], looks["gather_key_statistics"]) == (1, 1, 1)
    assert looks["look_at_keys"] == 1
    assert (looks["profile_frame"], looks["footer_rows"]) == (2, 2), "once for either side"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"how": "inner"}, "with how='inner' the rows of the result are not those of one side, each once"),
        ({"how": "outer"}, "with how='outer' the rows of the result are not those of one side, each once"),
        ({"validate": "m:1"}, "validate= needs the keys of both sides counted"),
        (
            {"npartitions": 1},
            "the other side's rows would stay in their partitions, and npartitions= was given",
        ),
        ({"broadcast": False}, "broadcast=False was given"),
        ({"strategy": "staged"}, "strategy='staged' was requested"),
        ({"indicator": True}, "an index that is a key, and an indicator, are not looked up"),
        (
            {"staging": "memory://tables"},
            "a memory-mapped table has to be local, and memory://tables is not",
        ),
        ({"partition_size": "1kiB"}, "a partition of the other side makes 23.4 KiB of result, above 1 KiB"),
    ],
    ids=str,
)
def test_the_plan_says_why_there_is_no_table(tmp_path, given, reason):
    plan = planned(tmp_path, **given)
    assert plan.run.table is None
    assert why(plan)["table"] == reason
    weighed = [other for other in plan.rejected if other.cost is not None]
    assert plan.cost is not None
    for other in weighed:
        assert other.reason.startswith(
            (f"{plan.strategy} comes first and costs", f"{plan.strategy} is cheaper")
        )


def test_few_rows_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 2000)
    assert why(planned(tmp_path))["table"] == (
        "the left side has 1,000 rows, and counting the keys of fewer than 2,000 takes less time than a table saves"
    )


def test_a_merge_in_key_order_has_no_such_rung(tmp_path):
    plan = safeframe.plan_sorted_merge(
        *sides(tmp_path, UNIQUE), on="k", how="left", staging=str(tmp_path), sort=True
    )
    assert "table" not in why(plan)
    assert "broadcast" not in why(plan)

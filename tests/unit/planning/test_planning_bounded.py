"""What planning does grows with the input, never with the result."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import replace

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.errors import OutputTooLargeError, ValidationError
from safeframe.facts.merge import MergeFacts, SideFacts
from safeframe.planning.merge.plan import plan_merge
from safeframe.planning.merge.size import estimate_join
from tests.unit.planning.merge.test_plan import SOMEWHERE, facts


def side_of(side: SideFacts, rows: int) -> SideFacts:
    """Have one key of so many rows, in as many partitions as there were."""
    keys = side.keys
    parts = np.full(len(keys.partitions.rows), rows // len(keys.partitions.rows))
    partitions = replace(keys.partitions, rows=parts, first_rows=parts, last_rows=parts)
    heavy = np.full(len(keys.heavy_counts), rows)
    grown = replace(keys, rows=rows, counts=np.array([rows]), heavy_counts=heavy, partitions=partitions)
    return replace(side, keys=grown)


def constant_key(left_rows: int, right_rows: int, **given: object) -> MergeFacts:
    small = facts(([1],) * 5, ([1],) * 5, **given)
    left, right = side_of(small.left, left_rows), side_of(small.right, right_rows)
    estimate = estimate_join(
        left.keys, right.keys, small.how, row_nbytes=small.estimate.row_nbytes, on=("k",)
    )
    return replace(small, left=left, right=right, estimate=estimate)


def work_of(of: MergeFacts) -> tuple[int, int, int]:
    """Count the Python calls that planning makes, the bytes that it takes, and the partitions that it plans.

    The least of some runs: threads of other tests allocate beside them, and what
    is collected in one of them calls back.
    """
    calls, peaks, partitions = zip(*(_work_of(of) for _ in range(3)), strict=True)
    return min(calls), min(peaks), min(partitions)


def _work_of(of: MergeFacts) -> tuple[int, int, int]:
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    tracemalloc.start()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        plan = plan_merge(of)
    finally:
        sys.setprofile(before)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return calls, peak, plan.output_partitions


@pytest.mark.parametrize("strategy", ["sorted", "sorted-one-side", "staged", None])
@pytest.mark.parametrize("how", ["inner", "left", "outer"])
def test_a_constant_key(strategy, how):
    calls, peak, partitions = work_of(constant_key(10**7, 10**6, strategy=strategy, how=how))
    for rows in ((10**8, 10**7), (10**9, 10**9)):
        more_calls, more_peak, more_partitions = work_of(constant_key(*rows, strategy=strategy, how=how))
        assert more_partitions > 50 * partitions
        assert more_calls <= 1.2 * calls + 100
        assert more_peak <= 2 * peak + 2**16


def test_more_partitions_than_a_graph_can_hold():
    plan = plan_merge(constant_key(10**7, 10**6))
    assert plan.output_partitions > options.MAX_GRAPH_PARTITIONS
    assert plan.too_many_partitions
    assert not plan.fits
    with pytest.raises(OutputTooLargeError, match="a dask graph can hold 1,000,000") as raised:
        plan.validate()
    assert f"{plan.output_partitions:,} partitions" in str(raised.value)
    assert "safeframe.to_parquet" in raised.value.hint
    assert "partitions: " in plan.details()
    # Its files can be written: there are fewer of them.
    plan.written.validate()


def test_a_result_that_no_collection_can_hold_is_no_hint_to_write_it():
    plan = plan_merge(constant_key(10**9, 10**8, staging=SOMEWHERE))
    with pytest.raises(OutputTooLargeError) as raised:
        plan.check_partitions()
    assert "to_parquet" not in raised.value.hint


def test_what_is_wrong_is_refused_before_anything_is_read(tmp_path):
    def read(_: int) -> pd.DataFrame:
        pytest.fail("nothing is to be read")

    frame = dd.from_map(read, range(2), meta=pd.DataFrame({"k": [1], "a": [1]}).iloc[:0])
    for wrong in (
        {"validate": "1:x"},
        {"max_output": "many"},
        {"strategy": "stagged"},
        {"partition_size": "-3"},
        {"memory": "lots"},
    ):
        for recipe in (safeframe.merge, safeframe.plan_merge, safeframe.sorted_merge):
            with pytest.raises(ValidationError):
                recipe(frame, frame, on="k", staging=str(tmp_path), **wrong)


def test_max_output_and_validate_come_before_the_layout(tmp_path, monkeypatch):
    frame = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2], "a": [1, 2, 3]}), npartitions=2)

    def plan(*_: object) -> None:
        pytest.fail("nothing is to be planned")

    monkeypatch.setattr("safeframe.recipes.merge.make_plan", plan)
    with pytest.raises(OutputTooLargeError):
        safeframe.merge(frame, frame, on="k", staging=str(tmp_path), max_output="10B")
    with pytest.raises(ValidationError, match="does not hold"):
        safeframe.merge(frame, frame, on="k", staging=str(tmp_path), validate="1:1")

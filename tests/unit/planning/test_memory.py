"""The memory formulas, with primes, so that each term shows."""

from __future__ import annotations

import numpy as np
import pytest

from safeframe import options
from safeframe.facts.frame import FrameSource
from safeframe.planning import memory
from safeframe.planning.exchange import held_nbytes, stage_step, stage_tasks
from tests.unit.planning.budgets import budget_of

MIB = 2**20


def test_stage():
    assert memory.stage_peak_nbytes(partition_rows=7, partition_nbytes=1009) == 3 * 1009 + 40 * 7


def test_cell():
    peak = memory.cell_peak_nbytes(input_rows=7, input_nbytes=1009, output_rows=11, output_nbytes=2003)
    assert peak == 2 * 1009 + 40 * 7 + 24 * 11 + 3 * 2003


def test_broadcast_holds_the_build_side_once_and_reads_it_once():
    peak = memory.broadcast_cell_peak_nbytes(
        partition_rows=7,
        partition_nbytes=1009,
        build_rows=3,
        build_nbytes=101,
        output_rows=11,
        output_nbytes=2003,
    )
    assert peak == 101 + 2 * (1009 + 101) + 40 * (7 + 3) + 24 * 11 + 3 * 2003


def test_sorted_holds_the_touched_partitions():
    peak = memory.sorted_cell_peak_nbytes(
        held_nbytes=5003, input_rows=7, input_nbytes=1009, output_rows=11, output_nbytes=2003
    )
    assert peak == 5003 + 2 * 1009 + 40 * 7 + 24 * 11 + 3 * 2003


@pytest.mark.parametrize("task_nbytes", [32 * MIB, 250 * MIB, 700 * MIB])
@pytest.mark.parametrize("width", [8, 32, 200])
def test_defaults_keep_a_cell_within_its_task(task_nbytes, width):
    partition = memory.default_partition_nbytes(task_nbytes, width)
    shard = memory.default_shard_nbytes(task_nbytes)
    # Rows of 24 B in, as narrow as two numeric columns and a key are.
    peak = memory.cell_peak_nbytes(
        input_rows=shard // 24, input_nbytes=shard, output_rows=partition // width, output_nbytes=partition
    )
    assert peak <= task_nbytes


@pytest.mark.parametrize("task_nbytes", [32 * MIB, 250 * MIB, 700 * MIB])
@pytest.mark.parametrize("width", [8, 32, 200])
@pytest.mark.parametrize("fixed_width", [True, False])
def test_a_default_partition_may_be_widened_three_fold_and_staged_by_any_recipe(
    task_nbytes, width, fixed_width
):
    partition = memory.default_partition_nbytes(task_nbytes, width)
    rows = np.array([partition // width])
    wide = options.PARTITION_WIDENING * width
    assert options.PARTITION_WIDENING == 3
    assert memory.stage_peak_nbytes(partition_rows=rows[0], partition_nbytes=3 * partition) <= task_nbytes
    source = FrameSource(self_made=True, fixed_width=fixed_width)
    tasks = stage_tasks(rows, wide, budget_of(int(task_nbytes / 0.8) + 1, reserved_nbytes=0), source)
    assert stage_step("stage", rows, wide, source, tasks).task_peak_nbytes <= task_nbytes
    budget = budget_of(int(task_nbytes / 0.8) + 1, reserved_nbytes=0)
    held = held_nbytes(rows, wide, budget, 1, fixed_width=fixed_width)
    assert memory.group_peak_nbytes(partition_nbytes=3 * partition, held_nbytes=held) <= task_nbytes


@pytest.mark.parametrize(
    ("mib", "inputs", "least"),
    [
        (1000, 100, 100),  # as many as there were
        (100, 100, 25),  # smaller than 4 MiB they would be
        (4, 100, 4),  # four workers of one thread
        (0.001, 8, 4),
        (0.001, 1, 1),  # too little to cut
        (100, 1, 4),
    ],
)
def test_there_are_no_fewer_partitions_than_there_were_or_threads(mib, inputs, least):
    assert memory.least_partitions(mib * MIB, inputs, budget_of(100 * MIB, reserved_nbytes=0)) == least

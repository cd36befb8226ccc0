"""The memory formulas, with primes, so that each term shows."""

from __future__ import annotations

from safeframe.planning import memory


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


def test_defaults_keep_a_cell_within_its_task():
    for task_nbytes in (32 * 2**20, 250 * 2**20, 700 * 2**20):
        partition, shard = (
            memory.default_partition_nbytes(task_nbytes),
            memory.default_shard_nbytes(task_nbytes),
        )
        # Rows of 24 B in and 32 B out, as narrow as two numeric columns and a key are.
        peak = memory.cell_peak_nbytes(
            input_rows=shard // 24, input_nbytes=shard, output_rows=partition // 32, output_nbytes=partition
        )
        assert peak <= task_nbytes

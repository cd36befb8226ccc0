"""The question's tables: the same each time, and of the promised shape at any scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safeframe.demo.question import KEY, question_tables, write_part


def test_the_full_tables_are_the_questions() -> None:
    left, right = question_tables(1.0)
    assert (left.files, left.rows) == (100, 100_000_000)
    assert (right.files, right.rows) == (10, 10_000_000)
    assert (len(left.columns), len(right.columns)) == (7, 2)


@pytest.mark.parametrize("scale", [0.5, 0.0125, 1e-3, 1e-5])
def test_rows_grow_with_the_scale(scale: float) -> None:
    left, right = question_tables(scale)
    assert left.rows == pytest.approx(100_000_000 * scale, rel=0.02)
    assert right.rows == pytest.approx(10_000_000 * scale, rel=0.02)
    assert left.files >= 8
    assert right.files >= 2


def test_a_part_is_the_same_each_time_and_differs_from_the_next() -> None:
    left, right = question_tables(1e-4)
    pd.testing.assert_frame_equal(left.part(3), left.part(3))
    assert not left.part(3).equals(left.part(4))
    assert set(left.part(0)[KEY]) != set(right.part(0)[KEY])


@pytest.mark.parametrize("side", [0, 1])
def test_fewer_columns_are_the_same_values(side: int) -> None:
    table = question_tables(1e-3)[side]
    whole = table.part(1)
    assert tuple(whole.columns) == table.columns
    assert list(whole.dtypes) == list(table.meta.dtypes)
    for columns in ([KEY], [table.columns[1]], list(table.columns[::-1])):
        pd.testing.assert_frame_equal(table.part(1, columns), whole[columns])


def test_features_are_logarithms_of_earlier_rows_of_the_same_key() -> None:
    part = question_tables(1.0)[0].part(0)
    key = part[KEY].iloc[-1]
    of_key = part[part[KEY] == key]
    assert len(of_key) > 50
    for lag in range(4):
        expected = np.log(of_key["col3"]).shift(lag)
        np.testing.assert_allclose(of_key[f"log_col3_lag_{lag}"], expected)


def test_the_unwritten_table_reads_as_the_written_one(tmp_path: Path) -> None:
    left, _ = question_tables(1e-4)
    rows = sum(write_part(left, number, str(tmp_path)) for number in range(left.files))
    assert rows == left.rows
    pd.testing.assert_frame_equal(
        left.unwritten().compute(scheduler="synchronous").reset_index(drop=True),
        pd.concat([pd.read_parquet(path) for path in sorted(tmp_path.iterdir())], ignore_index=True),
    )

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import engines
from benchmarks.check import check_output
from benchmarks.situations import JOINS, ORDINARY_JOINS, SITUATIONS, Dataset
from benchmarks.situations.keys import CompositeKey, HexKey, TextKey
from benchmarks.situations.tables import WORDS, ShiftedTable

SMALL = {
    "q0": 0.0005,
    "q3": 0.001,
    "q3_hot": 0.001,
    "b1": 0.0005,
    "zipf": 0.0005,
    "composite": 0.0006,
    "question": 0.001,
    "question_script": 0.001,
    "q4": 0.0001,
    "q4_hundredth": 0.01,
    "q4_mean": 0.0001,
    "q4_mean_hundredth": 0.01,
    "strings": 0.0005,
    **{f"j1_q{number}": 0.002 for number in range(1, 7)},
    "wide_merge": 0.001,
}
ALL_JOINS = {**JOINS, **ORDINARY_JOINS}


@pytest.fixture(params=sorted(ALL_JOINS))
def dataset(request, tmp_path) -> Dataset:
    return ALL_JOINS[request.param].scaled(SMALL[request.param]).materialise(tmp_path)


def as_numbers(dataset: Dataset, result: pd.DataFrame) -> pd.DataFrame:
    """Read strings as the numbers that they count as."""
    numbers = {}
    for column in (*dataset.situation.left.columns, *dataset.situation.right.columns):
        values = result[column.name]
        if column.kind == "text":
            values = pd.to_numeric(values.str.removeprefix("id"))
        elif column.kind == "word":
            values = values.map({word: number for number, word in enumerate(WORDS)}).astype("float64")
        numbers[column.name] = values
    return pd.DataFrame(numbers)


def joined(dataset: Dataset) -> pd.DataFrame:
    return pd.read_parquet(dataset.left).merge(
        pd.read_parquet(dataset.right), on=dataset.situation.key.columns, how=dataset.situation.how
    )


def test_truth_is_what_pandas_finds(dataset):
    truth = dataset.truth
    if truth.rows > 3_000_000:
        # Too many to join in a unit test: pandas counts per key instead.
        (key,) = dataset.situation.key.columns
        left, right = (pd.read_parquet(side)[key].value_counts() for side in (dataset.left, dataset.right))
        assert truth.rows == int((left * right.reindex(left.index, fill_value=1)).sum())
        return
    result = joined(dataset)
    last = dataset.situation.output_columns[-1]
    assert tuple(result.columns) == dataset.situation.output_columns
    assert truth.rows == len(result)
    assert truth.matched_rows == result[last].notna().sum()
    assert truth.heaviest_rows == result.value_counts(dataset.situation.key.columns, dropna=False).max()
    assert truth.sums == pytest.approx(
        as_numbers(dataset, result)[list(truth.sums)].sum().to_dict(), rel=1e-9
    )


def test_sides_have_the_rows_and_keys_they_claim(dataset):
    for side, table in ((dataset.left, dataset.situation.left), (dataset.right, dataset.situation.right)):
        frame = pd.read_parquet(side)
        assert len(frame) == table.rows
        assert len(list(side.glob("*.parquet"))) == table.files
        key = dataset.situation.key
        if isinstance(key, (HexKey, TextKey)):
            assert frame[key.name].nunique() <= table.keys
            continue
        if isinstance(key, CompositeKey):
            # The scaled table may not reach the string and the number that are null.
            assert frame[key.columns].drop_duplicates().shape[0] <= table.keys
            continue
        keys = frame[key.name]
        low = key.low + (table.keys // 10 if isinstance(table, ShiftedTable) else 0)
        assert keys.between(low, low + table.keys - 1).all()
        assert keys.is_unique == table.unique
        if table.hot_fraction:
            assert keys.value_counts(normalize=True).iloc[0] == pytest.approx(table.hot_fraction, abs=0.1)


def test_scaling_keeps_the_fanout():
    full = SITUATIONS["q3"]
    small = full.scaled(0.01)
    assert small.left.rows / small.left.keys == full.left.rows / full.left.keys
    assert small.right.rows / small.right.keys == full.right.rows / full.right.keys


def test_full_sizes_are_those_of_the_question():
    question = SITUATIONS["q0"]
    assert (question.left.rows, question.right.rows, question.left.keys) == (10**8, 10**7, 10**4)
    assert (SITUATIONS["q3"].left.rows, SITUATIONS["q3"].right.rows) == (10**7, 10**5)


def test_data_are_reused_while_the_stamp_matches(tmp_path):
    situation = SITUATIONS["q3"].scaled(0.0001)
    first = situation.materialise(tmp_path)
    file = first.left / "part-0003.parquet"
    made = file.stat().st_mtime_ns
    assert situation.materialise(tmp_path).truth == first.truth
    assert file.stat().st_mtime_ns == made
    # Another seed under the same name is other data.
    other = replace(situation, seed=1).materialise(tmp_path)
    assert file.stat().st_mtime_ns != made
    assert other.truth != first.truth


def test_interrupted_generation_is_not_reused(tmp_path):
    situation = SITUATIONS["q3"].scaled(0.0001)
    first = situation.materialise(tmp_path)
    (first.directory / "stamp.json").unlink()
    (first.left / "part-0000.parquet").unlink()
    again = situation.materialise(tmp_path)
    assert again.truth == first.truth
    assert (first.left / "part-0000.parquet").exists()


def test_same_seed_gives_same_rows(tmp_path):
    frames = [
        pd.read_parquet(SITUATIONS["q3"].scaled(0.0001).materialise(tmp_path / name).left) for name in "ab"
    ]
    pd.testing.assert_frame_equal(*frames)


class TestCheck:
    @pytest.fixture
    def dataset(self, tmp_path) -> Dataset:
        # Half of the left keys have no match.
        situation = SITUATIONS["q3"]
        sparse = replace(situation, right=replace(situation.right, keys=5_000))
        return sparse.scaled(0.001).materialise(tmp_path)

    def write(self, frame: pd.DataFrame, tmp_path):
        output = tmp_path / "output"
        output.mkdir()
        half = len(frame) // 2
        frame.iloc[:half].to_parquet(output / "part.0.parquet")
        frame.iloc[half:].to_parquet(output / "part.1.parquet")
        return output

    def test_accepts_the_join_in_any_order(self, dataset, tmp_path):
        result = joined(dataset).sample(frac=1, random_state=0)
        check = check_output(dataset, self.write(result, tmp_path), scratch=tmp_path)
        assert check.correct
        assert (check.files, check.largest_file_rows) == (2, len(result) - len(result) // 2)

    def test_accepts_nan_and_null_for_a_missing_right_side(self, dataset, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        result = joined(dataset)
        assert result["col4"].isna().any()
        output = tmp_path / "output"
        output.mkdir()
        columns = {name: pa.array(result[name].to_numpy(), from_pandas=False) for name in result}
        pq.write_table(pa.table(columns), output / "nan.parquet")
        assert check_output(dataset, output, scratch=tmp_path).correct

    def test_finds_keys_of_a_string_and_a_number_again(self, tmp_path):
        dataset = SITUATIONS["composite"].scaled(0.0006).materialise(tmp_path)
        result = joined(dataset)
        assert result["s"].isna().any()
        assert result["n"].isna().any()
        output = self.write(result, tmp_path)
        assert check_output(dataset, output, scratch=tmp_path).correct
        # One of the rows without a string is another key's now.
        result.loc[result["s"].isna().idxmax(), "s"] = "name-0"
        (output / "part.0.parquet").unlink()
        result.to_parquet(output / "part.1.parquet")
        assert check_output(dataset, output, scratch=tmp_path).wrong_keys == 2

    def test_rejects_a_lost_row(self, dataset, tmp_path):
        check = check_output(dataset, self.write(joined(dataset).iloc[1:], tmp_path), scratch=tmp_path)
        assert not check.correct
        assert check.rows == check.expected_rows - 1

    def test_rejects_rows_paired_wrongly(self, dataset, tmp_path):
        # Every count and every sum stays: only which left row meets which right row is wrong.
        result = joined(dataset)
        key = result["col1"].value_counts().index[0]
        rows = np.flatnonzero(result["col1"] == key)
        result.loc[rows, "col4"] = np.sort(result.loc[rows, "col4"])
        result.loc[rows, "col3"] = np.sort(result.loc[rows, "col3"])
        check = check_output(dataset, self.write(result, tmp_path), scratch=tmp_path)
        assert check.rows == check.expected_rows
        assert check.wrong_keys == 1

    def test_rejects_a_row_moved_to_another_key(self, dataset, tmp_path):
        result = joined(dataset)
        result.loc[0, "col1"] = result["col1"].max() + 1
        assert check_output(dataset, self.write(result, tmp_path), scratch=tmp_path).wrong_keys == 2


def test_stamp_is_readable(tmp_path):
    dataset = SITUATIONS["q3"].scaled(0.0001).materialise(tmp_path)
    stamp = json.loads((dataset.directory / "stamp.json").read_text())
    assert stamp["truth"]["rows"] == dataset.truth.rows


def test_what_an_engine_does_for_a_task_is_said_once():
    tables = [
        engines.JOIN_WORK, engines.FRAME_WORK, engines.LAG_WORK, engines.QUESTION_WORK, engines.COLLECTION_WORK,
        engines.TRIAL_WORK, engines.TPCH_WORK, engines.GROUP_WORK, engines.DISTINCT_WORK,
    ]  # fmt: skip
    assert len(engines._WORK) == sum(map(len, tables))

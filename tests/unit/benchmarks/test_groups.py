from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest

from benchmarks import run
from benchmarks.engines_groups import GROUP_WORK
from benchmarks.situations import GROUPED, GroupDataset
from benchmarks.situations.group_questions import GroupQuestion

# One of each kind of question; the others of db-benchmark differ in columns alone.
KINDS = ("g1", "g1_24gb", "g2_q2", "g2_q6", "g2_q7", "g2_q8", "g2_q9", "g2_q10", "g4")


@pytest.fixture(autouse=True)
def _in_this_process():
    with dask.config.set(scheduler="sync"):
        yield


def small(name: str, tmp_path) -> GroupDataset:
    """Make some 6000 rows in three files, of groups that have several rows."""
    situation = GROUPED[name]
    table = replace(situation.tables.table, files=3)
    tables = replace(situation.tables, table=table).scaled(0.002)
    if name == "g4":
        tables = replace(tables, table=replace(tables.table, keys=50))
    return replace(situation, tables=tables).materialise(tmp_path / "data")


@pytest.fixture
def request_(tmp_path) -> SimpleNamespace:
    (tmp_path / "output").mkdir()
    (tmp_path / "scratch").mkdir()
    return SimpleNamespace(
        output=str(tmp_path / "output"), scratch=str(tmp_path / "scratch"), peer_memory="1GB"
    )


def by_pandas(frame: pd.DataFrame, question: GroupQuestion) -> pd.DataFrame:
    """Answer a question, in other words than the engines."""
    groups, columns = frame.groupby(list(question.by)), question.columns
    match question.task:
        case "aggregate":
            found = pd.DataFrame(
                {name: getattr(groups[column], how)() for name, (column, how) in question.named.items()}
            )
        case "range":
            found = (groups["v1"].max() - groups["v2"].min()).to_frame("range")
        case "largest":
            best = groups["v3"].rank(method="first", ascending=False) <= 2
            return frame.loc[best, ["id6", "v3"]]
        case "r2":
            # In integers, so that what is constant is found to be.
            products = frame.assign(
                one=frame["v1"] ** 2, two=frame["v2"] ** 2, both=frame["v1"] * frame["v2"]
            )
            total = products.groupby(list(question.by))[["v1", "v2", "one", "two", "both"]].sum()
            n = groups.size()
            covariance = n * total["both"] - total["v1"] * total["v2"]
            variances = (n * total["one"] - total["v1"] ** 2) * (n * total["two"] - total["v2"] ** 2)
            found = (covariance**2 / variances).to_frame("r2")
        case "quantiles":
            found = pd.concat(
                {q: groups[columns[0]].quantile(q) for q in (0.5, 0.99)}, names=["q"]
            ).to_frame()
    return found.reset_index()


def check(dataset: GroupDataset, answer: pd.DataFrame, tmp_path):
    output = tmp_path / "checked"
    output.mkdir(exist_ok=True)
    half = len(answer) // 2
    answer.iloc[half:].to_parquet(output / "part.0.parquet", index=False)
    answer.iloc[:half].to_parquet(output / "part.1.parquet", index=False)
    return run._check(dataset, {}, output, tmp_path)


class TestSituations:
    def test_full_sizes_are_those_that_were_requested(self):
        g1, large, g4 = (GROUPED[name].tables.table for name in ("g1", "g1_24gb", "g4"))
        assert (g1.rows, g1.keys, large.rows, large.keys) == (10**8, 5 * 10**7, 10**9, 5 * 10**8)
        assert (g4.rows, g4.keys, g4.rows * g4.hot_fraction) == (10**8, 10**4, pytest.approx(6 * 10**7))
        assert sum(name.startswith("g2_q") for name in GROUPED) == 10
        assert {GROUPED[f"g2_1e8_q{number}"].tables.table.rows for number in range(1, 6)} == {10**8}

    def test_the_frame_is_db_benchmarks(self, tmp_path):
        frame = pd.read_parquet(small("g2_q1", tmp_path).files)
        assert sorted(frame) == ["id1", "id2", "id3", "id4", "id5", "id6", "v1", "v2", "v3"]
        for name in ("id1", "id2"):
            assert frame[name].str.fullmatch(r"id\d{3}").all()
            assert (frame[name].min(), frame[name].max()) == ("id001", "id100")
        assert frame["id3"].str.fullmatch(r"id\d{10}").all()
        # 1000 M / 100 values of either at full size.
        assert frame["id3"].max() == "id0000000200"
        assert (frame["id6"].min(), frame["id6"].max()) == (1, 200)
        for name, most in (("id4", 100), ("id5", 100), ("v1", 5), ("v2", 15)):
            assert sorted(frame[name].unique()) == [*range(1, most + 1)]
        assert (frame["v3"] == frame["v3"].round(6)).all()
        assert frame["v3"].between(0, 100).all()

    def test_questions_of_one_frame_have_one_directory_of_it(self, tmp_path):
        first, second = (small(f"g2_q{number}", tmp_path) for number in (1, 10))
        assert first.files == second.files
        assert first.expected != second.expected

    def test_one_group_is_most_of_g4(self, tmp_path):
        sizes = pd.read_parquet(small("g4", tmp_path).files)["k"].value_counts()
        assert 0.58 < sizes.iloc[0] / sizes.sum() < 0.63
        assert len(sizes) == 50


class TestCheck:
    @pytest.mark.parametrize("name", GROUPED)
    def test_accepts_what_pandas_finds(self, name, tmp_path):
        dataset = small(name, tmp_path)
        answer = by_pandas(pd.read_parquet(dataset.files), dataset.situation.question)
        assert dataset.truth.rows == len(answer)
        found = check(dataset, answer.sample(frac=1, random_state=1), tmp_path)
        assert found.correct, found

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize(
        "fault", ["lost row", "row twice", "another value", "value missing", "other key"]
    )
    def test_rejects(self, name, fault, tmp_path):
        dataset = small(name, tmp_path)
        question = dataset.situation.question
        answer = by_pandas(pd.read_parquet(dataset.files), question)
        row, column = answer[question.figures[-1]].last_valid_index(), question.figures[-1]
        if fault == "lost row":
            answer = answer.drop(row)
        elif fault == "row twice":
            answer = pd.concat([answer.drop(answer.index[0]), answer.loc[[row]]])
        elif fault == "another value":
            answer[column] = answer[column].astype("float64")
            answer.loc[row, column] += 1e-3
        elif fault == "value missing":
            answer[column] = answer[column].astype("float64")
            answer.loc[row, column] = np.nan
        else:
            key = question.by[-1]
            others = answer.loc[answer[key] != answer.loc[row, key]]
            answer.loc[row, key] = others[key].iloc[0]
        assert not check(dataset, answer, tmp_path).correct

    def test_a_group_in_two_rows_is_found_by_blocks_too(self, tmp_path):
        dataset = small("g1_24gb", tmp_path)
        answer = by_pandas(pd.read_parquet(dataset.files), dataset.situation.question)
        several = answer[answer["count_a"] > 1].index[0]
        parts = answer.loc[[several, several]].assign(
            sum_a=answer.loc[several, "sum_a"] / 2, sum_b=answer.loc[several, "sum_b"] / 2
        )
        assert not check(dataset, pd.concat([answer.drop(several), parts]), tmp_path).correct


class TestEngines:
    @pytest.mark.parametrize(
        ("engine", "name"),
        [(engine, name) for name in KINDS for engine in GROUPED[name].engines],
    )
    def test_answers(self, engine, name, request_, tmp_path):
        if engine in ("duckdb", "polars"):
            pytest.importorskip(engine)
        dataset = small(name, tmp_path)
        answer = GROUP_WORK[engine, dataset.situation.task](request_, dataset, None)
        found = run._check(dataset, answer, tmp_path / "output", tmp_path)
        assert found.correct, found

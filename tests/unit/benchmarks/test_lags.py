from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest

from benchmarks import run
from benchmarks.check_lags import check_lags
from benchmarks.engines_lags import LAG_WORK
from benchmarks.engines_question import QUESTION_WORK, SCRIPTS, documented_script
from benchmarks.situations import ALL_ENGINES, CLUSTER_ENGINES, JOINS, LAGS, LagDataset

SMALL = 0.001


@pytest.fixture(autouse=True)
def _in_this_process():
    with dask.config.set(scheduler="sync"):
        yield


def small(name: str, tmp_path, files: int = 4) -> LagDataset:
    situation = LAGS[name]
    return replace(situation, table=replace(situation.table, files=files)).scaled(SMALL).materialise(tmp_path)


@pytest.fixture
def request_(tmp_path) -> SimpleNamespace:
    (tmp_path / "output").mkdir()
    (tmp_path / "scratch").mkdir()
    return SimpleNamespace(
        output=str(tmp_path / "output"), scratch=str(tmp_path / "scratch"), peer_memory="1GB"
    )


def by_pandas(dataset: LagDataset) -> pd.DataFrame:
    frame = pd.read_parquet(dataset.files)
    groups = frame.groupby("col1")["col3"]
    return frame.assign(**{f"log_{lag}": np.log(groups.shift(lag)) for lag in range(4)})


class TestSituations:
    def test_full_sizes_are_those_that_were_requested(self):
        assert LAGS["q2"].table == replace(LAGS["q2"].table, files=100, rows_per_file=1_000_000, keys=10_000)
        heavy = LAGS["q2_heavy"].table
        assert heavy.rows == 70_000_000
        assert heavy.rows * heavy.hot_fraction == pytest.approx(60_000_000)

    def test_one_group_is_most_of_the_heavy_one(self, tmp_path):
        dataset = small("q2_heavy", tmp_path)
        sizes = pd.read_parquet(dataset.files)["col1"].value_counts()
        assert sizes.iloc[0] == dataset.truth.largest_group_rows
        assert 0.84 < sizes.iloc[0] / sizes.sum() < 0.88
        assert len(sizes) > 5

    def test_truth_is_what_pandas_finds_of_all_files_at_once(self, tmp_path):
        dataset = small("q2", tmp_path)
        frame = by_pandas(dataset)
        expected = pd.read_parquet(dataset.expected).set_index("col1").sort_index()
        groups = frame.groupby("col1")
        assert dataset.truth.rows == len(frame)
        assert expected["n"].tolist() == groups.size().tolist()
        np.testing.assert_allclose(expected["s_log_3"], groups["log_3"].sum())
        assert expected["n_log_2"].tolist() == groups["log_2"].count().tolist()
        products = (frame["log_1"] * frame["col2"]).groupby(frame["col1"]).sum()
        np.testing.assert_allclose(expected["p_log_1"], products)


class TestCheck:
    @pytest.fixture
    def dataset(self, tmp_path) -> LagDataset:
        return small("q2", tmp_path)

    def check(self, dataset, frame, tmp_path, *, ordered=True):
        output = tmp_path / "checked"
        output.mkdir()
        frame.to_parquet(output / "part.parquet", index=False)
        return check_lags(dataset, output, scratch=tmp_path, ordered=ordered)

    @pytest.mark.parametrize("ordered", [True, False])
    def test_accepts_what_pandas_makes(self, dataset, tmp_path, ordered):
        assert self.check(dataset, by_pandas(dataset), tmp_path, ordered=ordered).correct

    def test_another_order_within_a_key_is_right_only_where_none_is_owed(self, dataset, tmp_path):
        frame = pd.read_parquet(dataset.files).sort_values("col3")
        groups = frame.groupby("col1")["col3"]
        frame = frame.assign(**{f"log_{lag}": np.log(groups.shift(lag)) for lag in range(4)})
        assert self.check(dataset, frame, tmp_path, ordered=False).correct
        (tmp_path / "checked" / "part.parquet").unlink()
        (tmp_path / "checked").rmdir()
        assert not self.check(dataset, frame, tmp_path, ordered=True).correct

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize(
        "fault", ["lost row", "value missing", "lags within files", "one lag for another"]
    )
    def test_rejects(self, dataset, tmp_path, ordered, fault):
        frame = by_pandas(dataset)
        if fault == "lost row":
            frame = frame.iloc[1:]
        elif fault == "value missing":
            frame.loc[frame["log_1"].last_valid_index(), "log_1"] = np.nan
        elif fault == "lags within files":
            files = np.arange(len(frame)) // dataset.situation.table.rows_per_file
            groups = frame.groupby([files, "col1"])["col3"]
            frame = frame.assign(**{f"log_{lag}": np.log(groups.shift(lag)) for lag in range(4)})
        else:
            frame["log_2"] = frame["log_1"].where(frame["log_2"].notna())
            frame["log_2"] = frame.groupby("col1")["log_2"].transform(
                lambda column: column.sample(frac=1, random_state=1).to_numpy()
            )
        assert not self.check(dataset, frame, tmp_path, ordered=ordered).correct


class TestEngines:
    @pytest.mark.parametrize("engine", ALL_ENGINES)
    @pytest.mark.parametrize("name", sorted(LAGS))
    def test_lags(self, engine, name, request_, tmp_path):
        if engine not in CLUSTER_ENGINES:
            pytest.importorskip(engine)
        dataset = small(name, tmp_path)
        answer = LAG_WORK[engine, "lag"](request_, dataset, None)
        assert answer["ordered"] == (engine == "safeframe")
        check = run._check(dataset, answer, tmp_path / "output", tmp_path)
        assert check.correct, check

    @pytest.mark.parametrize("engine", ALL_ENGINES)
    def test_the_question(self, engine, request_, tmp_path):
        if engine not in CLUSTER_ENGINES:
            pytest.importorskip(engine)
        dataset = JOINS["question"].scaled(0.001).materialise(tmp_path)
        before = sorted(path.stat().st_ino for path in dataset.directory.rglob("*.parquet"))
        answer = QUESTION_WORK[engine, "question"](request_, dataset, None)
        check = run._check(dataset, answer, tmp_path / "output", tmp_path)
        assert check.correct, check
        assert sorted(path.stat().st_ino for path in dataset.directory.rglob("*.parquet")) == before
        found = pd.read_parquet(tmp_path / "output").reset_index()
        once = found.drop_duplicates(["col1", "col2", "col3"])
        sizes = once.groupby("col1").size()
        assert (once.groupby("col1")["log_col3_2"].count() == (sizes - 2).clip(lower=0)).all()
        if engine == "safeframe":
            rows = pd.read_parquet(dataset.left)
            rows["log_col3_3"] = np.log(rows.groupby("col1")["col3"].shift(3))
            wanted = rows.sort_values(["col1", "col2", "col3"])["log_col3_3"]
            np.testing.assert_array_equal(once.sort_values(["col1", "col2", "col3"])["log_col3_3"], wanted)


def test_the_script_is_the_documentations():
    for task, first in SCRIPTS.items():
        script = documented_script(task)
        assert script.startswith(first)
        assert "Client" not in script

"""A merge's files without its rows: the question at a hundredth, and measured at most projected."""

from __future__ import annotations

import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster
from safeframe.engine.parquet.without_rows import JoinedFrame, joined_frame

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]

KEYS = 100
LAGS = range(4)


def question_left(number: int) -> pd.DataFrame:
    """A tenth of the question's left rows at a hundredth: each key 10,000 times in all, features with nulls."""
    rng = np.random.default_rng([1, number])
    rows = KEYS * 1000
    frame = pd.DataFrame(
        {
            "col1": rng.integers(90_000, 90_000 + KEYS, rows),
            "col2": rng.integers(101, 20_000, rows),
            "col3": rng.uniform(0, 10_000, rows),
        }
    )
    return frame.assign(**{f"lag_{lag}": np.log(frame["col3"].shift(lag)) for lag in LAGS})


def question_right(number: int) -> pd.DataFrame:
    rng = np.random.default_rng([2, number])
    rows = KEYS * 500
    # The last key has no rows here.
    return pd.DataFrame(
        {"col1": rng.integers(90_000, 90_000 + KEYS - 1, rows), "col4": rng.uniform(0, 10_000, rows)}
    )


def run(tight: TightCluster, merged, out) -> safeframe.Plan:
    """Write a merge without its rows, and hold it to its plan."""
    plan = safeframe.explain(merged)
    safeframe.to_parquet(merged, out, write_index=False, strategy="blocks")
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.written.projected_worker_nbytes, (plan.details(), seen)
    assert plan.written.projected_worker_nbytes <= seen.limit_nbytes
    footers = [pq.read_metadata(path) for path in out.glob("*.parquet")]
    assert sum(footer.num_rows for footer in footers) == int(plan.output_rows)
    assert not isinstance(plan.run.write, str)
    groups = [footer.row_group(i).num_rows for footer in footers for i in range(footer.num_row_groups)]
    assert max(groups) <= plan.run.write.group_rows
    assert sum(path.stat().st_size for path in out.glob("*.parquet")) <= plan.run.write.file_nbytes
    return plan


@pytest.mark.nightly
def test_the_question_at_a_hundredth(tight, tmp_path):
    left, right = dd.from_map(question_left, range(10)), dd.from_map(question_right, range(2))
    merged = safeframe.merge(left, right, on="col1", how="left")
    plan = run(tight, merged, tmp_path / "out")
    assert int(plan.output_rows) > 990_000_000

    # Every column, by key, as pandas has it of the inputs.
    ones = pd.concat([question_left(number) for number in range(10)]).groupby("col1")
    others = pd.concat([question_right(number) for number in range(2)]).groupby("col1")
    met = others.size().reindex(ones.size().index)
    expected = {"rows": ones.size() * met.fillna(1)}
    for name in ["col2", "col3", *(f"lag_{lag}" for lag in LAGS)]:
        expected[f"count_{name}"] = ones[name].count() * met.fillna(1)
        expected[f"sum_{name}"] = ones[name].sum() * met.fillna(1)
    expected["min_lag_3"], expected["max_col2"] = ones["lag_3"].min(), ones["col2"].max()
    expected["count_col4"] = ones.size() * met.fillna(0)
    expected["sum_col4"] = ones.size() * others["col4"].sum().reindex(met.index)
    expected["min_col4"] = others["col4"].min().reindex(met.index)
    expected["max_col4"] = others["col4"].max().reindex(met.index)
    asked = ", ".join(
        "count(*) AS rows" if name == "rows" else f"{name.replace('_', '(', 1)}) AS {name}"
        for name in expected
    )
    with duckdb.connect(config={"threads": 2, "memory_limit": "800MB"}) as connection:
        found = connection.execute(
            f"SELECT col1, {asked} FROM '{tmp_path}/out/*.parquet' GROUP BY col1 ORDER BY col1"
        ).df()
    pd.testing.assert_frame_equal(
        found.set_index("col1").astype("float64"), pd.DataFrame(expected).astype("float64"), rtol=1e-9
    )
    seen = merged.groupby("col1")["col4"].mean().compute()
    pd.testing.assert_series_equal(seen, others["col4"].mean().reindex(met.index), rtol=1e-12)
    assert tight.report().undisturbed


@pytest.mark.nightly
def test_new_columns_and_filters_of_one_side(tight, tmp_path):
    left, right = dd.from_map(question_left, range(3)), dd.from_map(question_right, range(2))
    merged = safeframe.merge(left, right, on="col1", how="left")
    made = merged.assign(source="question", twice=merged["col4"] * 2, hour=merged["col2"] % 24)
    made = made.assign(**{f"log_{n}": np.log(made["col3"] + n) for n in range(8)})
    made = made[made["hour"] < 12]
    found = joined_frame(made.expr, write_index=False)
    assert isinstance(found, JoinedFrame)
    plan, plain = found.plan, safeframe.explain(merged)
    assert plan.written.projected_worker_nbytes > plain.written.projected_worker_nbytes * 0.9
    safeframe.to_parquet(made, tmp_path / "out", write_index=False, strategy="blocks")
    asked = (
        made["twice"].sum(),
        (merged["col3"] * merged["col4"]).sum(),
        np.log(merged["col4"]).mean(),
    )
    totals = [value.compute() for value in asked]
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.largest_resident_nbytes <= plan.written.projected_worker_nbytes, (plan.details(), seen)
    assert plan.written.projected_worker_nbytes <= seen.limit_nbytes

    # What the columns add up to, of the inputs.
    ones = pd.concat([question_left(number) for number in range(3)])
    others = pd.concat([question_right(number) for number in range(2)])
    met = others.groupby("col1").size()
    kept = ones[ones["col2"] % 24 < 12]
    times = kept["col1"].map(met).fillna(1)
    sums = others.groupby("col1")["col4"].sum()
    expected = [
        times.sum(),
        (np.log(kept["col3"] + 7) * times).sum(),
        kept["col1"].map(sums * 2).sum(),
        times.sum(),
    ]
    with duckdb.connect(config={"threads": 2, "memory_limit": "800MB"}) as connection:
        asked_of_files = "count(*), sum(log_7), sum(twice), sum(if(source = 'question', 1, 0))"
        rows = connection.execute(f"SELECT {asked_of_files} FROM '{tmp_path}/out/*.parquet'").fetchall()[0]
    np.testing.assert_allclose([float(value) for value in rows], expected, rtol=1e-9)
    of_left = ones.groupby("col1")
    logs = np.log(others["col4"]).groupby(others["col1"]).sum()
    pairs = of_left.size().reindex(met.index) * met
    wanted = [
        expected[2],
        (of_left["col3"].sum() * sums).sum(),
        (of_left.size().reindex(met.index) * logs).sum() / pairs.sum(),
    ]
    np.testing.assert_allclose(totals, wanted, rtol=1e-9)


@pytest.mark.nightly
def test_what_is_of_both_sides_has_rows_of_bounded_size(tight, tmp_path):
    left, right = dd.from_map(few_of_a_key, range(8)), dd.from_map(few_of_a_key, range(8, 10))
    merged = safeframe.merge(left, right.rename(columns={"a": "b"}), on="k")
    plan = safeframe.explain(merged)
    assert not isinstance(plan.run.write, str)
    assert int(plan.output_rows) > 6_000_000
    made = merged.assign(c=merged["a"] - merged["b"])
    safeframe.to_parquet(made, tmp_path / "out", write_index=False)
    largest = (merged["a"] - merged["b"]).max().compute()
    by_other = merged.assign(tens=merged["a"] // 1000).groupby("tens")["b"].count().compute()
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.largest_resident_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (
        plan.details(),
        seen,
    )
    files = f"{tmp_path}/out/*.parquet"
    rows, top = duckdb.sql(f"SELECT count(*), max(c) FROM '{files}'").fetchall()[0]
    assert rows == int(plan.output_rows) == by_other.sum()
    assert top == largest


def few_of_a_key(number: int) -> pd.DataFrame:
    keys = np.random.default_rng(number).integers(0, 500, 20_000)
    return pd.DataFrame({"k": keys, "a": np.arange(20_000) / 7 + number})


def one_key(number: int) -> pd.DataFrame:
    return pd.DataFrame({"k": np.zeros(250_000, "int64"), "a": np.arange(250_000) / 7 + number, "b": number})


def test_a_key_of_millions_of_rows_on_both_sides(tight, tmp_path):
    left = dd.from_map(one_key, range(8))
    right = dd.from_map(one_key, range(8)).rename(columns={"a": "c", "b": "d"})
    merged = safeframe.merge(left, right.partitions[:1].sample(frac=0.01, random_state=1), on="k")
    plan = run(tight, merged, tmp_path / "out")
    assert not isinstance(plan.run.write, str)
    assert plan.run.write.layout.single_key.any()
    total = pq.read_metadata(tmp_path / "out" / "part.0.parquet").num_rows
    assert total * plan.run.write.files == pytest.approx(int(plan.output_rows), rel=0.01), (
        "files have the same size"
    )


def test_keys_with_few_rows(tight, tmp_path):
    left = dd.from_map(few_rows, range(8))
    right = dd.from_map(few_rows, range(8, 12)).rename(columns={"a": "b"})
    run(tight, safeframe.merge(left, right, on="k"), tmp_path / "out")


def few_rows(number: int) -> pd.DataFrame:
    keys = np.random.default_rng(number).integers(0, 40_000, 200_000)
    return pd.DataFrame({"k": keys, "a": np.arange(200_000) / 7})


def test_strings(tight, tmp_path):
    left, right = dd.from_map(words, range(6)), dd.from_map(words, range(6, 8)).rename(columns={"a": "b"})
    run(tight, safeframe.merge(left, right, on="k"), tmp_path / "out")


def words(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    keys = pd.Series(rng.integers(0, 2000, 150_000)).map("key {:012d}".format)
    return pd.DataFrame(
        {"k": keys, "a": pd.Series(rng.integers(0, 10**6, 150_000)).map("value {:09d}".format)}
    )

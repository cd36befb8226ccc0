"""Groups on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from tests.memory.test_sort_memory import held

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")

ROWS = 500_000
PARTS = 40
N = ROWS * PARTS


def rows_of(number: int, kind: str) -> pd.DataFrame:
    """Rows whose values tell the sums of their groups."""
    row = np.arange(number * ROWS, (number + 1) * ROWS)
    key = row * 7_919 % (N // 2)  # each twice, far apart
    if kind == "few":
        key %= 1000
    if kind == "heavy":
        key = np.where(row % 5 < 3, -1, key)
    frame = pd.DataFrame({"k": key, "v": row, "w": row / 4})
    if kind == "strings":
        text = pd.Series(key).astype("string[pyarrow]").str.zfill(12)
        frame = frame.iloc[: ROWS // 4].assign(k=text, s=text)
    return frame


def made(kind: str) -> dd.DataFrame:
    return dd.from_map(rows_of, range(PARTS), kind=kind, meta=rows_of(0, kind).iloc[:0])


def sums(part: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"groups": [len(part)], "n": [int(part["v_count"].sum())], "total": [int(part["v_sum"].sum())]}
    )


def seen(result: dd.DataFrame) -> pd.Series:
    """Make every output partition, one after the other, and add up what tells whether all rows are there."""
    return (
        result.map_partitions(sums, meta={"groups": "int64", "n": "int64", "total": "int64"}).compute().sum()
    )


ASKED = {
    "v_count": ("v", "count"),
    "v_sum": ("v", "sum"),
    "mean": ("w", "mean"),
    "var": ("w", "var"),
    "least": ("v", "min"),
}


@pytest.mark.parametrize(
    ("kind", "strategy", "groups"),
    [
        ("many", "staged", N // 2),
        ("heavy", "staged", None),
        pytest.param("few", "tree", 1000, marks=pytest.mark.nightly),
    ],
)
def test_ints(kind, strategy, groups, tight):
    result = safeframe.groupby(made(kind), "k").agg(**ASKED)
    plan = safeframe.explain(result)
    assert plan.strategy == strategy
    found = seen(result)
    held(tight, plan)
    assert found["n"] == N
    assert found["total"] == N * (N - 1) // 2
    assert plan.output_rows.lower <= found["groups"] <= plan.output_rows.upper
    if groups is not None:
        assert found["groups"] == groups


@pytest.mark.nightly
def test_strings(tight):
    result = safeframe.groupby(made("strings"), "k").agg(**ASKED, text=("s", "min"))
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    found = seen(result)
    held(tight, plan)
    assert found["n"] == N // 4


@pytest.mark.nightly
def test_median_of_groups_that_are_made_whole(tight):
    result = safeframe.groupby(made("many"), "k").agg(**ASKED | {"mean": ("w", "median")})
    plan = safeframe.explain(result)
    found = seen(result)
    held(tight, plan)
    assert found["n"] == N
    assert found["total"] == N * (N - 1) // 2


def test_keys_that_files_bound(tight, tmp_path):
    for number in range(8):
        rng = np.random.default_rng(number)
        row = np.arange(2 * ROWS)
        words = pd.Categorical.from_codes(
            rng.integers(0, 200, len(row)), categories=[f"word {n}" for n in range(200)]
        )
        columns = {
            "k": pd.Series(words).astype("str"),
            "n": rng.integers(0, 50, len(row)),
            "v": row,
            "w": row / 4,
        }
        pd.DataFrame(columns).to_parquet(tmp_path / f"{number}.parquet")
    result = safeframe.groupby(dd.read_parquet(tmp_path), ["k", "n"]).agg(**ASKED)
    plan = safeframe.explain(result)
    assert plan.strategy == "tree"
    assert plan.counting is None
    found = seen(result)
    held(tight, plan)
    assert (plan.output_rows.upper, found["groups"]) == (10_000, 10_000)
    assert found["n"] == 16 * ROWS
    assert found["total"] == 8 * ROWS * (2 * ROWS - 1)


def largest(part: pd.Series) -> pd.DataFrame:
    keys = part.index.get_level_values(0)
    return pd.DataFrame(
        {"rows": [len(part)], "total": [int(part.sum())], "heavy": [int(part[keys == -1].sum())]}
    )


@pytest.mark.parametrize(
    ("kind", "strategy"), [("heavy", "staged"), pytest.param("few", "tree", marks=pytest.mark.nightly)]
)
def test_largest_values(kind, strategy, tight):
    result = safeframe.groupby(made(kind), "k")["v"].nlargest(2)
    plan = safeframe.explain(result)
    assert plan.strategy == strategy, plan.details()
    parts = result.map_partitions(largest, meta={"rows": "int64", "total": "int64", "heavy": "int64"})
    found = parts.compute().sum()
    held(tight, plan)
    if kind == "heavy":
        # Other keys have one row or two, which are all returned.
        row = np.arange(N)
        rest = row[row % 5 >= 3]
        assert found["heavy"] == (N - 3) + (N - 4)
        assert found["rows"] == len(rest) + 2
        assert found["total"] == rest.sum() + found["heavy"]
    else:
        assert found["rows"] == 2 * 1000

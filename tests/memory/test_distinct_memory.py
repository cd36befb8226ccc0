"""Repeated keys on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.situations import DISTINCT
from benchmarks.tight import TightCluster

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")


def held(tight: TightCluster, plan: safeframe.Plan) -> None:
    """Hold the workers to what was projected."""
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes


def numbers(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """Say of an output partition which rows it has."""
    rows = part[name]
    return pd.DataFrame(
        {"rows": [len(rows)], "total": [rows.sum()], "ordered": [rows.is_monotonic_increasing]}
    )


def consume(result: dd.DataFrame, name: str) -> tuple[int, int]:
    """Make every output partition; return their rows, and the sum of these rows' numbers."""
    meta = {"rows": "int64", "total": "int64", "ordered": bool}
    found = result.map_partitions(numbers, name, meta=meta).compute()
    assert found["ordered"].all(), "rows are in the order of the frame"
    return int(found["rows"].sum()), int(found["total"].sum())


@pytest.fixture(scope="module")
def identifiers(tmp_path_factory):
    """Five million rows, of whose identifiers of 16 characters a tenth repeats."""
    return DISTINCT["g3"].scaled(0.1).materialise(tmp_path_factory.mktemp("g3"))


def test_identifiers_of_which_a_tenth_repeats(tight, identifiers):
    result = safeframe.drop_duplicates(dd.read_parquet(identifiers.files), "id")
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert consume(result, "c0") == (identifiers.truth.rows, identifiers.truth.first_rows)
    assert plan.output_rows.lower <= identifiers.truth.rows <= plan.output_rows.upper
    held(tight, plan)


@pytest.mark.nightly
def test_identifiers_are_counted(tight, identifiers):
    result = safeframe.nunique(dd.read_parquet(identifiers.files)["id"])
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert result.compute() == identifiers.truth.rows
    held(tight, plan)


ROWS = 250_000


def heavy_rows(number: int) -> pd.DataFrame:
    """Rows of which one key has six of ten, and the others are there twice."""
    rows = np.arange(number * ROWS, (number + 1) * ROWS)
    words = np.where(rows % 10 < 6, -1, rows % (10 * ROWS))
    ids = pd.Series(pa.array(words).cast(pa.string()).to_pandas()).str.rjust(16, "x")
    columns = {f"c{i}": np.random.default_rng((number, i)).integers(0, 2**40, ROWS) for i in range(7)}
    return pd.DataFrame({"id": ids, "row": rows, **columns})


@pytest.mark.parametrize(
    "keep", ["first", *(pytest.param(keep, marks=pytest.mark.nightly) for keep in ("last", False))]
)
def test_one_key_with_most_rows(tight, keep):
    frame = dd.from_map(heavy_rows, range(20), meta=heavy_rows(0).iloc[:0])
    result = safeframe.drop_duplicates(frame, "id", keep=keep, strategy="staged")
    plan = safeframe.explain(result)
    rows = np.arange(20 * ROWS)
    light = rows % 10 >= 6
    expected = {
        "first": [0, *rows[light & (rows < 10 * ROWS)]],
        "last": [rows[~light][-1], *rows[light & (rows >= 10 * ROWS)]],
        False: [],
    }[keep]
    assert consume(result, "row") == (len(expected), int(np.sum(expected)))
    held(tight, plan)


@pytest.mark.nightly
def test_partitions_that_wait_in_files(tight):
    made = dd.from_map(heavy_rows, range(20), meta=heavy_rows(0).iloc[:0])
    frame = safeframe.shuffle(made, "c0")
    result = safeframe.drop_duplicates(frame, "row", strategy="staged")
    plan = safeframe.explain(result)
    assert any("wait in files" in reason for reason in plan.reasons)
    assert int(result["row"].sum().compute()) == 20 * ROWS * (20 * ROWS - 1) // 2
    held(tight, plan)


@pytest.mark.nightly
def test_files_of_large_row_groups(tight, tmp_path):
    table = pa.concat_tables(pa.Table.from_pandas(heavy_rows(number)) for number in range(4))
    for number in range(3):
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=table.num_rows)
    del table
    result = safeframe.duplicated(dd.read_parquet(tmp_path), "id", strategy="staged")
    plan = safeframe.explain(result)
    first = 4 * ROWS * 4 // 10 + 1
    assert int((~result).sum().compute()) == first
    held(tight, plan)

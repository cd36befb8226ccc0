"""Sorting on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")


def held(tight: TightCluster, plan: safeframe.Plan) -> None:
    """Hold the workers to what was projected."""
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes


def key_ends(part: pd.DataFrame, by: str | None) -> pd.DataFrame:
    """Say of an output partition what tells whether all are in order."""
    keys = part.index.to_series() if by is None else part[by]
    ends = [keys.iloc[0], keys.iloc[-1]] if len(part) else [None, None]
    return pd.DataFrame(
        {"rows": [len(part)], "row": [part["row"].sum()], "low": ends[:1], "high": ends[1:],
         "ordered": [keys.is_monotonic_increasing], "exact": [part.memory_usage(deep=True).sum()]}
    )  # fmt: skip


def consume(result: dd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Make every output partition, look at its rows, and check that together they are in order."""
    kind = (result.index if by is None else result[by]).dtype
    meta = {"rows": "int64", "row": "int64", "low": kind, "high": kind, "ordered": bool, "exact": "int64"}
    ends = result.map_partitions(key_ends, by, meta=meta).compute()
    assert ends["ordered"].all()
    assert (ends["high"].to_numpy()[:-1] <= ends["low"].to_numpy()[1:]).all()
    return ends


def all_rows(ends: pd.DataFrame, partitions: int, rows: int) -> None:
    n = partitions * rows
    assert ends["rows"].sum() == n
    assert ends["row"].sum() == n * (n - 1) // 2


ROWS = 157_500


def number_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    columns = {"k": rng.integers(0, 2**31, ROWS), "row": np.arange(number * ROWS, (number + 1) * ROWS)}
    return pd.DataFrame(columns | {f"c{i}": rng.integers(0, 2**31, ROWS) for i in range(8)})


def test_an_index_of_more_than_the_workers_have(tight):
    frame = dd.from_map(number_rows, range(100), meta=number_rows(0).iloc[:0])
    result = safeframe.set_index(frame, "k")
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert int(plan.output_nbytes) > 1.0 * 2**30
    ends = consume(result)
    all_rows(ends, 100, ROWS)
    assert ends["rows"].max() * plan.row_nbytes <= plan.largest_partition_nbytes
    assert ends["rows"].max() <= 1.1 * ends["rows"].mean(), "partitions are even"
    held(tight, plan)


def word_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    words = pd.Series([f"key {i:012d}" for i in range(20_000)])
    columns = {
        "k": words.take(rng.integers(0, len(words), 150_000)).reset_index(drop=True),
        "row": np.arange(number * 150_000, (number + 1) * 150_000),
        "text": words.take(rng.integers(0, len(words), 150_000)).reset_index(drop=True),
    }
    return pd.DataFrame(columns)


def test_an_index_of_strings(tight):
    result = safeframe.set_index(dd.from_map(word_rows, range(24), meta=word_rows(0).iloc[:0]), "k")
    plan = safeframe.explain(result)
    all_rows(consume(result), 24, 150_000)
    held(tight, plan)


def heavy_rows(number: int) -> pd.DataFrame:
    frame = number_rows(number)
    return frame.assign(k=frame["k"].where(frame["k"] % 5 == 0, 7))


def test_one_key_with_most_rows(tight):
    frame = dd.from_map(heavy_rows, range(40), meta=number_rows(0).iloc[:0])
    result = safeframe.sort_values(frame, "k", partition_size="16MiB")
    plan = safeframe.explain(result)
    ends = consume(result, "k")
    all_rows(ends, 40, ROWS)
    alone = (ends["low"] == 7) & (ends["high"] == 7)
    assert alone.sum() >= 20, "the key fills many partitions"
    assert ends["rows"].max() * plan.row_nbytes <= plan.largest_partition_nbytes <= 16 * 2**20
    held(tight, plan)


def test_several_columns(tight):
    frame = dd.from_map(word_rows, range(12), meta=word_rows(0).iloc[:0])
    result = safeframe.sort_values(frame, ["k", "row"])
    plan = safeframe.explain(result)
    all_rows(consume(result, "k"), 12, 150_000)
    held(tight, plan)


def ordered_rows(number: int) -> pd.DataFrame:
    keys = np.arange(number * ROWS, (number + 1) * ROWS)
    return number_rows(number).assign(k=(keys + 10) // 20)


def test_an_index_that_is_in_order_already(tight):
    frame = dd.from_map(ordered_rows, range(30), meta=number_rows(0).iloc[:0])
    result = safeframe.set_index(frame, "k")
    plan = safeframe.explain(result)
    assert plan.strategy == "sorted"
    assert "move" in plan.steps[0].kind, "keys go on in the next partition"
    all_rows(consume(result), 30, ROWS)
    held(tight, plan)


def write_table(directory: Path) -> None:
    directory.mkdir()
    for number in range(20):
        number_rows(number).to_parquet(directory / f"{number:02d}.parquet", index=False)


@pytest.mark.nightly
def test_parquet_to_dasks_parquet(tight, tmp_path):
    write_table(tmp_path / "in")
    result = safeframe.set_index(dd.read_parquet(tmp_path / "in"), "k")
    plan = safeframe.explain(result)
    result.to_parquet(tmp_path / "out")
    held(tight, plan)
    paths = sorted((tmp_path / "out").glob("*.parquet"), key=lambda path: int(path.name.split(".")[1]))
    footers = [pq.read_metadata(path) for path in paths]
    assert [footer.num_rows for footer in footers] == [len(part) for part in map(read_keys, paths)]
    assert sum(footer.num_rows for footer in footers) == 20 * ROWS
    assert max(footer.num_rows for footer in footers) * plan.row_nbytes <= plan.largest_partition_nbytes
    keys = np.concatenate(list(map(read_keys, paths)))
    assert (np.diff(keys) >= 0).all()


def read_keys(path: Path) -> np.ndarray:
    return pq.read_table(path, columns=["k"])["k"].to_numpy()


@pytest.mark.tight(n_workers=2, limit="400MiB", hard="700MiB")
def test_smaller_workers(tight):
    result = safeframe.set_index(dd.from_map(number_rows, range(40), meta=number_rows(0).iloc[:0]), "k")
    plan = safeframe.explain(result)
    all_rows(consume(result), 40, ROWS)
    held(tight, plan)


WIDE = range(14, 20)
"""Partitions in which the strings of the only key are long."""


def uneven_rows(number: int) -> pd.DataFrame:
    rows = np.arange(number * 20_000, (number + 1) * 20_000)
    text = [f"{row:08d}".ljust(1_500 if number in WIDE else 20, "x") for row in rows]
    return pd.DataFrame({"k": 7, "s": pd.array(text, "string[pyarrow]"), "row": rows})


def test_long_strings_in_some_rows_of_one_key(tight):
    frame = dd.from_map(uneven_rows, range(40), meta=uneven_rows(0).iloc[:0])
    result = safeframe.sort_values(frame, "k", strategy="staged", partition_size="40MiB")
    plan = safeframe.explain(result)
    tight.count_again()
    with pytest.warns(safeframe.PartitionSizeWarning, match="moved to other partitions of the same key"):
        ends = consume(result, "k")
    all_rows(ends, 40, 20_000)
    assert ends["rows"].max() > 3 * ends["rows"].min(), "cuts are moved to where the long strings are"
    held(tight, plan)

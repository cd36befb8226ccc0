"""Writing keeps to its formula, on workers that the kernel holds."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.situations import SITUATIONS
from safeframe.planning.parquet import row_group_nbytes
from safeframe.recipes.to_parquet import to_parquet
from safeframe.sizing.cluster import measure_budget

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]


@pytest.mark.parametrize("strategy", ["rows", "blocks"])
def test_a_merge_keeps_to_its_plan(tight, tmp_path, strategy):
    data = SITUATIONS["q3"].scaled(0.1).materialise(tmp_path)
    merged = safeframe.merge(dd.read_parquet(data.left), dd.read_parquet(data.right), on="col1", how="left")
    plan = safeframe.explain(merged)
    plan = plan.written if strategy == "blocks" else plan
    to_parquet(merged, tmp_path / "out", write_index=False, strategy=strategy)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (
        plan.details(),
        seen,
    )
    footers = [pq.read_metadata(path) for path in (tmp_path / "out").iterdir()]
    assert sum(footer.num_rows for footer in footers) == data.truth.rows


def _some_words(path, *, files, seed, texts):
    """Write rows of 20 000 keys of 16 characters, each in many of them."""
    keys = pa.array([f"{value:016x}" for value in np.random.default_rng(0).integers(0, 2**62, 20_000)])
    path.mkdir()
    for number in range(files):
        rng = np.random.default_rng([seed, number])
        rows = 100_000
        columns = {"id": keys.take(pa.array(rng.integers(0, len(keys), rows))), "x": rng.random(rows)}
        if texts:
            texts_of = [f"text {value}" for value in rng.integers(0, 2**40, rows)]
            amounts = (
                pa.array(rng.integers(0, 10**9, rows)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(15, 0))
            )
            columns = {"id": columns["id"], "text": texts_of, "amount": amounts}
        pq.write_table(pa.table(columns), path / f"{number}.parquet")
    return path


@pytest.mark.parametrize("how", ["left", "outer"])
def test_large_partitions_of_strings_are_written_in_stretches(tight, tmp_path, how):
    left = dd.read_parquet(_some_words(tmp_path / "left", files=3, seed=1, texts=False))
    right = dd.read_parquet(_some_words(tmp_path / "right", files=3, seed=2, texts=True))
    merged = safeframe.merge(left, right, on="id", how=how, strategy="staged", partition_size="200MiB")
    plan = safeframe.explain(merged)
    assert plan.largest_partition_nbytes > 150 * 2**20
    assert not plan.fits
    plan = plan.written
    to_parquet(merged, tmp_path / "out", write_index=False, strategy="rows")
    seen = tight.report()
    assert seen.undisturbed, seen
    assert (
        seen.charged_nbytes <= plan.projected_worker_nbytes <= min(seen.limit_nbytes, 2 * seen.charged_nbytes)
    ), (
        plan.details(),
        seen,
    )
    footers = [pq.read_metadata(path) for path in (tmp_path / "out").iterdir()]
    assert sum(footer.num_rows for footer in footers) == plan.output_rows.expected
    assert min(footer.num_row_groups for footer in footers) > 2


@pytest.mark.parametrize("recipe", ["shuffle", "sort"])
def test_large_partitions_of_what_moves_are_written_in_stretches(tight, tmp_path, recipe):
    frame = dd.read_parquet(_some_words(tmp_path / "frame", files=12, seed=3, texts=True))
    if recipe == "shuffle":
        made = safeframe.shuffle(frame, "id", npartitions=1, staging=str(tmp_path / "staging"))
    else:
        made = safeframe.sort_values(frame, "amount", npartitions=1, staging=str(tmp_path / "staging"))
    plan = safeframe.explain(made).written
    to_parquet(made, tmp_path / "out", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert (
        seen.charged_nbytes <= plan.projected_worker_nbytes <= min(seen.limit_nbytes, 2 * seen.charged_nbytes)
    ), (
        plan.details(),
        seen,
    )


ROWS = 1_000_000


def some_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    return pd.DataFrame({f"c{i}": rng.integers(0, 2**20, ROWS) for i in range(10)})


def test_a_plain_frame_keeps_to_the_formula(tight, tmp_path):
    budget = measure_budget()
    frame = dd.from_map(some_rows, range(8), meta={f"c{i}": "int64" for i in range(10)})
    to_parquet(frame, tmp_path / "out", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    # What makes a partition here holds it twice: ten arrays, and the frame of them.
    nbytes = ROWS * 10 * 8
    # A write holds it, and a row group of it in Arrow and as encoded pages.
    peak = nbytes + max(nbytes, 2 * min(row_group_nbytes(budget.task_nbytes), nbytes))
    assert seen.charged_nbytes <= budget.projected_worker_nbytes(peak), seen
    assert pq.read_metadata(tmp_path / "out" / "part.0.parquet").num_row_groups > 1


def test_a_partition_larger_than_a_worker_is_written_as_it_is_read(tight, tmp_path):
    rng = np.random.default_rng(0)
    rows = 2_000_000
    words = pa.array([f"some words of a line that is about as long as this one, {n}" for n in range(5000)])
    columns = {f"t{number}": words.take(pa.array(rng.integers(0, 5000, rows))) for number in range(5)}
    (tmp_path / "in").mkdir()
    table = pa.table({"k": rng.integers(0, 99, rows), **columns})
    pq.write_table(table, tmp_path / "in" / "0.parquet", row_group_size=rows)
    assert table.nbytes > 598 * 2**20
    del table, columns
    to_parquet(dd.read_parquet(tmp_path / "in"), tmp_path / "out", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0
    assert seen.charged_nbytes < 0.8 * seen.limit_nbytes
    assert pq.read_metadata(tmp_path / "out" / "part.0.parquet").num_rows == rows


def test_a_key_that_no_worker_holds_is_shuffled_into_a_file(tight, tmp_path):
    rows = 6_000_000
    texts = pa.array([f"a text that is found in some of the rows, {number}" for number in range(700)])
    (tmp_path / "in").mkdir()
    for number in range(6):
        rng = np.random.default_rng(number)
        keys = np.where(rng.random(rows // 6) < 0.95, 0, rng.integers(0, 50, rows // 6))
        columns = {"k": keys, "text": texts.take(pa.array(rng.integers(0, 700, rows // 6)))}
        pq.write_table(pa.table(columns), tmp_path / "in" / f"{number}.parquet")
    shuffled = safeframe.shuffle(dd.read_parquet(tmp_path / "in"), "k")
    plan = safeframe.explain(shuffled)
    assert not plan.fits
    assert plan.written.fits
    to_parquet(shuffled, tmp_path / "out", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0
    assert seen.charged_nbytes <= plan.written.projected_worker_nbytes <= seen.limit_nbytes
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "out").glob("*.parquet")) == rows

"""safeframe.to_parquet on a real cluster: one task makes and writes a partition."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.recipes.to_parquet import to_parquet


def rows_of(number):
    return pd.DataFrame({"k": np.arange(1000) % 50, "v": number})


def merged(tmp_path):
    left = dd.from_map(rows_of, range(4))
    right = dd.from_pandas(pd.DataFrame({"k": range(50), "r": 1.5}), npartitions=2)
    return safeframe.merge(left, right, on="k", strategy="staged", staging=str(tmp_path / "staging"))


def test_a_merge_is_written_by_the_tasks_that_make_it(small_cluster, tmp_path):
    to_parquet(merged(tmp_path), tmp_path / "out")
    assert len(dd.read_parquet(tmp_path / "out")) == 4000
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize("kind", ["merge", "from_map"])
def test_fused_in_compute_too(tmp_path, kind):
    frame = merged(tmp_path) if kind == "merge" else dd.from_map(rows_of, range(4)).assign(w=1)
    lazy = to_parquet(frame, tmp_path / "out", compute=False)
    assert not (tmp_path / "out").exists()
    expr = lazy.expr.optimize(fuse=False)
    graph = expr.__dask_graph__()
    (commit,) = expr.__dask_keys__()
    writes = graph[commit].dependencies
    assert len(writes) == frame.npartitions
    others = set(graph) - {commit} - set(writes)
    before = {key for write in writes for key in graph[write].dependencies}
    assert not any("cells" in str(key).lower() for key in others)
    assert len(before) == (1 if kind == "merge" else 0)
    dask.compute(lazy)
    assert len(pd.read_parquet(tmp_path / "out")) == 4000


def test_progress_is_announced(tmp_path, capsys):
    with dask.config.set(scheduler="sync"):
        to_parquet(merged(tmp_path), tmp_path / "out", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == [
        "merge: stage: 100%, 4,050/4,050 rows, 63.3/63.3 KiB",
        "write: 100%, 1/1 files, 4,000/4,000 rows",
    ]


def test_a_merge_without_rows_is_measured_as_what_it_is(small_cluster, tmp_path):
    left = dd.from_map(rows_of, range(4))
    right = dd.from_map(rows_of, range(2)).rename(columns={"v": "w"})
    pairs = safeframe.merge(left, right, on="k", staging=str(tmp_path / "staging"))
    plan = safeframe.explain(pairs)
    assert not isinstance(plan.run.write, str)
    with safeframe.measure() as measured:
        to_parquet(pairs, tmp_path / "out", write_index=False)
    assert measured.rows_out == int(plan.output_rows) == 160_000
    assert measured.projected_worker_nbytes == plan.written.projected_worker_nbytes
    assert measured.rows_in == 6000
    found = pd.read_parquet(tmp_path / "out")
    assert found.groupby(["v", "w"]).size().eq(20_000).all()

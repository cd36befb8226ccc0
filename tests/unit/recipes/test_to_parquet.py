"""What safeframe.to_parquet plans of a merge in the compact encoding."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.facts.merge import WritePlan

pytestmark = pytest.mark.usefixtures("_in_this_process")


def merged(staging, **arguments):
    rng = np.random.default_rng(0)
    sides = (
        dd.from_pandas(pd.DataFrame({"k": rng.integers(0, 5, 200), name: rng.random(200)}), npartitions=2)
        for name in "ab"
    )
    return safeframe.merge(*sides, on="k", staging=str(staging), **arguments)


def written(frame, tmp_path):
    lazy = safeframe.to_parquet(frame, tmp_path / "files", strategy="blocks", compute=False)
    return safeframe.explain(lazy).run.write


@pytest.mark.parametrize("made", [{"one": 1}, {"c": lambda ddf: ddf["a"] * 2}])
def test_columns_that_are_made_of_a_merge_are_planned_too(tmp_path, made):
    merge = merged(tmp_path)
    plain, wider = (written(frame, tmp_path) for frame in (merge, merge.assign(**made)))
    assert wider.file_nbytes > plain.file_nbytes
    assert wider.staging_nbytes > plain.staging_nbytes
    assert max(step.task_peak_nbytes for step in wider.steps) > max(
        step.task_peak_nbytes for step in plain.steps
    )


def test_the_same_merge_has_the_same_name_whatever_the_free_disk(tmp_path, monkeypatch):
    found = []
    for free_nbytes in (2**40, 2**41):
        monkeypatch.setattr("safeframe.sizing.cluster.free_nbytes", lambda directory, free=free_nbytes: free)
        monkeypatch.setattr("safeframe.sizing.cluster._machine_nbytes", lambda: 2**33)
        monkeypatch.setattr("safeframe.sizing.cluster.loaded_resident_nbytes", lambda: 2**27)
        found.append(merged(tmp_path, strategy="broadcast"))
    assert all(isinstance(merge.expr.run.write, WritePlan) for merge in found)
    assert found[0]._name == found[1]._name


def test_schemas_may_ask_for_views_of_text(tmp_path):
    frame = pd.DataFrame({"k": range(10), "s": ["a", None] * 5}, dtype=object).astype({"s": "string"})
    ddf = dd.from_pandas(frame, npartitions=2)
    safeframe.to_parquet(ddf, str(tmp_path / "out"), write_index=False, schema={"s": pa.string_view()})
    assert pq.read_table(tmp_path / "out")["s"].to_pylist() == ["a", None] * 5


def test_filters_that_leave_no_row_group(tmp_path):
    dd.from_pandas(pd.DataFrame({"k": range(9), "s": ["a"] * 9, "x": 1.0}), npartitions=2).to_parquet(
        tmp_path / "in"
    )
    none = dd.read_parquet(tmp_path / "in", filters=[("k", ">", 99)], columns=["k", "s"])
    safeframe.to_parquet(none, str(tmp_path / "out"), write_index=False)
    found = pd.read_parquet(tmp_path / "out")
    assert (list(found.columns), len(found)) == (["k", "s"], 0)

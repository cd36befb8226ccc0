"""What goes wrong with a staging directory: said in words, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


def frames(rows=200_000):
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 1000, rows), "l": rng.random(rows)})
    right = pd.DataFrame({"k": np.arange(1000), "r": rng.random(1000)})
    return dd.from_pandas(left, npartitions=4, sort=False), dd.from_pandas(right, npartitions=2, sort=False)


def staged_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.suffix in (".staged", ".partial")]


def test_a_plan_that_will_not_fit_the_disk_is_refused_before_it_runs(small_disk):
    left, right = frames()
    with dask.config.set(scheduler="sync"):
        merged = safeframe.merge(left, right, on="k", strategy="staged", staging=str(small_disk))
        assert not safeframe.explain(merged).fits
        with pytest.raises(
            safeframe.StagingFullError, match=r"stages 3\.07 MiB.*has 1 MiB free(.|\n)*Hint: "
        ):
            merged.compute()
    assert staged_files(small_disk) == []


@pytest.mark.parametrize("scheduler", ["sync", "threads", "cluster"])
def test_a_disk_that_fills_up_while_it_runs(small_disk, scheduler, request, monkeypatch):
    if scheduler == "cluster":
        request.getfixturevalue("small_cluster")
    # The disk looked large enough when the plan was made.
    monkeypatch.setattr("safeframe.sizing.cluster.free_nbytes", lambda directory: 2**40)
    left, right = frames()
    with dask.config.set({} if scheduler == "cluster" else {"scheduler": scheduler}):
        merged = safeframe.merge(left, right, on="k", strategy="staged", staging=str(small_disk))
        assert safeframe.explain(merged).fits
        with pytest.raises(
            safeframe.StagingFullError, match=r"is full: .* had to be staged and .* are free(.|\n)*Hint: "
        ) as info:
            merged.compute()
    assert info.value.figures["needed_nbytes"] > info.value.figures["free_nbytes"]
    assert isinstance(info.value, OSError)
    if scheduler == "sync":
        del info
        assert staged_files(small_disk) == []
    # Threads finish what they were at, and a cluster's scheduler removes files when it
    # forgets the keys: the look that follows every test waits for that.


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    left, right = frames(100)
    with pytest.raises(
        safeframe.StagingError, match=r"file/below' cannot be written: Not a directory(.|\n)*Hint: "
    ):
        safeframe.merge(left, right, on="k", strategy="staged", staging=str(tmp_path / "file" / "below"))
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]

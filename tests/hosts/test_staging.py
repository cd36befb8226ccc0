"""A directory that is not the same one for all hosts: it is not chosen, and refused where it is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client

import safeframe
from tests.faults.machine.leftovers import close_sessions
from tests.hosts.cluster import HostCluster
from tests.hosts.work import HOST_RECIPES

pytestmark = pytest.mark.cluster

_IN_CI = ("merge, inner", "sort_values, written", "nunique", "rechunk", "bag_groupby")


@pytest.fixture
def frames() -> tuple[dd.DataFrame, dd.DataFrame]:
    rows = pd.DataFrame({"k": range(300), "n": range(300), "v": range(300, 0, -1)})
    left = dd.from_pandas(rows.assign(s="name " + (rows["k"] % 40).astype(str)), npartitions=6)
    right = dd.from_pandas(rows.rename(columns={"v": "w"}), npartitions=3)
    return left, right


@pytest.fixture
def scratch(hosts: HostCluster) -> Iterator[Path]:
    """A directory under a path that each host has, and that is another one on each."""
    yield hosts.scratch
    close_sessions(str(hosts.scratch))
    assert list(hosts.scratch.iterdir()) == []


def built(name: str, frames: tuple[dd.DataFrame, dd.DataFrame], staging: str) -> Any:
    return HOST_RECIPES[name].build(*frames, staging)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in _IN_CI else pytest.mark.nightly)
        for name, recipe in HOST_RECIPES.items()
        if recipe.staged
    ],
)
def test_a_path_that_is_another_directory_on_each_host_is_refused(
    name: str, scratch: Path, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    # Before anything is computed.
    with pytest.raises(safeframe.StagingError, match="is not one that all workers reach: 3 of 3") as info:
        built(name, frames, str(scratch))
    assert "s3://" in info.value.hint
    assert len(info.value.figures["hosts"]) == 3


def test_a_directory_that_the_client_alone_has_is_refused(
    scratch: Path, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    mine = scratch / "mine"
    mine.mkdir()
    with pytest.raises(safeframe.StagingError, match="is not one that all workers reach"):
        built("rechunk", frames, str(mine))
    close_sessions(str(mine))
    assert list(mine.iterdir()) == []
    mine.rmdir()


def test_a_merge_of_three_hosts_stages_nowhere_unless_told(
    client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    left, right = frames
    plan = safeframe.plan_merge(left, right, on="k")
    assert plan.strategy != "staged"
    with pytest.raises(safeframe.ValidationError, match="the workers are on 3 hosts"):
        safeframe.merge(left, right, on="k", strategy="staged")


def test_a_directory_of_the_workers_that_the_client_does_not_reach_is_not_chosen(
    hosts: HostCluster, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    left, right = frames
    hosts.scale(1)
    with pytest.raises(safeframe.ValidationError, match="whose directories this process does not reach"):
        safeframe.merge(left, right, on="k", strategy="staged")
    shuffled = safeframe.shuffle(left, "k", npartitions=4)
    assert safeframe.explain(shuffled).strategy == "p2p"
    assert sorted(shuffled.compute()["n"]) == list(range(300))


def test_files_are_not_written_to_directories_of_hosts_each_for_itself(
    scratch: Path, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    left, _ = frames
    with pytest.raises(safeframe.StagingError, match="is not one that all workers reach: 3 of 3"):
        safeframe.to_parquet(left, scratch / "out")
    assert set(map(str, client.run(os.listdir, str(scratch)).values())) == {"['dask-scratch-space']"}


def test_files_that_this_process_writes_itself_need_no_worker(
    scratch: Path, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    left, _ = frames
    safeframe.to_parquet(left, scratch / "out", compute_kwargs={"scheduler": "threads"})
    assert len(pd.read_parquet(scratch / "out")) == 300
    shutil.rmtree(scratch / "out")


def test_files_that_are_written_later_are_missed_at_the_end(
    hosts: HostCluster, client: Client, frames: tuple[dd.DataFrame, dd.DataFrame]
) -> None:
    left, _ = frames
    later = safeframe.to_parquet(left, hosts.scratch / "later" / "out", compute=False)
    client.run(os.mkdir, str(hosts.scratch / "later"))
    with pytest.raises(
        safeframe.RowConservationError, match="is not there, but 50 rows were written"
    ) as info:
        later.compute()
    assert "Do all workers reach" in info.value.hint
    # The next write to it, or the next process, removes what such a one has left.
    shutil.rmtree(hosts.scratch / "later")


def test_doctor_says_that_hosts_have_no_directory_in_common(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[Callable[[], Any]] = [safeframe.doctor, lambda: safeframe.doctor(client)]
    for call in calls:
        (found,) = [one for one in call().findings if "staging directory" in one.name]
        assert (found.status, found.found) == ("warning", "none")
    assert list(tmp_path.iterdir()) == []

"""Progress, names of tasks, and the dashboard's page, on a cluster."""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.request

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client, wait
from distributed import LocalCluster as DaskCluster

import safeframe
from safeframe.progress import tasks as followed_tasks
from safeframe.units import format_nbytes


def rows_of(number):
    return pd.DataFrame({"k": range(1000), "v": number})


def page_of(client):
    with urllib.request.urlopen(client.dashboard_link.replace("/status", "/safeframe")) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def client():
    with (
        safeframe.LocalCluster(n_workers=2, memory_limit="1GiB", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def merged(tmp_path):
    left = dd.from_map(rows_of, range(6))
    right = dd.from_map(rows_of, range(2)).rename(columns={"v": "w"})
    return safeframe.merge(left, right, on="k", strategy="staged", staging=str(tmp_path / "staging"))


def test_progress_follows_the_tasks_of_the_cluster(client, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.01)
    asked = []
    seen = followed_tasks.TaskBars.seen
    monkeypatch.setattr(
        followed_tasks.TaskBars, "seen", lambda bars, counts: (asked.append(counts), seen(bars, counts))
    )
    result = merged(tmp_path)
    with dask.config.set({"safeframe.progress": True}):
        safeframe.to_parquet(result, tmp_path / "out")
    lines = capsys.readouterr().err.splitlines()
    assert "merge: stage: 100%, 8,000/8,000 rows" in "\n".join(lines)
    assert lines[-1].startswith("write: 100%, ")
    totals = {
        re.sub("-[0-9a-f]{32}$", "", group): total for counts in asked for group, (_, total) in counts.items()
    }
    assert totals.get("merge-stage") in (2, 6), "the scheduler counts tasks of one side"


def test_the_page_has_the_numbers_of_the_plan_that_runs(client, tmp_path):
    assert "No plan has begun" in page_of(client) or "projected" in page_of(client)
    result = merged(tmp_path)
    plan = safeframe.explain(result)
    result.compute()
    page = page_of(client)
    assert f"<b>{format_nbytes(plan.projected_worker_nbytes)}</b> of 1 GiB" in page
    assert "<b>merge</b> by strategy <b>staged</b>" in page
    workers = re.findall(
        r'<tr><th scope="row">([01])</th><td>([^<]+)</td><td>([^<]+)</td><td>([^<]+)</td><td>\d+%', page
    )
    assert [name for name, *_ in workers] == ["0", "1"]
    assert {projected for _, projected, *_ in workers} == {format_nbytes(plan.projected_worker_nbytes)}
    assert all(now.endswith("MiB") and peak.endswith("MiB") for _, _, now, peak in workers)
    for step in plan.steps:
        assert f"<li>{step.kind}: " in page


def test_a_scheduler_with_the_route_in_its_configuration_has_the_page():
    routes = [*dask.config.get("distributed.scheduler.http.routes"), "safeframe.deploy.dashboard"]
    with (
        dask.config.set({"distributed.scheduler.http.routes": routes}),
        DaskCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert "No plan has begun" in page_of(client)
        safeframe.sort_values(dd.from_map(rows_of, range(2)), "k").compute()
        assert "<b>sort_values</b>" in page_of(client)
        assert "<b>sort_values</b>" in page_of(client), "the second visit finds who watches"


def test_prefixes_begin_with_the_recipe_and_its_step(client, tmp_path):
    with dask.config.set({"safeframe.staging.directory": str(tmp_path / "staging")}):
        merged(tmp_path).assign(x=1).compute()
        safeframe.sort_values(dd.from_map(rows_of, range(4)), "k", strategy="staged").compute()
    prefixes = set(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes)))
    wanted = {
        "count-keys",
        "merge-stage",
        "merge-seal",
        "merge-output-assign",
        "sample-keys",
        "sort-stage",
        "sort-output",
    }
    assert wanted <= prefixes


def watching():
    return [thread for thread in threading.enumerate() if thread.name.startswith("safeframe-progress")]


def watched():
    """Wait until nobody follows anything any more."""
    deadline = time.monotonic() + 30
    while watching() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not watching()


@pytest.mark.parametrize(
    "call",
    [
        lambda frame, path: frame.compute(),
        lambda frame, path: dask.compute(frame, len(frame)),
        lambda frame, path: frame.to_parquet(path),
        lambda frame, path: wait(frame.persist()),
        lambda frame, path: wait(Client.current().compute([frame, frame["k"].sum()])),
        lambda frame, path: wait(dask.persist(frame.assign(x=1))),
    ],
    ids=["compute", "dask.compute", "to_parquet", "persist", "client.compute", "dask.persist"],
)
def test_a_call_of_the_user_s_is_followed_to_its_end(call, client, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.01)
    frame = slowly(merged(tmp_path))
    with dask.config.set({"safeframe.progress": True}):
        kept = call(frame, str(tmp_path / "out"))
        watched()
    lines = capsys.readouterr().err
    assert "merge: output: 100%" in lines
    assert "gather" not in vars(client)
    del kept


def slowly(frame):
    """Let output partitions take long enough to be seen by a scheduler that is asked."""
    return frame.map_partitions(lambda part: (time.sleep(0.1), part)[1], meta=frame._meta)


def test_what_fails_is_not_at_its_end(client, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.01)

    def fails(part):
        msg = "no"
        raise ValueError(msg)

    frame = merged(tmp_path)
    failing = frame.map_partitions(fails, meta=frame._meta)
    with dask.config.set({"safeframe.progress": True}):
        with pytest.raises(ValueError, match="no"):
            failing.compute()
        kept = failing.persist()
        wait(kept)
        watched()
    assert "output: 100%" not in capsys.readouterr().err


def test_optimize_alone_is_not_followed(client, tmp_path, capsys):
    with dask.config.set({"safeframe.progress": True}):
        merged(tmp_path).optimize()
        capsys.readouterr()
        assert not watching()
        assert "gather" not in vars(client)


def seals(dask_scheduler):
    groups = {task.group_key for task in dask_scheduler.tasks.values()}
    return {group for group in groups if group.startswith("merge-seal")}


def start_alone(client, thread):
    """Start a thread that computes a merge, and wait until it has made its graph.

    dask's expressions have cached properties, which lock each other out for ever before Python 3.12, where two threads ask for
    them at once.
    """
    before = client.run_on_scheduler(seals)
    thread.start()
    while sys.version_info < (3, 12) and thread.is_alive() and client.run_on_scheduler(seals) <= before:
        time.sleep(0.01)


def test_several_calls_at_once(client, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("safeframe.options.PROGRESS_POLL_SECONDS", 0.01)
    with dask.config.set({"safeframe.progress": True}):
        sizes = []
        frames = [slowly(merged(tmp_path / str(number))) for number in range(3)]
        threads = [
            threading.Thread(target=lambda frame=frame: sizes.append(len(frame.compute())), daemon=True)
            for frame in frames
        ]
        for thread in threads:
            start_alone(client, thread)
        for thread in threads:
            thread.join(60)
        watched()
    assert sizes == [6 * 2 * 1000] * 3
    assert "gather" not in vars(client)
    assert "merge: " in capsys.readouterr().err

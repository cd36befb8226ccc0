"""Progress, names of tasks, and the dashboard's page, on a cluster."""

from __future__ import annotations

import re
import urllib.request

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client
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

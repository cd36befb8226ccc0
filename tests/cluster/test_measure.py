"""``safeframe.measure`` on worker processes, and without any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dask
import matplotlib as mpl
import numpy as np
import pytest
from distributed import Client, LocalCluster

from safeframe.engine import task as tally
from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Plan, Step
from safeframe.facts.sort import UnsortedRun
from safeframe.report.measure import measure

mpl.use("Agg")
BALLAST_NBYTES = 120 * 2**20
SLACK_NBYTES = 40 * 2**20

PLAN = Plan(
    recipe="merge",
    strategy="staged",
    reasons=(),
    rejected=(),
    steps=(Step(kind="join", tasks=1, task_peak_nbytes=2**29, reason=""),),
    budget=Budget(
        n_workers=2,
        threads_per_worker=1,
        allowed_nbytes=2**30,
        reserved_nbytes=2**28,
        transport_nbytes=0,
        headroom_fraction=0.8,
        measured=True,
    ),
    output_rows=Estimate.computed(5),
    output_nbytes=Estimate.computed(40),
    output_partitions=1,
    partition_nbytes=64,
    largest_partition_nbytes=40,
    row_nbytes=8,
    staging_nbytes=0,
    staging_free_nbytes=None,
    staging_directory=None,
    run=UnsortedRun(),
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _hold(nbytes: int) -> int:
    return int(np.ones(nbytes, dtype="uint8").sum())


def _make_rows(rows: int) -> None:
    tally.count_rows_out(rows)


def test_every_worker_is_watched_and_the_fullest_is_the_peak(client: Client) -> None:
    first, second = sorted(client.scheduler_info(n_workers=-1)["workers"])
    client.run(_hold, 1, workers=[first, second])
    with measure() as idle:
        pass
    with measure() as m:
        client.submit(_hold, BALLAST_NBYTES, workers=[first], pure=False).result()
    assert set(m.peaks) == {first, second} == set(idle.peaks)
    assert m.peak_worker_nbytes == m.peaks[first]
    assert m.peaks[first] >= idle.peaks[first] + BALLAST_NBYTES - SLACK_NBYTES
    assert m.peaks[second] <= idle.peaks[second] + SLACK_NBYTES
    assert all(m.samples[worker] for worker in (first, second))
    assert m.lost_workers == ()
    assert m.projected_worker_nbytes is None
    assert m.utilization_fraction is None


def test_nothing_stays_on_the_workers(client: Client) -> None:
    with measure():
        pass
    assert not any(client.run(_names_of_samplers).values())
    assert not any(
        client.run(lambda dask_worker: [p for p in dask_worker.plugins if "measure" in p]).values()
    )


def _names_of_samplers() -> list[str]:
    import threading

    return [thread.name for thread in threading.enumerate() if thread.name == "safeframe-sampler"]


def test_rows_that_tasks_made_are_added_up(client: Client) -> None:
    client.submit(_make_rows, 1_000, pure=False).result()
    with measure() as m:
        client.gather([client.submit(_make_rows, rows, pure=False) for rows in (3, 5, 7)])
    assert m.rows_out == 15


def test_a_plan_that_starts_in_the_block_is_what_is_compared(client: Client) -> None:
    with measure() as m:
        tally.announce(PLAN)
        tally.announce(PLAN)
    assert m.plans == [PLAN]
    assert m.projected_worker_nbytes == 2**28 + 2**29
    assert m.utilization_fraction == m.peak_worker_nbytes / (2**28 + 2**29)
    tally.announce(replace(PLAN, output_partitions=2))
    assert m.plans == [PLAN]


def test_a_lost_worker_is_said_to_be_lost() -> None:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB"
        ) as cluster,
        Client(cluster) as client,
    ):
        gone = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
        with measure() as m:
            client.retire_workers([gone])
        assert m.lost_workers == (gone,)
        assert gone not in m.peaks
        assert "1 workers" in str(m)


def test_what_fails_in_the_block_is_raised_and_still_measured(client: Client) -> None:
    with pytest.raises(ZeroDivisionError), measure() as m:
        client.submit(lambda: 1 / 0, pure=False).result()
    assert m.peak_worker_nbytes > 0
    assert m.seconds > 0


def test_without_a_client_this_process_is_measured() -> None:
    with dask.config.set(scheduler="synchronous"), measure(PLAN) as m:
        _make_rows(11)
        _hold(BALLAST_NBYTES)
    assert list(m.peaks) == ["this process"]
    assert m.peak_worker_nbytes > BALLAST_NBYTES
    assert m.rows_out == 11
    assert m.plans == [PLAN]


def test_the_text_has_both_numbers() -> None:
    with dask.config.set(scheduler="synchronous"), measure(PLAN) as m:
        pass
    m.peaks = {"w": 384 * 2**20}
    m.seconds = 12.34
    assert str(m).splitlines() == [
        "measured   384 MiB at the peak of the fullest worker",
        "projected  768 MiB (50% of it used)",
        "rows       5 in, 0 out",
        "time       12.3 s",
    ]


def test_the_plot_has_a_line_per_worker_and_the_promise(client: Client) -> None:
    with measure(PLAN) as m:
        pass
    axes = m.plot()
    assert len(axes.get_lines()) == len(m.peaks) + 2
    assert m.plot(ax=axes) is axes
    mpl.pyplot.close("all")


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with dask.config.set(scheduler="synchronous"), measure() as m:
        pass
    with pytest.raises(UnsupportedError, match=r"needs matplotlib.*\n\nHint: Install it"):
        m.plot()

"""What is taken for granted of distributed: the parts of a P2P shuffle, and what servers hold."""

from __future__ import annotations

import inspect
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import dask
import dask.dataframe as dd
import dask.system
import distributed
import pandas as pd
import pytest
from dask.dataframe.api import new_collection
from dask.task_spec import List, Task
from dask.utils import key_split
from distributed.shuffle import ShuffleWorkerPlugin
from distributed.shuffle._core import ShuffleRun
from distributed.shuffle._limiter import ResourceLimiter
from tornado import web

from safeframe._dask import calls, cluster, p2p, steps
from safeframe._dask.expressions import Blockwise

FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "a": [5.0, 6.0, 7.0, 8.0]})


def test_the_barrier_of_a_shuffle_has_a_key_of_its_own_and_carries_what_the_scheduler_asks() -> None:
    spec = p2p.DataFrameShuffleSpec(
        id=p2p.ShuffleId("abc"),
        npartitions=4,
        column="k",
        meta=FRAME.iloc[:0],
        parts_out=4,
        disk=True,
        drop_column=True,
    )
    assert p2p.barrier_key(spec.id) == "shuffle-barrier-abc"
    barrier = p2p.P2PBarrierTask(p2p.barrier_key(spec.id), max, List(3, 5), spec=spec)
    assert barrier() == 5
    assert barrier.spec is spec
    assert barrier.block_fusion
    # Neighbouring partitions are on one worker: what a plan says of disks relies on it.
    assert [spec.pick_worker(number, ["x", "y"]) for number in spec.output_partitions] == ["x", "x", "y", "y"]


def test_p2p_outside_a_worker_says_so() -> None:
    for call in (
        p2p.get_worker_plugin,
        lambda: p2p.p2p_barrier(p2p.ShuffleId("abc"), 1),
        lambda: p2p.shuffle_unpack(p2p.ShuffleId("abc"), 0, 1),
    ):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(RuntimeError, match="transfer phase") as info, p2p.handle_transfer_errors("abc"):
        raise KeyError
    assert isinstance(info.value.__cause__, KeyError)
    with pytest.raises(p2p.P2POutOfDiskError), p2p.handle_transfer_errors("abc"):
        raise p2p.P2POutOfDiskError


def test_a_limiter_compares_with_its_limit_whenever_it_is_read() -> None:
    # safeframe.engine.p2p.settings sets the limit of those that running workers have.
    limiter = ResourceLimiter(100)
    limiter.increase(60)
    assert not limiter.full
    limiter.limit = 50
    assert limiter.full
    assert limiter.available == 0


def test_a_shuffle_reads_the_limits_of_messages_when_it_starts() -> None:
    run = inspect.getsource(ShuffleRun.__init__)
    assert '"distributed.p2p.comm.message-bytes-limit"' in run
    assert '"distributed.p2p.comm.concurrency"' in run
    with dask.config.set({"distributed.p2p.comm.message-bytes-limit": "2 MiB"}):
        p2p.set_message_limits(1000, 3)
        assert p2p.message_limits() == (1000, 3)


class _Plugin(distributed.WorkerPlugin):  # type: ignore[misc]
    name = "plugin"


def test_servers_have_their_limits_in_attributes_that_may_be_set() -> None:
    settings = {
        p2p.COMM_BUFFER: "3 MiB",
        p2p.STORAGE_BUFFER: "5 MiB",
        "distributed.worker.memory.spill": 0.5,
        "distributed.worker.memory.pause": False,
        "distributed.scheduler.worker-saturation": 1.5,
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=1, processes=False, memory_limit="1 GiB", dashboard_address=None, silence_logs=50
        ) as workers,
        distributed.Client(workers) as client,
    ):
        (worker,) = workers.workers.values()
        limiters = p2p.p2p_limiters(worker)
        assert {name: limiter.limit for name, limiter in limiters.items()} == {
            p2p.COMM_BUFFER: 3 * 2**20,
            p2p.STORAGE_BUFFER: 5 * 2**20,
        }
        assert not p2p.p2p_runs(worker)
        assert cluster.memory_limit_nbytes(worker) == 2**30
        fractions = {"distributed.worker.memory.spill": 0.5, "distributed.worker.memory.pause": False}
        assert cluster.memory_fractions(worker) == fractions
        cluster.set_memory_fraction(worker, "distributed.worker.memory.spill", 0.75)
        assert worker.memory_manager.memory_spill_fraction == 0.75
        assert cluster.root_tasks_per_thread(workers.scheduler) == 1.5
        cluster.set_root_tasks_per_thread(workers.scheduler, 1.0)
        assert workers.scheduler.WORKER_SATURATION == 1.0
        client.register_plugin(_Plugin())
        assert "plugin" in worker.plugins
        client.run(cluster.remove_plugin, "plugin")
        assert "plugin" not in worker.plugins


def test_p2p_runs_while_a_worker_reports_shuffles() -> None:
    class Worker:
        plugins = {"shuffle": SimpleNamespace(heartbeat=lambda: {"shuffle": {}})}  # noqa: RUF012

    assert p2p.p2p_runs(Worker())
    assert "heartbeat" in vars(ShuffleWorkerPlugin)
    Worker.plugins.clear()
    assert not p2p.p2p_runs(Worker())
    assert p2p.p2p_limiters(Worker()) == {}


def test_a_compute_uses_a_client_unless_the_configuration_names_another_scheduler() -> None:
    assert cluster.client_of_compute() is None
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, dashboard_address=None, silence_logs=50
        ) as workers,
        distributed.Client(workers) as client,
    ):
        assert cluster.client_of_compute() is client
        assert client.submit(cluster.inside_worker).result()
        assert not cluster.inside_worker()
        with dask.config.set(scheduler="sync"):
            assert cluster.client_of_compute() is None
            assert distributed.default_client() is client
            assert cluster.local_threads() == 1


def test_threads_of_the_local_scheduler_are_those_that_it_starts() -> None:
    assert cluster.local_threads() == dask.system.CPU_COUNT
    with dask.config.set(num_workers=3):
        assert cluster.local_threads() == 3


def test_a_scheduler_counts_tasks_by_the_first_part_of_their_keys_and_serves_pages() -> None:
    class Page(web.RequestHandler):
        def initialize(self, text: str) -> None:
            self.text = text

        def get(self) -> None:
            self.write(self.text)

    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        futures = client.get(
            {("add-1", i): Task(("add-1", i), sum, [i]) for i in range(3)},
            [("add-1", i) for i in range(3)],
            sync=False,
        )
        client.gather(futures)
        scheduler = local.scheduler
        assert cluster.group_counts(["add-1", "other"], dask_scheduler=scheduler) == {"add-1": (3, 3)}
        ((name, limit, nbytes),) = cluster.resident_nbytes_of_workers(scheduler).values()
        assert name == "0"
        assert limit > nbytes > 0
        assert not cluster.has_plugin(scheduler, "mine")
        cluster.serve_page(scheduler, "/mine", Page, {"text": "here"})
        with urllib.request.urlopen(client.dashboard_link.replace("/status", "/mine")) as answer:
            assert answer.read() == b"here"


def test_a_scheduler_counts_the_groups_that_failed() -> None:
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        graph = {("bad-1", 0): Task(("bad-1", 0), int, "x"), ("good-1", 0): Task(("good-1", 0), int, "7")}
        futures = client.get(graph, [*graph], sync=False)
        distributed.wait(futures)
        found = cluster.failed_groups(["bad-1", "good-1", "other"], dask_scheduler=local.scheduler)
        assert found == ["bad-1"]


class _Note:
    """Is told which call a graph is made in; nothing where tasks run."""

    def __init__(self, note: Callable[[calls.DaskCall | None], object] | None = None) -> None:
        self.note = note

    def __dask_tokenize__(self) -> int:
        return id(self.note)

    def __reduce__(self) -> tuple[type[_Note], tuple[()]]:
        return _Note, ()


class _Noted(Blockwise):
    _parameters: ClassVar[list[str]] = ["frame", "told"]
    operation = staticmethod(lambda frame, told: frame)

    @property
    def _meta(self) -> object:
        return self.frame._meta

    def _lower(self) -> None:
        self.operand("told").note(calls.call_in_progress())


def _noted(note: Callable[[calls.DaskCall | None], object]) -> Any:
    return new_collection(_Noted(dd.from_pandas(FRAME, npartitions=2).expr, _Note(note)))


@pytest.mark.parametrize(
    ("compute", "waits"),
    [
        (lambda frame, path: frame.compute(), {True}),
        (lambda frame, path: dask.compute(frame), {True}),
        (lambda frame, path: frame.to_parquet(path), {True}),
        (lambda frame, path: len(frame), {True}),
        (lambda frame, path: dask.persist(frame), {True}),
        (lambda frame, path: frame.persist(), {None, True}),
        (lambda frame, path: frame.optimize(), {None}),
        (lambda frame, path: frame.to_delayed(), {None}),
    ],
)
def test_a_graph_is_made_within_the_call_that_computes(
    compute: Callable[..., object], waits: set[bool | None], tmp_path: Path
) -> None:
    seen: list[calls.DaskCall | None] = []
    frame = _noted(seen.append)
    compute(frame, str(tmp_path))
    assert {None if call is None else call.waits for call in seen} == waits
    assert len({call for call in seen if call is not None}) <= 1, "it is one call all the time"


def test_a_client_waits_for_results_by_gathering_them_and_may_be_waited_with() -> None:
    made, seen = [], []

    def note(call: calls.DaskCall | None) -> None:
        if call is not None and call.waits:
            calls.around_results(client, call, lambda gathering: (made.append(call), gathering())[1])

    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        frame = _noted(note)
        pd.testing.assert_frame_equal(frame.compute(), FRAME)
        assert len(made) == 1
        assert "gather" not in vars(client), "nothing of it stays"
        frame.optimize()
        assert "gather" not in vars(client)
        other = _noted(seen.append)
        futures = [client.compute(other), other.persist()]
        assert {call.waits for call in seen if call is not None} == {False}
        distributed.wait(futures)
        vars(client)["gather"] = mine = lambda *args, **kwargs: distributed.Client.gather(
            client, *args, **kwargs
        )
        frame.compute()
        assert vars(client)["gather"] is mine, "a user's own is left alone"
    assert len(made) == 1


class Doubled(steps.Step, Blockwise):
    _parameters: ClassVar[list[str]] = ["frame"]
    _words = "double-rows"
    operation = staticmethod(lambda frame: frame * 2)

    @property
    def _meta(self) -> object:
        return self.frame._meta


def test_a_node_and_what_it_is_fused_with_are_named_by_their_words() -> None:
    made = dd.from_map(lambda number: pd.DataFrame({"a": [number]}), [1, 2]).expr.lower_completely()
    node = Doubled(made)
    fused = steps.fused_step(node)
    assert isinstance(fused, steps.FusedStep)
    assert {key_split(key) for key in (*node.__dask_keys__(), *fused.__dask_keys__())} == {"double-rows"}
    assert fused._name != node._name


def test_words_of_fused_steps() -> None:
    assert steps.fused_words("merge-output-0123abcd", "assign-4567cdef") == "merge-output-assign"


def test_a_task_knows_its_key() -> None:
    assert cluster.current_task() is None
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        assert client.submit(cluster.current_task, key=("stage-1", 2)).result() == ("stage-1", 2)
        assert client.run(cluster.current_task) == {local.workers[0].address: None}


def test_a_scheduler_knows_who_waits_for_a_result() -> None:
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        event = distributed.Event("go on")
        below = client.submit(int, key="below")
        above = client.submit(lambda _, event: event.wait(), below, event, key="above")
        distributed.wait(below)
        below.release()
        assert client.run_on_scheduler(lambda dask_scheduler: cluster.is_awaited(dask_scheduler, "below"))
        assert not cluster.is_awaited(local.scheduler, "unknown")
        event.set()
        assert above.result()
        assert client.run_on_scheduler(lambda dask_scheduler: cluster.is_awaited(dask_scheduler, "above"))
        # That nobody holds it any more is sent along with other messages, some milliseconds later.
        deadline = time.monotonic() + 10
        while client.run_on_scheduler(lambda dask_scheduler: cluster.is_awaited(dask_scheduler, "below")):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_task_that_is_wanted_no_longer_can_tell() -> None:
    assert cluster.is_wanted()
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        found: list[bool] = []
        begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

        def runs_on() -> None:
            begun.set()
            go_on.wait()
            found.append(cluster.is_wanted())
            done.set()

        worker = local.workers[0]
        worker.runs_on = runs_on  # by the worker, for events cannot be sent
        assert client.submit(lambda: cluster.is_wanted(), pure=False).result()
        future = client.submit(lambda: distributed.get_worker().runs_on(), key="runs on")
        begun.wait()
        del future
        while worker.state.tasks["runs on"].state != "cancelled":
            time.sleep(0.01)
        go_on.set()
        done.wait()
        assert found == [False]

"""A dask cluster whose workers are each on a host of their own.

Scheduler and client are in this process, which is a further host: it shares no directory with the workers'.

Covers: hosts that come and go as the cluster is scaled, which of them did tasks; the object store that all reach.
Does not cover: what a host is (:mod:`tests.hosts.network`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
from distributed import Scheduler, SchedulerPlugin, SpecCluster
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from tests.faults.machine.leftovers import wait_until_gone
from tests.faults.machine.stores import ObjectStore
from tests.hosts.network import ROOT, Host, Network

__all__ = ["HostCluster", "host_cluster"]

_JOIN_SECONDS = 60
_MEMORY = "1GiB"


class HostWorker(ProcessInterface):  # type: ignore[misc]  # distributed is untyped
    """A worker, with its nanny, on a new host."""

    def __init__(self, scheduler: str, name: int, network: Network, scratch: Path, home: bool) -> None:
        super().__init__()
        self.scheduler, self.name, self.network, self.scratch = scheduler, name, network, scratch
        self.at_home = home and name == 0
        self.host: Host | None = None

    async def start(self) -> None:
        """Make the host; the worker joins in its own time."""
        command = [
            sys.executable, "-m", "distributed.cli.dask_worker", self.scheduler, "--name", str(self.name),
            "--host", "{address}", "--nthreads", "1", "--memory-limit", _MEMORY, "--no-dashboard",
            "--local-directory", str(self.scratch), "--death-timeout", str(_JOIN_SECONDS),
        ]  # fmt: skip
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TMPDIR": str(self.scratch)}
        home = str(self.scratch)
        own = _own_directories([self.scratch] if self.at_home else [])
        # Made in milliseconds: the loop can wait for it, and lives as long as the host is to.
        self.host = self.network.host(
            f"host-{self.name}",
            command,
            private=own if self.at_home else [*own, home],
            home=home if self.at_home else "",
            environment=environment,
        )
        await super().start()

    async def close(self) -> None:
        """End the host, all at once."""
        if self.host is not None:
            await asyncio.to_thread(self.host.close)
        await super().close()


class HostWatch(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped
    """Which workers there are, and the tasks that each has ended since they were last cleared."""

    name = "host-watch"

    def __init__(self) -> None:
        self.workers: set[str] = set()
        self.tasks: Counter[str] = Counter()
        self._changed = threading.Condition()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """See :meth:`distributed.SchedulerPlugin.add_worker`."""
        with self._changed:
            self.workers.add(worker)
            self._changed.notify_all()

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.remove_worker`."""
        with self._changed:
            self.workers.discard(worker)
            self._changed.notify_all()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.transition`."""
        if start == "processing" and finish == "memory":
            with self._changed:
                self.tasks[kwargs["worker"]] += 1
                self._changed.notify_all()

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until something is so that tasks and workers decide."""
        with self._changed:
            assert self._changed.wait_for(what, _JOIN_SECONDS)


class HostCluster:
    """Hosts, their scheduler and their store."""

    def __init__(self, scratch: Path, network: Network, store: ObjectStore | None, *, home: bool) -> None:
        self.scratch = scratch
        """A directory that this process and each host have, and that is another one on each."""
        self.network, self._store = network, store
        self.watch = HostWatch()
        options = {"network": network, "scratch": scratch, "home": home}
        scheduler = {
            "cls": Scheduler,
            "options": {"host": network.address, "dashboard": False, "dashboard_address": ":0"},
        }
        self.cluster = SpecCluster(
            workers={}, worker={"cls": HostWorker, "options": options}, scheduler=scheduler, silence_logs=60
        )
        self.cluster.scheduler.add_plugin(self.watch)

    @property
    def store(self) -> ObjectStore:
        """The object store."""
        assert self._store is not None
        return self._store

    @property
    def files(self) -> pafs.S3FileSystem:
        """Arrow's way to it."""
        return pafs.S3FileSystem(endpoint_override=self.store.address, scheme="http", region="us-east-1")

    @property
    def staging(self) -> str:
        """A URL in it to stage in."""
        store = self.store
        return f"s3://{store.bucket}/staging?endpoint_override=http://{store.address}&region=us-east-1"

    def staged(self) -> list[str]:
        """Return the staged files there are."""
        return [key for key in self.store.keys("staging") if key.endswith(".staged")]

    def scale(self, hosts: int) -> None:
        """Let there be as many hosts, all of which take tasks."""
        self.cluster.scale(hosts)
        self.watch.wait_for(lambda: len(self.watch.workers) == hosts)
        # That is a moment after they have joined. Asking distributed's cluster to wait makes it forget, now and then,
        # that a worker has gone.
        assert wait_until_gone(self._idle, _JOIN_SECONDS) == []

    def _idle(self) -> list[str]:
        """Name the workers that take no tasks."""
        known = list(self.cluster.scheduler.workers.values())
        return [worker.address for worker in known if worker.status != Status.running]

    def processes(self) -> set[int]:
        """Return the processes that are meant to be there."""
        return self.network.processes() | ({self._store.process.pid} if self._store else set())


@contextmanager
def host_cluster(*, store: bool = False, home: bool = False) -> Iterator[HostCluster]:
    """Start a cluster without hosts yet, and end all of it.

    Parameters
    ----------
    store
        Whether there is an object store.
    home
        Whether the first host has the same directories as this process.
    """
    before = dict(os.environ)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosts-")))
        network = stack.enter_context(Network())
        shop = None
        if store:
            stack.callback(_restore, before)
            shop = ObjectStore(network.address)
            stack.callback(shop.close)
        made = HostCluster(scratch, network, shop, home=home)
        stack.callback(made.cluster.close)
        yield made


def _restore(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _own_directories(shared: Sequence[Path]) -> list[str]:
    """Return what a host has of its own, besides scratch: where the system keeps what programs make."""
    needed = [Path(sys.prefix).resolve(), ROOT, *shared]
    inside = any(path.is_relative_to("/tmp") for path in needed)
    return [*([] if inside else ["/tmp"]), "/dev/shm"]

"""A process with a scheduler and nannies, which can be killed."""

from __future__ import annotations

import contextlib
from multiprocessing.connection import Connection

from tests.faults.machine.phases import PhaseWatch
from tests.faults.machine.processes import forking
from tests.faults.machine.scene import new_cluster

__all__ = ["serve"]


def serve(connection: Connection) -> None:
    """Start a cluster, send the scheduler's address, and run until the other end is closed."""
    with forking(), new_cluster() as cluster:
        watch = PhaseWatch()
        cluster.sync(watch.start, cluster.scheduler)
        cluster.scheduler.add_plugin(watch)
        connection.send(cluster.scheduler_address)
        with contextlib.suppress(EOFError):
            connection.recv()

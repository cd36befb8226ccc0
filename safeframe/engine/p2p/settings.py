"""Holds running workers to the P2P buffers that a plan reckons with.

Covers: setting the buffers of connected workers, and of those that join later.

Setting the limit of a buffer is safe at any time: what is held already stays held,
and whoever waits goes on once there is room.
"""

from __future__ import annotations

import weakref
from typing import Any

from distributed import WorkerPlugin

from safeframe._dask.p2p import COMM_BUFFER, STORAGE_BUFFER, message_limits, p2p_limiters, set_message_limits
from safeframe.facts.p2p import P2PSettings
from safeframe.sizing.live_workers import register_on_workers

_found: weakref.WeakKeyDictionary[Any, tuple[int, int, int, int]] = weakref.WeakKeyDictionary()


class P2PBuffers(WorkerPlugin):  # type: ignore[misc]  # distributed's plugin base is untyped
    """Sets a worker's P2P buffers; never above what they were when the worker started.

    Parameters
    ----------
    settings
        The buffers.
    """

    name = "safeframe-p2p-buffers"

    def __init__(self, settings: P2PSettings) -> None:
        self.settings = settings

    def setup(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.setup`."""
        limiters = p2p_limiters(worker)
        if not limiters:
            return
        comm, storage = limiters[COMM_BUFFER], limiters[STORAGE_BUFFER]
        if worker not in _found:
            _found[worker] = (comm.limit, storage.limit, *message_limits())
        comm_nbytes, storage_nbytes, message_nbytes, concurrency = _found[worker]
        comm.limit = min(comm_nbytes, self.settings.comm_nbytes)
        storage.limit = min(storage_nbytes, self.settings.storage_nbytes)
        set_message_limits(
            min(message_nbytes, self.settings.message_nbytes), min(concurrency, self.settings.concurrency)
        )


def set_buffers(client: Any, settings: P2PSettings) -> None:
    """Hold all workers of a client, and those that join, to these buffers."""
    register_on_workers(client, P2PBuffers(settings))

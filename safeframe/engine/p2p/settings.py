"""Holds running workers to the P2P buffers that a plan reckons with.

Covers: setting the buffers of connected workers, and of those that join later.

dask reads ``distributed.p2p.comm.buffer`` and ``distributed.p2p.storage.buffer``
when a worker starts, and keeps them as the limits of two limiters; the size and
number of messages it reads when a shuffle starts. A limiter compares with its
limit whenever it is asked, so that setting the limit is safe at any time: what
is held already stays held, and whoever waits goes on once there is room.
"""

from __future__ import annotations

import weakref
from typing import Any

import dask
from dask.utils import parse_bytes
from distributed import WorkerPlugin

from safeframe.facts.p2p import P2PSettings
from safeframe.sizing.live_workers import register_on_workers

__all__ = ["P2PBuffers", "set_buffers"]

_MESSAGE = "distributed.p2p.comm.message-bytes-limit"
_CONCURRENCY = "distributed.p2p.comm.concurrency"

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
        shuffle = worker.plugins.get("shuffle")
        if shuffle is None:
            return
        if shuffle not in _found:
            _found[shuffle] = (
                shuffle.memory_limiter_comms.limit,
                shuffle.memory_limiter_disk.limit,
                parse_bytes(dask.config.get(_MESSAGE)),
                int(dask.config.get(_CONCURRENCY)),
            )
        comm, storage, message, concurrency = _found[shuffle]
        shuffle.memory_limiter_comms.limit = min(comm, self.settings.comm_nbytes)
        shuffle.memory_limiter_disk.limit = min(storage, self.settings.storage_nbytes)
        dask.config.set(
            {
                _MESSAGE: min(message, self.settings.message_nbytes),
                _CONCURRENCY: min(concurrency, self.settings.concurrency),
            }
        )


def set_buffers(client: Any, settings: P2PSettings) -> None:
    """Hold all workers of a client, and those that join, to these buffers."""
    register_on_workers(client, P2PBuffers(settings))

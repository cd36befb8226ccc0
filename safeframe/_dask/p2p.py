"""dask's P2P shuffle: what a graph and its tasks need of it, and what bounds its buffers.

Covers: the names of ``distributed.shuffle``; limits of a worker's buffers, and of messages.
Does not cover: exchanges (``engine.p2p``), which limits are right (``planning.p2p.layout``).

The public way into P2P is ``DataFrame.shuffle``: it hands a whole partition over at
once, whatever its size, and counts no rows. Ours sends the slices itself.
"""

from __future__ import annotations

from typing import Any

import dask
from distributed.shuffle import ShuffleWorkerPlugin
from distributed.shuffle._core import (
    P2PBarrierTask,
    ShuffleId,
    barrier_key,
    get_worker_plugin,
    handle_transfer_errors,
    p2p_barrier,
)
from distributed.shuffle._exceptions import P2POutOfDiskError
from distributed.shuffle._shuffle import DataFrameShuffleSpec, shuffle_unpack

from safeframe.units import parse_nbytes

__all__ = [
    "COMM_BUFFER",
    "STORAGE_BUFFER",
    "DataFrameShuffleSpec",  # what the scheduler has to know of a shuffle: which shard is on which worker
    "P2PBarrierTask",  # carries that; the scheduler knows a shuffle by a task of this class, …
    "P2POutOfDiskError",  # no public error means it
    "ShuffleId",  # … by an identifier of this type, …
    "barrier_key",  # … and by the key that is made of it
    "get_worker_plugin",  # the worker's own end, which takes rows to send; get_worker() has no name for it
    "handle_transfer_errors",  # makes of an error of P2P the one that has a task run again, or fail for its cause
    "message_limits",
    "p2p_barrier",  # tells the scheduler that all has been sent
    "p2p_limiters",
    "p2p_runs",
    "set_message_limits",
    "shuffle_unpack",  # fetches the rows of a shard
]

COMM_BUFFER = "distributed.p2p.comm.buffer"
"""dask's setting of the bytes that wait to be sent."""
STORAGE_BUFFER = "distributed.p2p.storage.buffer"
"""dask's setting of the bytes that wait to be written."""

_MESSAGE = "distributed.p2p.comm.message-bytes-limit"
_CONCURRENCY = "distributed.p2p.comm.concurrency"


def p2p_limiters(worker: Any) -> dict[str, Any]:
    """Return what bounds a worker's P2P buffers, each with a ``limit``, by setting; empty without P2P.

    The settings are read when a worker starts, so that a running one has them here only.
    A limiter compares with its limit at each request: it may be set at any time.
    """
    plugin = _plugin(worker)
    if plugin is None:
        return {}
    return {COMM_BUFFER: plugin.memory_limiter_comms, STORAGE_BUFFER: plugin.memory_limiter_disk}


def p2p_runs(worker: Any) -> bool:
    """Whether a P2P shuffle is under way on a worker; no public call tells."""
    plugin = _plugin(worker)
    return plugin is not None and bool(plugin.heartbeat())


def _plugin(worker: Any) -> ShuffleWorkerPlugin | None:
    return worker.plugins.get("shuffle")


def message_limits() -> tuple[int, int]:
    """Return the bytes of a message, and how many are sent at a time; read when a shuffle starts."""
    return parse_nbytes(dask.config.get(_MESSAGE), argument=_MESSAGE, least=0), int(
        dask.config.get(_CONCURRENCY)
    )


def set_message_limits(nbytes: int, concurrency: int) -> None:
    """Set them in this process."""
    dask.config.set({_MESSAGE: nbytes, _CONCURRENCY: concurrency})

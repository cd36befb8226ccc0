"""What is known of a cluster's P2P: its buffers, its disks, and what a shuffle would send through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Width
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import ShuffleKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PSettings:
    """How a worker buffers and sends rows: everything that bounds the memory of P2P."""

    comm_nbytes: int
    """Bytes that wait to be sent before a sending task has to wait (``distributed.p2p.comm.buffer``)."""
    storage_nbytes: int
    """Bytes that wait to be written before a receiver has to (``distributed.p2p.storage.buffer``)."""
    message_nbytes: int
    """Bytes from which a message is full (``distributed.p2p.comm.message-bytes-limit``)."""
    concurrency: int
    """Messages that a worker sends at the same time (``distributed.p2p.comm.concurrency``)."""
    slice_nbytes: int
    """Bytes of rows that a task hands to P2P at a time, since P2P's limits are soft by one hand-over."""


def small_buffer_nbytes(limit_nbytes: int, most_nbytes: int) -> int:
    """Return the bytes of one of P2P's buffers on a worker with that memory limit.

    Examples
    --------
    >>> small_buffer_nbytes(2**30, 2**30) // 2**20
    32
    """
    share = int(limit_nbytes * options.P2P_BUFFER_FRACTION)
    return min(max(share, options.P2P_MIN_BUFFER_NBYTES), most_nbytes)


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PDisk:
    """One file system that workers write shuffled rows to."""

    host: str
    """The host that it is mounted on."""
    directory: str
    """The local directory of one of these workers."""
    workers: int
    """Workers that share it."""
    free_nbytes: int
    in_memory: bool
    """Whether it is made of memory (tmpfs): what is written there is memory that is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PFacts:
    """Everything that decides whether, and how, a frame can go through P2P."""

    budget: Budget
    """What one worker may use; ``transport_nbytes`` is for the plan to fill in."""
    live: P2PSettings | None
    """The largest buffers of any connected worker, as they are; None when P2P cannot run."""
    disks: tuple[P2PDisk, ...]
    """The file systems of the workers' local directories."""
    unavailable: str
    """Why P2P cannot run at all; empty when it can."""
    profile: FrameProfile
    """Rows and bytes of the frame."""
    partition_rows: tuple[int, ...]
    """Rows of each input partition."""
    index_row_nbytes: float
    """Bytes per row of the index, which P2P always sends."""
    piece_header_nbytes: int
    """Bytes that P2P writes besides rows for each piece: a schema and its padding."""
    keys: ShuffleKeys | None = None
    """Rows per key; None where shards are numbered already."""

    @property
    def output_width(self) -> Width:
        """Bytes of a row of a shuffle's result, and how well they are known."""
        return self.profile.width + Width.fixed(self.index_row_nbytes)

    @property
    def row_nbytes(self) -> float:
        """Bytes that P2P moves for a row: its columns, the index, and its shard's number."""
        return self.profile.row_nbytes + self.index_row_nbytes + np.dtype(np.int64).itemsize

"""The cluster that plans are being made for, where it is not the connected one.

Covers: which cluster that is, the budget of its workers, the room where they stage, P2P's buffers and disks there.
Does not cover: the connected workers (``cluster``), which gather the statistics all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from safeframe import config, options
from safeframe.errors import SchemaMismatchError
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.p2p import P2PDisk, P2PSettings, small_buffer_nbytes

_LOCAL_DIRECTORY = "the workers' local directory"
_planned: ContextVar[ClusterSpec | None] = ContextVar("safeframe-planned-cluster", default=None)


@contextmanager
def planned_for(cluster: ClusterSpec | None) -> Iterator[None]:
    """Make all plans within the block for a cluster; None leaves them to the connected one.

    Raises
    ------
    SchemaMismatchError
        When ``cluster`` is something else.
    """
    given: object = cluster
    if given is not None and not isinstance(given, ClusterSpec):
        msg = f"cluster= is a {type(given).__name__}; a safeframe.ClusterSpec is expected."
        hint = "Pass safeframe.ClusterSpec(n_workers=4, threads=1, memory='4GiB'), or leave it out for the connected cluster."
        raise SchemaMismatchError(msg, hint=hint)
    token = _planned.set(cluster)
    try:
        yield
    finally:
        _planned.reset(token)


def planned_cluster() -> ClusterSpec | None:
    """Return the cluster that plans are being made for; None for the connected one."""
    return _planned.get()


def spec_budget(cluster: ClusterSpec, memory_nbytes: int | None) -> Budget:
    """Return the budget of one of its workers, held to ``memory_nbytes`` where that is given."""
    return Budget(
        n_workers=cluster.n_workers,
        threads_per_worker=cluster.threads,
        allowed_nbytes=memory_nbytes or cluster.memory_nbytes,
        reserved_nbytes=options.RESERVED_DEFAULT_NBYTES + options.RESERVED_GROWTH_NBYTES,
        transport_nbytes=0,
        headroom_fraction=config.headroom(),
        measured=False,
    )


def spec_staging(cluster: ClusterSpec, directory: str | None) -> StagingFacts:
    """Return where its workers stage: in ``directory`` where one is named, else in what those of one host share."""
    if directory is None and cluster.hosts > 1:
        why = f"the workers are on {cluster.hosts} hosts, and staging= names no directory that all of them can reach"
        return StagingFacts(directory=None, free_nbytes=None, unavailable=why)
    return StagingFacts(
        directory=directory or _LOCAL_DIRECTORY, free_nbytes=cluster.disk_nbytes, unavailable=""
    )


def spec_p2p(cluster: ClusterSpec) -> tuple[P2PSettings | None, tuple[P2PDisk, ...], str]:
    """Return P2P's buffers on its workers as ``safeframe.LocalCluster`` sets them, their disks, and why P2P cannot run."""
    if cluster.disk_nbytes is None:
        return None, (), "P2P writes all rows to the workers' disks, and ClusterSpec has no disk="
    settings = P2PSettings(
        comm_nbytes=small_buffer_nbytes(cluster.memory_nbytes, options.P2P_COMM_DEFAULT_NBYTES),
        storage_nbytes=small_buffer_nbytes(cluster.memory_nbytes, options.P2P_STORAGE_DEFAULT_NBYTES),
        message_nbytes=options.P2P_MAX_MESSAGE_NBYTES,
        concurrency=options.P2P_CONCURRENCY,
        slice_nbytes=options.P2P_HAND_OVER_NBYTES,
    )
    more = cluster.n_workers % cluster.hosts or cluster.hosts
    disks = tuple(
        P2PDisk(
            host=f"host {number + 1} of {cluster.hosts}",
            directory=_LOCAL_DIRECTORY,
            workers=cluster.workers_per_host - (number >= more),
            free_nbytes=cluster.disk_nbytes,
            in_memory=False,
        )
        for number in range(cluster.hosts)
    )
    return settings, disks, ""

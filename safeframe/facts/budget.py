"""The memory that one worker may use, and what is left of it for a task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The memory of the smallest worker, divided up.

    Examples
    --------
    >>> budget = Budget(
    ...     n_workers=4,
    ...     threads_per_worker=1,
    ...     allowed_nbytes=1000,
    ...     reserved_nbytes=300,
    ...     transport_nbytes=0,
    ...     headroom_fraction=0.8,
    ...     measured=True,
    ... )
    >>> budget.task_nbytes
    500
    """

    n_workers: int
    """Number of workers; 1 without a cluster."""
    threads_per_worker: int
    """Tasks that one worker runs at the same time."""
    allowed_nbytes: int
    """Bytes one worker may use: its memory limit."""
    reserved_nbytes: int
    """Bytes a worker uses before any data: interpreter and libraries."""
    transport_nbytes: int
    """Bytes a worker keeps for moving rows, besides its tasks."""
    headroom_fraction: float
    """The share of ``allowed_nbytes`` that plans use; the rest is a reserve for what no formula covers."""
    measured: bool
    """Whether ``reserved_nbytes`` was measured on the running workers."""

    @property
    def usable_nbytes(self) -> int:
        """Bytes of a worker that a plan may use."""
        return int(self.allowed_nbytes * self.headroom_fraction)

    @property
    def task_nbytes(self) -> int:
        """Bytes that one task may use at its peak; not positive when nothing is left."""
        free = self.usable_nbytes - self.reserved_nbytes - self.transport_nbytes
        return free // self.threads_per_worker

    def projected_worker_nbytes(self, task_peak_nbytes: int) -> int:
        """Upper bound of a worker's memory when each thread runs a task of that peak."""
        return self.reserved_nbytes + self.transport_nbytes + self.threads_per_worker * task_peak_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingFacts:
    """Where an exchange may stage its rows."""

    directory: str | None
    """A directory or URL that all workers can reach; None when there is none."""
    free_nbytes: int | None
    """Free bytes there; None when unknown, as for an object store."""
    unavailable: str
    """Why there is none; empty when there is one."""

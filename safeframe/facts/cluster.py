"""A cluster that is not there: how many workers, and what each of them would have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from safeframe.errors import ValidationError
from safeframe.units import format_nbytes, parse_nbytes


@dataclass(frozen=True, slots=True, init=False, repr=False)
class ClusterSpec:
    """The shape of a cluster to plan for, whether or not it exists.

    Pass it as ``cluster=`` to a ``plan_…`` function: memory, threads and disk are then those of this cluster, and
    the connected workers, or the threads of this process, only gather the statistics.

    Parameters
    ----------
    n_workers
        Number of workers.
    threads
        Tasks that one worker runs at the same time.
    memory
        Memory limit of one worker, as ``"1GiB"`` or in bytes.
    disk
        Free disk of one host, or, with ``staging=``, free space there, as ``"100GiB"`` or in bytes. None if it is not
        known: plans then say what they stage and not whether it fits, and P2P, which always writes, is refused.
    hosts
        Machines that the workers are spread over evenly. Workers of one host stage in their common local directory;
        those of several need ``staging=``, or send rows through P2P.

    Raises
    ------
    ValidationError
        When a number is not positive, a size cannot be read, or there are more hosts than workers.

    Notes
    -----
    **Memory.** A worker that does not exist cannot be asked what it uses before any data. Plans reserve a default
    (``plan.budget.reserved_nbytes``, with ``plan.budget.measured`` False).

    Examples
    --------
    >>> cluster = ClusterSpec(n_workers=8, threads=2, memory="4GiB", disk="100GiB")
    >>> cluster.memory_nbytes, cluster == ClusterSpec(n_workers=8, threads=2, memory=4 * 2**30, disk="100GiB")
    (4294967296, True)
    >>> cluster
    ClusterSpec(n_workers=8, threads=2, memory='4 GiB', disk='100 GiB')
    """

    n_workers: int
    """Number of workers."""
    threads: int
    """Tasks that one worker runs at the same time."""
    memory_nbytes: int
    """Memory limit of one worker in bytes."""
    disk_nbytes: int | None
    """Free bytes on the disk of one host; None if not known."""
    hosts: int = field(default=1)
    """Machines that the workers are spread over."""

    def __init__(
        self,
        *,
        n_workers: int,
        threads: int = 1,
        memory: str | int,
        disk: str | int | None = None,
        hosts: int = 1,
    ) -> None:
        checked = {
            "n_workers": _positive(n_workers, "n_workers"),
            "threads": _positive(threads, "threads"),
            "memory_nbytes": parse_nbytes(memory, argument="memory"),
            "disk_nbytes": None if disk is None else parse_nbytes(disk, argument="disk", least=0),
            "hosts": _positive(hosts, "hosts"),
        }
        if hosts > n_workers:
            msg = f"hosts={hosts} is more than n_workers={n_workers}."
            raise ValidationError(msg, hint="Give each host at least one worker, or leave hosts= out.")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        disk = None if self.disk_nbytes is None else format_nbytes(self.disk_nbytes)
        hosts = "" if self.hosts == 1 else f", hosts={self.hosts}"
        return (
            f"ClusterSpec(n_workers={self.n_workers}, threads={self.threads}, "
            f"memory={format_nbytes(self.memory_nbytes)!r}, disk={disk!r}{hosts})"
        )

    @property
    def workers_per_host(self) -> int:
        """The most workers that share one host."""
        return -(-self.n_workers // self.hosts)


def _positive(value: Any, argument: str) -> int:
    # numpy's integers have __index__, too; True has it, and is no number of workers.
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        msg = f"{argument}={value!r} is not a number of at least 1."
        raise ValidationError(msg, hint=f"Pass an int, as in {argument}=4.")
    return int(value)

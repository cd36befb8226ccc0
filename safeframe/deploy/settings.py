"""Every setting that small workers need, with its reason; a worker's memory is the input.

Covers: the values, how a value that is there is judged, and which values are
the user's own and therefore stay.
Does not cover: putting them in force (``nanny`` for workers that start,
``tune`` for those that run), nor the measurements behind them (decision 0008).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dask.config

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.p2p import small_buffer_nbytes
from safeframe.units import format_nbytes, nbytes_unit, parse_nbytes

Where = Literal["environment", "worker", "scheduler", "client"]
"""Who reads a setting: a worker's process when it starts, a worker, the scheduler, or the
process that builds the graphs."""

_PRE_SPAWN = "distributed.nanny.pre-spawn-environ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting, the value it should have, and why.

    Examples
    --------
    >>> buffer = Setting(name="b", where="worker", value=2**20, rule="at most", nbytes=True, reason="...")
    >>> buffer.is_met_by("1 MiB"), buffer.is_met_by("1 GiB"), buffer.text("1 GiB")
    (True, False, '1 GiB')
    """

    name: str
    """Name of the environment variable, or of the dask setting."""
    where: Where
    """Who reads it."""
    value: int | float | str
    """The value wanted; a size is in bytes."""
    reason: str
    """Why, in a clause."""
    rule: Literal["equal", "at most", "at least"] = "equal"
    """How a value that is there has to compare with the one wanted."""
    nbytes: bool = False
    """Whether it is a size."""
    live: bool = True
    """Whether it can be changed while who reads it runs."""

    def is_met_by(self, current: object) -> bool:
        """Whether a value does what the one wanted is for."""
        if current is None or current == "":
            return False
        if self.rule == "equal":
            return str(current) == str(self.value)
        if current is False:
            # dask's way of switching a threshold off, which is to say: never.
            return self.rule == "at least"
        try:
            number = parse_nbytes(current, least=0) if self.nbytes else float(str(current))
        except ValueError:
            return False
        wanted = float(self.value)
        return bool(number <= wanted if self.rule == "at most" else number >= wanted)

    def text(self, value: object) -> str:
        """Print a value of this setting."""
        if value is None:
            return "not set"
        if self.nbytes:
            try:
                return format_nbytes(parse_nbytes(value, least=0))
            except ValidationError:
                return str(value)
        return str(value)

    @property
    def written(self) -> int | float | str:
        """The value wanted as one writes it: sizes with a unit where dask reads them, not where a C library does.

        Examples
        --------
        >>> chunks = Setting(
        ...     name="c", where="client", value=53687091, rule="at most", nbytes=True, reason="..."
        ... )
        >>> chunks.written
        '51 MiB'
        """
        if not self.nbytes or self.where == "environment" or self.rule != "at most":
            return self.value
        # Rounded down, which is at most that, too.
        unit, size = nbytes_unit(float(self.value))
        return f"{int(self.value) // size} {unit}"


def small_worker_settings(limit_nbytes: int) -> tuple[Setting, ...]:
    """Return the settings of a worker that may use so many bytes.

    Parameters
    ----------
    limit_nbytes
        The worker's memory limit in bytes.

    Examples
    --------
    >>> wanted = {setting.name: setting for setting in small_worker_settings(2**30)}
    >>> wanted["distributed.p2p.comm.buffer"].value // 2**20
    32
    """
    return (*_environment(limit_nbytes), *_of_workers(limit_nbytes), *_of_others(limit_nbytes))


def _environment(limit_nbytes: int) -> tuple[Setting, ...]:
    trim = min(options.TRIM_THRESHOLD_NBYTES, int(limit_nbytes * options.TRIM_FRACTION))
    one_thread = (
        "a worker's cores are counted in its threads, and each further thread holds memory of its own"
    )
    return (
        Setting(
            name="MALLOC_ARENA_MAX",
            where="environment",
            value=1,
            rule="at most",
            live=False,
            reason="what one thread has freed serves the next one; each further arena keeps pages of its own",
        ),
        Setting(
            name="MALLOC_MMAP_THRESHOLD_",
            where="environment",
            value=options.MMAP_THRESHOLD_NBYTES,
            rule="at least",
            nbytes=True,
            reason="blocks below it are used again instead of being faulted in page by page for each task",
        ),
        Setting(
            name="MALLOC_TRIM_THRESHOLD_",
            where="environment",
            value=trim,
            rule="at least",
            nbytes=True,
            reason="dask's 64 KiB return pages that the next task needs again",
        ),
        Setting(
            name="ARROW_DEFAULT_MEMORY_POOL",
            where="environment",
            value="system",
            reason="one allocator for all: Arrow's own would keep a second store of freed pages",
        ),
        Setting(
            name="ARROW_IO_THREADS",
            where="environment",
            value=options.ARROW_IO_THREADS,
            rule="at most",
            reason="Arrow starts eight in each worker, and each holds what it has read ahead",
        ),
        *(
            Setting(name=name, where="environment", value=1, rule="at most", live=False, reason=one_thread)
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        ),
    )


def _of_workers(limit_nbytes: int) -> tuple[Setting, ...]:
    return (
        Setting(
            name="distributed.p2p.comm.buffer",
            where="worker",
            value=small_buffer_nbytes(limit_nbytes, options.P2P_COMM_DEFAULT_NBYTES),
            rule="at most",
            nbytes=True,
            reason="rows of a P2P shuffle that wait to be sent, next to the tasks; dask allows 1 GiB",
        ),
        Setting(
            name="distributed.p2p.storage.buffer",
            where="worker",
            value=small_buffer_nbytes(limit_nbytes, options.P2P_STORAGE_DEFAULT_NBYTES),
            rule="at most",
            nbytes=True,
            reason="rows of a P2P shuffle that wait to be written; dask allows 100 MiB",
        ),
        Setting(
            name="distributed.p2p.comm.concurrency",
            where="worker",
            value=options.P2P_CONCURRENCY,
            rule="at most",
            reason="messages of a P2P shuffle in flight at a time, each in memory at both ends; dask sends ten",
        ),
        Setting(
            name="distributed.worker.memory.spill",
            where="worker",
            value=options.HEADROOM_FRACTION,
            rule="at least",
            reason="plans use up to this share, and retained pages cannot be spilled",
        ),
        Setting(
            name="distributed.worker.memory.pause",
            where="worker",
            value=options.PAUSE_FRACTION,
            rule="at least",
            reason="a worker that a plan fills to 0.8 of its limit, and that retains its pages, would stay paused",
        ),
    )


def _of_others(limit_nbytes: int) -> tuple[Setting, ...]:
    piece = int(limit_nbytes * options.PIECE_FRACTION)
    return (
        Setting(
            name="distributed.scheduler.worker-saturation",
            where="scheduler",
            value=1.0,
            rule="at most",
            reason="no task that reads input is sent before the worker has a thread for it",
        ),
        Setting(
            name="array.chunk-size",
            where="client",
            live=False,
            value=min(piece, options.ARRAY_CHUNK_DEFAULT_NBYTES),
            rule="at most",
            nbytes=True,
            reason="dask merges an array's chunks up to this size before it moves them",
        ),
        Setting(
            name="dataframe.parquet.minimum-partition-size",
            where="client",
            live=False,
            value=min(piece, options.PARQUET_PARTITION_DEFAULT_NBYTES),
            rule="at most",
            nbytes=True,
            reason="dask reads smaller parquet partitions several at a time, as one",
        ),
    )


def configured(name: str, config: Mapping[str, Any] | None = None) -> Any:
    """Return the value of a dask setting in this process; None when there is none."""
    return dask.config.get(name, default=None, config=dask.config.config if config is None else config)


def is_users_own(setting: Setting) -> bool:
    """Whether this process has another value than the one wanted, and somebody has set it on purpose."""
    if setting.where == "environment":
        current = os.environ.get(setting.name)
        # The value comes from a worker, whose process dask's nanny started with values of dask's own.
        own = current is not None and current != _left_by_dask(setting.name)
        return own and not setting.is_met_by(current)
    return config_is_users(setting.name) and not setting.is_met_by(configured(setting.name))


def config_is_users(name: str) -> bool:
    """Whether a dask setting of this process is the user's own, not a library's default.

    A value that the user has set to what the default is counts when it stands
    in a file or in the environment, and cannot be distinguished otherwise.
    """
    current = configured(name)
    default = configured(name, _defaults(len(dask.config.defaults)))
    return bool(current != default) or configured(name, _from_files_and_environment()) is not None


def environment_is_users(name: str, value: str | None) -> bool:
    """Whether a variable of this process is the user's own, not left by one of dask's nannies.

    Parameters
    ----------
    name
        The variable.
    value
        What it is in this process; None when it is not set.
    """
    if value is None:
        return False
    return value != _left_by_dask(name) or _started_with().get(name) == value


def _left_by_dask(name: str) -> str | None:
    """Return what dask's nannies write into the process that starts workers, and into theirs."""
    value = configured(f"{_PRE_SPAWN}.{name}", _defaults(len(dask.config.defaults)))
    return None if value is None else str(value)


@functools.lru_cache(maxsize=4)
def _defaults(_count: int) -> Mapping[str, Any]:
    """Join the defaults of all libraries; more of them may come with an import, hence the count."""
    joined: dict[str, Any] = dask.config.merge(*dask.config.defaults)
    return joined


def _from_files_and_environment() -> Mapping[str, Any]:
    collected: dict[str, Any] = dask.config.collect()
    return collected


@functools.cache
def _started_with() -> Mapping[str, str]:
    """Read the environment that this process was started with; empty where the system does not tell."""
    try:
        text = Path("/proc/self/environ").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return dict(os.environ)
    pairs = (entry.partition("=") for entry in text.split("\0") if entry)
    return {name: value for name, _, value in pairs}

"""``safeframe.measure``: the memory that a run really used, next to what its plan projected.

Covers: resident memory of every worker of the current client, or of this process
without one; rows in and out; seconds.
Does not cover: memory outside the workers (client, scheduler, page cache).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from distributed import WorkerPlugin

from safeframe.engine import task as tally
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.facts.plan.plot import pyplot
from safeframe.facts.plan.text import plural
from safeframe.report.html import measurement_html
from safeframe.report.sampler import Sampler
from safeframe.sizing.cluster import current_client
from safeframe.sizing.live_workers import ask_workers, register_on_workers, unregister_on_workers
from safeframe.units import format_count, format_nbytes, format_seconds

_THIS_PROCESS = "this process"


@dataclass(kw_only=True)
class Measurement:
    """Memory, rows and time of a ``with`` block; filled when the block ends."""

    plans: list[Plan] = field(default_factory=list)
    """Plans that ran in the block, or the one that was passed to :func:`measure`."""
    peaks: dict[str, int] = field(default_factory=dict)
    """Highest resident memory of each worker in bytes, by its address."""
    samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Per worker: seconds since the block began, and resident bytes."""
    lost_workers: tuple[str, ...] = ()
    """Workers that left while the block ran; the memory that they used is not known."""
    rows_out: int = 0
    """Rows of the output partitions that were computed; a task that ran twice counts twice."""
    seconds: float = 0.0
    """Duration of the block in seconds."""

    @property
    def peak_worker_nbytes(self) -> int:
        """Highest resident memory of any worker, in bytes."""
        return max(self.peaks.values(), default=0)

    @property
    def projected_worker_nbytes(self) -> int | None:
        """Highest projected peak of one worker among the plans that ran, in bytes; None when no recipe ran."""
        return max((plan.projected_worker_nbytes for plan in self.plans), default=None)

    @property
    def allowed_worker_nbytes(self) -> int | None:
        """Memory that one worker was allowed by the plans that ran, in bytes; None when no recipe ran."""
        return min((plan.budget.allowed_nbytes for plan in self.plans), default=None)

    @property
    def utilization_fraction(self) -> float | None:
        """Measured peak divided by projected peak: at most 1 if the plan held."""
        projected = self.projected_worker_nbytes
        return None if not projected else self.peak_worker_nbytes / projected

    @property
    def rows_in(self) -> int:
        """Rows of the inputs of the recipes that ran, as their plans counted them."""
        return sum(plan.input_rows for plan in self.plans)

    def __str__(self) -> str:
        lines = [f"measured   {format_nbytes(self.peak_worker_nbytes)} at the peak of the fullest worker"]
        if self.projected_worker_nbytes is not None:
            lines.append(
                f"projected  {format_nbytes(self.projected_worker_nbytes)} ({self.utilization_fraction:.0%} of it used)"
            )
        if self.plans:
            lines.append(f"rows       {format_count(self.rows_in)} in, {format_count(self.rows_out)} out")
        lines.append(f"time       {format_seconds(self.seconds)}")
        if self.lost_workers:
            lines.append(f"lost       {len(self.lost_workers)} workers; the memory they used is not known")
        return "\n".join(lines)

    def __repr__(self) -> str:
        projected = self.projected_worker_nbytes
        of = "" if projected is None else f" of {format_nbytes(projected)} projected"
        return (
            f"<Measurement: peak {format_nbytes(self.peak_worker_nbytes)}{of} in {plural(len(self.peaks), 'worker')}, "
            f"{format_seconds(self.seconds)}>"
        )

    def _repr_html_(self) -> str:
        return measurement_html(self)

    def plot(self, ax: Any = None) -> Any:
        """Plot the memory of every worker over time, with the projected peak and a worker's limit.

        Parameters
        ----------
        ax
            The matplotlib axes to draw on; None for new axes.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.

        Raises
        ------
        UnsupportedError
            When matplotlib is not installed.
        """
        axes = pyplot().subplots(figsize=(8, 4), layout="constrained")[1] if ax is None else ax
        for worker, samples in self.samples.items():
            axes.plot([at for at, _ in samples], [nbytes / 2**20 for _, nbytes in samples], label=worker)
        if self.projected_worker_nbytes is not None:
            axes.axhline(
                self.projected_worker_nbytes / 2**20,
                color="black",
                linestyle=":",
                label=f"projected, {format_nbytes(self.projected_worker_nbytes)}",
            )
        if self.allowed_worker_nbytes is not None:
            axes.axhline(
                self.allowed_worker_nbytes / 2**20,
                color="black",
                linestyle="--",
                label=f"limit, {format_nbytes(self.allowed_worker_nbytes)}",
            )
        axes.set_xlabel("seconds")
        axes.set_ylabel("resident memory of a worker (MiB)")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="small")
        return axes


@contextmanager
def measure(plan: Plan | None = None) -> Iterator[Measurement]:
    """Measure the memory of the workers while a ``with`` block runs.

    Parameters
    ----------
    plan
        The plan to compare with; None for the plans of the recipes that are
        computed in the block.

    Yields
    ------
    Measurement
        Filled when the block ends.

    Raises
    ------
    UnsupportedError
        When the current client is asynchronous.
    ValidationError
        When ``plan`` is not a plan.

    Notes
    -----
    A thread in every worker reads the worker's resident memory twenty times a
    second; the peak is the kernel's own high-water mark where there is one
    (Linux). At most 4096 samples per worker are kept. Without a client, this
    process is measured.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> left = dd.from_pandas(pd.DataFrame({"k": [1, 2, 2]}), npartitions=2)
    >>> with measure() as m:
    ...     rows = len(left.compute())
    >>> m.peak_worker_nbytes > 0, m.seconds > 0, m.projected_worker_nbytes
    (True, True, None)
    """
    _check_plan(plan)
    measured = Measurement()
    client = current_client()
    if client is not None and client.asynchronous:
        msg = "safeframe.measure does not work with an asynchronous client."
        raise UnsupportedError(msg, hint="Use a synchronous Client, or distributed's MemorySampler.")
    started_at = time.time()
    watch = _watch_self() if client is None else _watch_workers(client)
    with watch as collect, tally.listening(lambda started: _add(measured.plans, started)):
        begin = time.perf_counter()
        try:
            yield measured
        finally:
            measured.seconds = time.perf_counter() - begin
            seen, before = collect()
            measured.peaks = {worker: found.peak_nbytes for worker, found in seen.items()}
            measured.samples = {
                worker: [(max(0.0, at - started_at), nbytes) for at, nbytes in found.samples]
                for worker, found in seen.items()
            }
            measured.rows_out = sum(found.rows_out for found in seen.values())
            measured.lost_workers = tuple(sorted(before - seen.keys()))
            if plan is not None:
                measured.plans = [plan]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What one process measured of itself."""

    peak_nbytes: int
    samples: list[tuple[float, int]]
    rows_out: int


def _add(plans: list[Plan], plan: Plan) -> None:
    if not any(known is plan or (known.run is plan.run and known.steps == plan.steps) for known in plans):
        plans.append(plan)


class _Watch:
    """A sampler, and the count of rows when it began."""

    def __init__(self) -> None:
        self.sampler = Sampler()
        self.rows_before = tally.rows_out()
        self.sampler.start()

    def seen(self) -> _Seen:
        self.sampler.stop()
        return _Seen(
            peak_nbytes=self.sampler.peak_nbytes,
            samples=self.sampler.samples,
            rows_out=tally.rows_out() - self.rows_before,
        )


@contextmanager
def _watch_self() -> Iterator[Any]:
    watch = _Watch()
    try:
        yield lambda: ({_THIS_PROCESS: watch.seen()}, {_THIS_PROCESS})
    finally:
        watch.sampler.stop()


@contextmanager
def _watch_workers(client: Any) -> Iterator[Any]:
    name = f"safeframe-measure-{uuid.uuid4().hex[:8]}"
    register_on_workers(client, _WatchPlugin(name))
    before = set(ask_workers(client, _is_watched, name))
    try:
        yield lambda: (_found(ask_workers(client, _collect, name)), before)
    finally:
        unregister_on_workers(client, name)


def _found(answers: Mapping[str, _Seen | None]) -> dict[str, _Seen]:
    return {worker: seen for worker, seen in answers.items() if seen is not None}


_watches: dict[tuple[str, str], _Watch] = {}
"""Watches of this process, by measurement and worker: a process may hold several workers."""
_watches_lock = threading.Lock()


class _WatchPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed's plugin base is untyped
    """Sample a worker from when the plugin is registered, or when the worker joins."""

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.setup`."""
        with _watches_lock:
            _watches[self.name, worker.address] = _Watch()

    def teardown(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.teardown`."""
        with _watches_lock:
            watch = _watches.pop((self.name, worker.address), None)
        if watch is not None:
            watch.sampler.stop()


def _is_watched(name: str, dask_worker: Any) -> bool:
    return (name, dask_worker.address) in _watches


def _collect(name: str, dask_worker: Any) -> _Seen | None:
    watch = _watches.get((name, dask_worker.address))
    return None if watch is None else watch.seen()


def _check_plan(plan: Any) -> None:
    if plan is not None and not isinstance(plan, Plan):
        msg = f"plan={plan!r} is not a plan."
        hint = "Pass what safeframe.explain or a plan_… function returns, or leave it out."
        raise ValidationError(msg, hint=hint)

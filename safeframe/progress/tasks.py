"""Counts tasks as they are done, wherever they run.

Covers: dask's local schedulers, which call back for each task; a cluster's scheduler, which is asked for the
counts that it keeps anyway.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dask
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from safeframe import options
from safeframe._dask.cluster import client_of_compute, group_counts
from safeframe.progress.bar import Bar
from safeframe.progress.board import progress

logger = logging.getLogger(__name__)


class TaskBars:
    """Bars by the groups of tasks that they show: tasks whose keys are tuples with one first part.

    Examples
    --------
    >>> bar = Bar(label="counting")
    >>> bars = TaskBars({"count-1": bar, "count-2": bar})
    >>> bars.update({"count-1": (1, 4)})
    >>> bars.update({"count-1": (2, 4), "count-2": (0, 2)})
    >>> bar.done, bar.total
    (2, 6)
    """

    def __init__(self, bars: Mapping[str, Bar] | None = None) -> None:
        self._bars = dict(bars or {})
        self._counts: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def show(self, group: str, bar: Bar) -> None:
        """Have a bar show one more group."""
        with self._lock:
            self._bars.setdefault(group, bar)

    @property
    def groups(self) -> list[str]:
        """The groups that are shown."""
        with self._lock:
            return list(self._bars)

    def update(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Note tasks that are done and all tasks, of some groups; what is known of others stays."""
        with self._lock:
            self._counts.update({group: count for group, count in counts.items() if group in self._bars})
            sums: dict[Bar, tuple[int, int]] = {}
            for group, (done, total) in self._counts.items():
                bar = self._bars[group]
                before = sums.get(bar, (0, 0))
                sums[bar] = before[0] + done, before[1] + total
        for bar, (done, total) in sums.items():
            bar.update(done, total)

    def seen(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Note what a scheduler has: groups that it had, and has no more, are done."""
        with self._lock:
            gone = {
                group: (total, total) for group, (_, total) in self._counts.items() if group not in counts
            }
        self.update({**gone, **counts})


class LocalTasks(Callback):  # type: ignore[misc]  # dask is untyped
    """Counts tasks of a scheduler in this process."""

    def __init__(self, bars: TaskBars) -> None:
        super().__init__()
        self._tasks = bars
        self._done: Counter[str] = Counter()
        self._total: Counter[str] = Counter()

    def begin(self, dsk: Mapping[Hashable, Any]) -> None:
        """Note the tasks of a graph."""
        groups = set(self._tasks.groups)
        self._total.update(key[0] for key in dsk if isinstance(key, tuple) and key[0] in groups)
        self._tasks.update({group: (self._done[group], total) for group, total in self._total.items()})

    def done(self, key: Hashable) -> None:
        """Note that one is done."""
        group = str(key[0]) if isinstance(key, tuple) else ""
        if group in self._total:
            self._done[group] += 1
            self._tasks.update({group: (self._done[group], self._total[group])})

    def _start(self, dsk: Mapping[Hashable, Any]) -> None:
        self.begin(dsk)

    def _posttask(self, key: Hashable, *args: Any) -> None:
        self.done(key)


@contextmanager
def followed(bars: TaskBars) -> Iterator[None]:
    """Keep bars up to date with the tasks that run while the block does.

    Notes
    -----
    A cluster is asked for a few numbers, ``options.PROGRESS_POLL_SECONDS`` apart; its workers send nothing for it.
    """
    try:
        client = client_of_compute()
    except RuntimeError:  # an asynchronous one, which is not asked
        client = None
    with LocalTasks(bars):
        if client is None or client.asynchronous:
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(
            target=_ask, args=(client, bars, ended), name="safeframe-progress-tasks", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(options.PROGRESS_POLL_SECONDS)


def _ask(client: Any, bars: TaskBars, ended: threading.Event) -> None:
    while not ended.wait(options.PROGRESS_POLL_SECONDS):
        try:
            bars.seen(client.run_on_scheduler(group_counts, names=bars.groups))
        except Exception as error:  # noqa: BLE001  a scheduler without safeframe, or that has gone
            logger.debug("The scheduler does not say how far it is: %r", error)
            return


def named_tasks(
    step: str, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> list[Delayed]:
    """Call a function in tasks, as one group of tasks on a dashboard.

    Parameters
    ----------
    step
        The words that their keys begin with.
    function
        What a task calls.
    arguments
        Of each task. What is large, and the same for all, is a delayed object.
    """
    call, name = delayed(function, pure=False), f"{step}-{uuid.uuid4().hex}"
    return [call(*some, dask_key_name=(name, number)) for number, some in enumerate(arguments)]


def computed(label: str, tasks: Sequence[Delayed], *, late: bool = False) -> tuple[Any, ...]:
    """Compute delayed objects, and show how far that is.

    Parameters
    ----------
    label
        What is done, as in ``counting keys``.
    tasks
        The delayed objects.
    late
        Whether it is shown only when it takes longer than most such computations.

    Examples
    --------
    >>> computed("adding", [dask.delayed(sum)([1, 2])])
    (3,)
    """
    logger.debug("%s: %d results", label, len(tasks))
    with progress() as board:
        if not board.is_seen:
            return tuple(dask.compute(*tasks))
        bar = board.add(Bar(label=label, late_seconds=options.PROGRESS_LATE_SECONDS if late else 0.0))
        keys = {key for task in tasks for key in dict(task.__dask_graph__()) if isinstance(key, tuple)}
        bar.update(0, len(keys))
        with followed(TaskBars(dict.fromkeys({key[0] for key in keys}, bar))):
            return tuple(dask.compute(*tasks))

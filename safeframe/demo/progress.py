"""A progress bar over the tasks of a local cluster.

Covers: counting tasks as the scheduler finishes them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import LocalCluster, SchedulerPlugin
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_REFRESH_SECONDS = 0.1


class _TaskCount(SchedulerPlugin):  # type: ignore[misc]  # distributed's plugin base is untyped
    """Counts tasks of all graphs that come while it is there, and those of them that are done."""

    name = "safeframe-demo-progress"

    def __init__(self) -> None:
        self.known: set[Any] = set()
        self.done: set[Any] = set()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.transition`."""
        if start == "released" and finish in ("waiting", "processing", "queued", "no-worker"):
            self.known.add(key)
            self.done.discard(key)
        elif finish == "memory":
            self.done.add(key)


@contextmanager
def progress_bar(cluster: LocalCluster, console: Console, label: str) -> Iterator[None]:
    """Show how many tasks are done while the block runs.

    Parameters
    ----------
    cluster
        A cluster whose scheduler is in this process.
    console
        Where to show it.
    label
        What is being done.
    """
    count = _TaskCount()
    cluster.scheduler.add_plugin(count)
    stop = threading.Event()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tasks"),
        TimeElapsedColumn(),
    )
    # Two of them would draw over each other.
    with dask.config.set({"safeframe.progress": False}), Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None)

        def follow() -> None:
            while not stop.wait(_REFRESH_SECONDS):
                _show(progress, task, count)

        thread = threading.Thread(target=follow, name="safeframe-demo-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            _show(progress, task, count)
            cluster.scheduler.remove_plugin(name=count.name)


def _show(progress: Progress, task: Any, count: _TaskCount) -> None:
    progress.update(task, total=len(count.known) or None, completed=len(count.done))

"""Deletes staged files on a cluster, in the scheduler: it is the one that knows when a run is over.

Covers: runs in directories and in object stores.
Does not cover: the other ways in which staged files go away, all of which
:mod:`safeframe.engine.storage.sessions` lists.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Any

from distributed import SchedulerPlugin

from safeframe._dask.cluster import is_awaited
from safeframe.engine.names import run_of_seal
from safeframe.engine.storage.local import store_for
from safeframe.engine.storage.remote import remote_store
from safeframe.sizing.staging_url import is_remote

logger = logging.getLogger(__name__)

_LATE_RUNS = 16
"""Runs that are looked at again once they are over: a look at each is a request to a file server."""


class StagingJanitor(SchedulerPlugin):  # type: ignore[misc]  # distributed's plugin base is untyped
    """Removes a run's files when the scheduler releases its sealed manifest.

    Parameters
    ----------
    directory
        The session's directory or URL; the scheduler has to reach it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.name = f"safeframe-staging-{directory.rpartition('/')[2]}"
        # A second client of the same cluster registers it again.
        self.idempotent = True
        self._runs: set[str] = set()
        self._over: deque[str] = deque(maxlen=_LATE_RUNS)
        """Runs that are over, in which a task that nobody waits for may write a file still."""
        self._out_of_reach = False
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.start`."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.transition`.

        An object store is waited for here: a run that starts over may have new
        files a moment later, which a removal in the background would take too.
        """
        name = run_of_seal(key)
        if name is None:
            return
        run = f"{self.directory}/{name}"
        self._runs.add(run)
        # A manifest that is lost with its worker is released too. Where others wait for it, it is made again, of the
        # files that stand: tasks that are run again take their own, and results that are left name them.
        lost = self._scheduler is not None and is_awaited(self._scheduler, key)
        if finish == "forgotten" or (start == "memory" and finish == "released" and not lost):
            self._remove(run)
            if finish == "forgotten":
                self._runs.discard(run)
                self._remove_late()
                if not is_remote(run) and run not in self._over:
                    self._over.append(run)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """See :meth:`distributed.SchedulerPlugin.add_worker`: the one in whose place it comes writes no more."""
        self._remove_late()

    async def close(self) -> None:
        """See :meth:`distributed.SchedulerPlugin.close`."""
        for run in self._runs:
            self._remove(run)
        self._remove_late()

    def _remove_late(self) -> None:
        """Remove what was written to runs that were over.

        A task that runs cannot be stopped: not when its result is wanted no
        longer, nor on a worker that the scheduler has given up and that goes on.
        """
        for run in self._over:
            if run not in self._runs and os.path.lexists(run):
                self._remove(run)

    def _remove(self, run: str) -> None:
        if not is_remote(run):
            store_for(run).remove_run(run)
        elif not self._out_of_reach:
            try:
                remote_store(run).delete(run)
            except OSError as error:
                # Once is enough: each try may hold the scheduler for seconds.
                self._out_of_reach = True
                logger.warning(
                    "The scheduler cannot remove staged rows from %s: %s. They are removed when the client's process ends.",
                    self.directory,
                    error,
                )

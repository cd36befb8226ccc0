"""Deletes staged files on a cluster, in the scheduler: it is the one that knows when a run is over.

Covers: runs in directories and in object stores.
Does not cover: the other ways in which staged files go away, all of which
:mod:`safeframe.engine.storage.sessions` lists.
"""

from __future__ import annotations

import logging
from typing import Any

from distributed import SchedulerPlugin

from safeframe.engine.names import run_of_seal
from safeframe.engine.storage.local import store_for
from safeframe.engine.storage.remote import remote_store
from safeframe.sizing.staging_url import is_remote

logger = logging.getLogger(__name__)


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
        self._out_of_reach = False

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
        # A manifest that is lost with its worker is released too: its run starts
        # over with new files, so that the old ones are of no more use.
        if finish == "forgotten" or (start == "memory" and finish == "released"):
            self._remove(run)
            if finish == "forgotten":
                self._runs.discard(run)

    async def close(self) -> None:
        """See :meth:`distributed.SchedulerPlugin.close`."""
        for run in self._runs:
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

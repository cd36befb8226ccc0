"""One tight cluster for the tests of a module, each of which finds its workers as good as new.

Starting two workers and loading what tasks need takes longer than most tests.
A test may take the cluster of the one before when that one's results are gone,
nothing was killed, restarted or run twice, and the kernel lets the workers'
high-water marks begin again; otherwise it has a cluster of its own. What a
worker still holds of earlier tests is in no plan of new workers, so it counts
as used (:attr:`benchmarks.tight.TightReport.charged_nbytes`).
"""

from __future__ import annotations

import contextlib
import gc
import time
from typing import Any

from benchmarks.tight import TightCluster, tight_cluster
from safeframe.sizing.cluster import measure_budget

__all__ = ["TightClusters"]

_FORGOTTEN_SECONDS = 5.0
_KEPT_NBYTES = 16 * 2**20


class TightClusters:
    """Gives a cluster of the options that a test names, the one that is there where it can."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._options: dict[str, Any] | None = None
        self._cluster: TightCluster | None = None
        self._new_nbytes = 0

    def give(self, options: dict[str, Any], *, fresh: bool = False) -> TightCluster:
        """Return a cluster whose report is of what runs from now on; with ``fresh``, of new workers."""
        if fresh or self._cluster is None or options != self._options or not self._renewed(self._cluster):
            self.close()
            self._options = options
            self._cluster = self._stack.enter_context(tight_cluster(**options))
            self._new_nbytes = measure_budget().reserved_nbytes
        return self._cluster

    def left(self) -> set[str]:
        """Return what is there because the cluster goes on, in the words of a look for what a test left."""
        return self._cluster.processes_and_groups() if self._cluster else set()

    def close(self) -> None:
        """End the cluster that is there, if any."""
        self._cluster = None
        self._stack.close()

    def _renewed(self, cluster: TightCluster) -> bool:
        gc.collect()
        deadline = time.monotonic() + _FORGOTTEN_SECONDS
        while cluster.cluster.scheduler.tasks:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        cluster.client.run(gc.collect)
        kept_nbytes = max(0, measure_budget().reserved_nbytes - self._new_nbytes)
        return kept_nbytes <= _KEPT_NBYTES and cluster.count_again(kept_nbytes)

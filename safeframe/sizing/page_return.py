"""Makes a worker return freed pages before dask pauses it for them.

Covers: a worker above the share of its limit that plans fill, whatever runs on it.
Does not cover: pages that hold data; having the allocator keep pages (``kernels.allocator``).

An allocator that keeps its pages is faster, but what it keeps counts as the
worker's memory: two workers that kept too much were both paused, for ever.
"""

from __future__ import annotations

import time
from typing import Any

from distributed import WorkerPlugin
from tornado.ioloop import PeriodicCallback

from safeframe import options
from safeframe._dask.cluster import memory_limit_nbytes
from safeframe.kernels.allocator import trim
from safeframe.sizing.machine import resident_nbytes


class PageReturn(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped
    """Looks at a worker's memory as often as dask does, and gives back what is free when it is much."""

    name = "safeframe-page-return"

    def __init__(self) -> None:
        self.returned = 0
        self._not_before = 0.0
        self._callback: PeriodicCallback | None = None

    def setup(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.setup`; on workers that join too, before their first task."""
        self._callback = PeriodicCallback(lambda: self.look(worker), options.PAGE_RETURN_LOOK_MS)
        self._callback.start()

    def teardown(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.teardown`."""
        if self._callback is not None:
            self._callback.stop()

    def look(self, worker: Any) -> None:
        """Release freed pages if the worker holds more than plans fill."""
        limit = memory_limit_nbytes(worker)
        now = time.monotonic()
        if not limit or now < self._not_before:
            return
        before = resident_nbytes()
        if before <= limit * options.HEADROOM_FRACTION:
            return
        trim()
        self.returned += 1
        # Where the pages hold data, looking again at once would only cost time.
        if resident_nbytes() > limit * options.HEADROOM_FRACTION:
            self._not_before = now + options.PAGE_RETURN_PAUSE_SECONDS

"""Starts processes in some 50 ms: each is forked from one that has imported what workers and clients need.

Workers are processes of their own as they are anywhere else, with limits, sockets and deaths of their own; what they do
not do again is to import, which takes a hundred times as long as the rest.

Covers: how workers, clients and schedulers are started.
Does not cover: what they are for (``scene``, ``computing``, ``host``).
"""

from __future__ import annotations

import multiprocessing
from contextlib import AbstractContextManager
from typing import Any

import dask
from distributed.utils import get_mp_context

__all__ = ["forking", "forks"]

_PRELOADED = ["tests.faults.machine.run", "tests.faults.machine.host", "tests.faults.machine.in_forks"]


def forking() -> AbstractContextManager[Any]:
    """Let distributed start its workers so, until the block ends."""
    return dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})


def forks() -> Any:
    """Return the ``multiprocessing`` context for processes that are started so."""
    with forking():
        # Distributed sets what is imported before, the first time that it is asked.
        get_mp_context()
    # Of use until the first process is started; the names of packages that are not there are passed over.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context

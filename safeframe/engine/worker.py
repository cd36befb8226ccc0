"""What the tasks of a recipe do first, where they run on a worker."""

from __future__ import annotations

import threading
import warnings

import distributed

from safeframe.engine._dask import inside_worker
from safeframe.kernels.allocator import keep_pages, trim

__all__ = ["use_worker", "warn_user"]

_lock = threading.Lock()
_phase = ""


def use_worker(phase: str = "") -> None:
    """Have a worker process keep its pages; elsewhere the process is the user's, and left alone.

    Parameters
    ----------
    phase
        What the task is one of. With the first task of another phase the pages
        that the last one needed, and kept, are given back: a worker that holds
        them looks full to dask, which then spills what tasks are about to use.
    """
    global _phase
    if not inside_worker():
        return
    keep_pages()
    with _lock:
        changed = bool(phase) and phase != _phase
        if changed:
            _phase = phase
    if changed:
        trim()


def warn_user(warning: Warning) -> None:
    """Issue a warning where the user sees it: from a worker, in the client too."""
    if inside_worker():
        distributed.warn(str(warning), type(warning))
    else:
        warnings.warn(warning, stacklevel=2)

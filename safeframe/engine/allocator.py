"""Keeps freed pages in a worker between the tasks of a recipe.

glibc gives large blocks back to the system as soon as they are freed, and
dask's nanny lowers the threshold further. The next task then faults every page
in again, which took more time than the join itself (38 against 16 ms a cell of
a million rows). The pages kept are at most what a task held at its peak, which
the plan has counted already.
"""

from __future__ import annotations

import ctypes
import functools

from safeframe.engine._dask import inside_worker

__all__ = ["keep_pages"]

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_MMAP_THRESHOLD_NBYTES = 32 * 2**20  # glibc's own limit on 64-bit systems
_TRIM_THRESHOLD_NBYTES = 512 * 2**20


def keep_pages() -> None:
    """Ask the C library of this worker process to keep freed pages; elsewhere, do nothing."""
    if inside_worker():
        _set_thresholds()


@functools.cache
def _set_thresholds() -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc: its allocator is its own affair
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_NBYTES)
        and mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_NBYTES)
    )

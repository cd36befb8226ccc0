"""Makes a worker's allocators keep freed pages between the tasks of a recipe.

glibc gives large blocks back to the system as soon as they are freed, and
dask's nanny lowers the threshold further; Arrow's own pool does the same after
some milliseconds. The next task then faults every page in again, which took
more time than the join itself (38 against 16 ms a cell of a million rows). One
allocator for all, in one arena, also holds less: what a task frees as a numpy
array serves the next one's parquet pages. The pages kept are at most what a
task held at its peak, which the plan has counted already.

Covers: the allocators of one process, for good.
Does not cover: which processes; callers do this on workers only.
"""

from __future__ import annotations

import ctypes
import functools

import pyarrow as pa

from safeframe import options

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


@functools.cache
def keep_pages() -> bool:
    """Set this process's allocators up; True where the C library took the settings.

    Threads that have allocated before keep the arena that they have.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc: its allocator is its own affair
        return False
    taken = (
        mallopt(_M_ARENA_MAX, 1),
        mallopt(_M_MMAP_THRESHOLD, options.MMAP_THRESHOLD_NBYTES),
        mallopt(_M_TRIM_THRESHOLD, options.TRIM_THRESHOLD_NBYTES),
    )
    pa.set_memory_pool(pa.system_memory_pool())
    return all(taken)


def trim() -> None:
    """Release freed pages to the system, now."""
    pa.default_memory_pool().release_unused()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # not glibc
        return

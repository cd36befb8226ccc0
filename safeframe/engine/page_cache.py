"""Whether the page cache has room for what is staged."""

from __future__ import annotations

import functools

import psutil

from safeframe import options
from safeframe.sizing.memory_group import MemoryGroup, memory_group

__all__ = ["page_cache_is_full"]


def page_cache_is_full() -> bool:
    """Tell whether pages that this process writes would push others out, which have to reach the disk first.

    In a memory group the cache counts as the group's; elsewhere it has what the
    machine has free.
    """
    group = _group()
    if group is not None:
        return group.used_nbytes() > options.PAGE_CACHE_FRACTION * group.limit_nbytes
    memory = psutil.virtual_memory()
    return bool(memory.available < (1 - options.PAGE_CACHE_FRACTION) * memory.total)


@functools.cache
def _group() -> MemoryGroup | None:
    return memory_group()

"""What the tasks of a recipe do first, where they run on a worker."""

from __future__ import annotations

from safeframe.engine._dask import inside_worker
from safeframe.kernels.allocator import keep_pages

__all__ = ["use_worker"]


def use_worker() -> None:
    """Have a worker process keep its pages; elsewhere the process is the user's, and left alone."""
    if inside_worker():
        keep_pages()

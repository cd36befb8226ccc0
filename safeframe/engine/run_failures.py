"""Why a run of this process failed first.

When one task fails, the run's files go, and tasks of other threads that are
writing fail in turn for want of them. What the user should read is the first.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from safeframe.engine._dask import inside_worker
from safeframe.engine.staging_store import store_for

__all__ = ["first_failure", "forget_failure", "run_of_task"]

_lock = threading.Lock()
_failures: dict[str, Exception] = {}


@contextmanager
def run_of_task(directory: str) -> Iterator[None]:
    """Remove a run of this process, should the task within fail, and say why the run failed first.

    Parameters
    ----------
    directory
        The run's directory; empty where nothing is staged.
    """
    try:
        yield
    except Exception as error:
        if not directory or inside_worker():  # the scheduler forgets the run, and the janitor removes it
            raise
        # The traceback would keep the run's files for as long as someone looks at it.
        first = first_failure(directory, error)
        store_for(directory).remove_run(directory)
        if first is error:
            raise
        raise first from error


def first_failure(directory: str, error: Exception) -> Exception:
    """Note a failure of the run in a directory, and give what it failed of first.

    Returns
    -------
    Exception
        ``error`` itself for the first; a copy of the first, without its
        traceback (which would keep a task's frames in memory), for those after.
    """
    with _lock:
        first = _failures.get(directory)
        if first is not None:
            return copy.copy(first)
        try:
            _failures[directory] = copy.copy(error)
        except Exception:  # noqa: BLE001  an error of the user's that cannot be copied
            return error
    return error


def forget_failure(directory: str) -> None:
    """Start a run anew."""
    with _lock:
        _failures.pop(directory, None)

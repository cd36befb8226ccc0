"""Why a run of this process failed first.

When one task fails, the run's files go, and tasks of other threads that are
writing fail in turn for want of them. What the user should read is the first.
"""

from __future__ import annotations

import copy
import threading

__all__ = ["first_failure", "forget_failure"]

_lock = threading.Lock()
_failures: dict[str, Exception] = {}


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

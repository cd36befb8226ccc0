"""Staged files that go with the objects that name them, where no cluster's scheduler removes them.

dask's local schedulers hold the results of tasks for as long as others need
them: a file goes when the last object that names it does. With the scheduler of
processes, which is the one that bags are computed by, tasks run elsewhere and
their results pass through this process; those are the objects that count, and a
manifest made of others is here before they are gone.

Whether a run's files are owned by objects is in the name of its directory, and
never a request to a client: objects are unpickled in the event loop of a worker, where
a client that is made waits for that same loop, for ever.
"""

from __future__ import annotations

import multiprocessing
import threading
import weakref
from collections import Counter
from typing import Any

from safeframe._dask.cluster import inside_worker
from safeframe.engine.storage.local import store_for
from safeframe.engine.storage.sessions import holds_session, is_owned_run

_holders: Counter[str] = Counter()
# Reentrant: a collection of garbage may end another object while the lock is held.
_lock = threading.RLock()


class OwnedFile:
    """A staged file.

    Parameters
    ----------
    path
        The file; empty when nothing was staged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        """The file; empty when nothing was staged."""

    def own_file(self) -> None:
        """Remove the file, and its directory once empty, when the last object that owns it goes.

        Nothing is owned on a worker, where the janitor removes files, and in
        processes that only run tasks for this one.
        """
        if not self.path or inside_worker():
            return
        if multiprocessing.parent_process() is not None and not holds_session(self.path):
            return
        with _lock:
            _holders[self.path] += 1
        weakref.finalize(self, _let_go, self.path)

    def arguments(self) -> tuple[Any, ...]:
        """Return what a copy is made of."""
        return (self.path,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.arguments())


def _rebuilt(kind: type[OwnedFile], arguments: tuple[Any, ...]) -> OwnedFile:
    made = kind(*arguments)
    # In the process that computes without a cluster: what came back of a task in another process.
    if is_owned_run(made.path) and holds_session(made.path):
        made.own_file()
    return made


def _let_go(path: str) -> None:
    with _lock:
        _holders[path] -= 1
        left = _holders[path]
        if not left:
            del _holders[path]
    if not left:
        store_for(path).remove_file(path)

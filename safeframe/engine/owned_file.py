"""Staged files that go with the object that names them, where tasks run in this process."""

from __future__ import annotations

import weakref
from typing import Any

from safeframe.engine._dask import inside_worker
from safeframe.engine.staging_store import store_for

__all__ = ["OwnedFile"]


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
        self._finalizer: Any = None

    def own_file(self) -> None:
        """Remove the file, and its directory once empty, when this object goes; on a worker the janitor does."""
        if self.path and not inside_worker():
            self._finalizer = weakref.finalize(self, _remove_file, self.path)

    def arguments(self) -> tuple[Any, ...]:
        """Give what a copy is made of."""
        return (self.path,)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process cannot share ownership; the session removes the file then.
        if self._finalizer is not None:
            self._finalizer.detach()
        return type(self), self.arguments()


def _remove_file(path: str) -> None:
    store_for(path).remove_file(path)

"""Where staged rows lie, and how nothing of them is left behind.

::

    <base>/safeframe-<user>/<session>/         one per process that computes, mode 0700
        lock                                   held while that process lives
        <run>/                                 one per exchange; <run>.owned where no cluster runs it
            <attempt>.staged                    one per staged partition

Files go away, whichever comes first:

- on a cluster, when the scheduler forgets or releases the run's sealed
  manifest (:class:`StagingJanitor`, a scheduler plugin);
- without a cluster, when the last reference to the manifest goes
  (``weakref.finalize``, in :mod:`safeframe.engine.owned_file`);
- when the scheduler closes; when the process exits;
- after a crash, when the next session on that base starts: a session whose
  lock can be taken has no owner.

Covers: sessions in directories, and the scheduler's plugin for both kinds.
Does not cover: sessions in object stores, which know no locks (``remote_session``).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import getpass
import logging
import os
import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

from distributed import SchedulerPlugin

from safeframe.engine.remote_session import RemoteSession
from safeframe.engine.remote_store import remote_store
from safeframe.engine.staging_store import store_for
from safeframe.errors import StagingError
from safeframe.sizing.staging_url import is_remote

__all__ = [
    "OWNED",
    "SEAL_PREFIX",
    "Session",
    "StagingJanitor",
    "holds_session",
    "is_owned_run",
    "open_session",
]

logger = logging.getLogger(__name__)

SEAL_PREFIX = "safeframe-seal-"
"""The key of a run's sealed manifest is this and the run's name."""

OWNED = ".owned"
"""How the directory of a run is named whose files the objects that name them remove (``owned_file``)."""

_sessions: dict[tuple[int, str], Session | RemoteSession] = {}
_sessions_lock = threading.Lock()


class Session:
    """One process's part of a staging directory.

    Parameters
    ----------
    base
        The directory that the user, or the configuration, named.

    Raises
    ------
    StagingError
        When it cannot be created or written.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        user = Path(base).expanduser() / f"safeframe-{_user()}"
        try:
            user.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(user)
            self.directory = user / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
            self.directory.mkdir(mode=0o700)
            self._lock = (self.directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"The staging directory {base!r} cannot be written: {error.strerror or error}."
            hint = (
                "Name a directory that you and every worker may write in staging=, or in the configuration."
            )
            raise StagingError(msg, hint=hint, directory=base) from error
        atexit.register(self.close)

    def run_directory(self, run: str) -> str:
        """Give the directory of one exchange; it is made when the first partition is staged."""
        return str(self.directory / run)

    def close(self) -> None:
        """Remove everything that this session staged."""
        atexit.unregister(self.close)
        self._lock.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.directory.parent.rmdir()


def open_session(base: str) -> Session | RemoteSession:
    """Give this process's session on ``base``, making it the first time.

    Raises
    ------
    StagingError
        When the directory or URL cannot be created or written.
    """
    key = (os.getpid(), base)
    with _sessions_lock:
        session = _sessions.get(key)
        if session is None or (isinstance(session, Session) and not session.directory.exists()):
            session = _sessions[key] = RemoteSession(base, _user()) if is_remote(base) else Session(base)
        return session


def holds_session(path: str) -> bool:
    """Whether a path is in a session of this process."""
    own = os.getpid()
    # Copied: another thread may open a session meanwhile.
    return any(
        pid == own and path.startswith(f"{held.directory}/") for (pid, _), held in [*_sessions.items()]
    )


def is_owned_run(path: str) -> bool:
    """Whether a path is in a run whose files the objects that name them remove."""
    return f"{OWNED}/" in path


class StagingJanitor(SchedulerPlugin):  # type: ignore[misc]  # distributed's plugin base is untyped
    """Removes a run's files when the scheduler lets go of its sealed manifest.

    Parameters
    ----------
    directory
        The session's directory or URL; the scheduler has to reach it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.name = f"safeframe-staging-{directory.rpartition('/')[2]}"
        # A second client of the same cluster registers it again.
        self.idempotent = True
        self._runs: set[str] = set()
        self._out_of_reach = False

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.transition`.

        An object store is waited for here: a run that starts over may have new
        files a moment later, which a removal in the background would take too.
        """
        if not (isinstance(key, str) and key.startswith(SEAL_PREFIX)):
            return
        run = f"{self.directory}/{key.removeprefix(SEAL_PREFIX)}"
        self._runs.add(run)
        # A manifest that is lost with its worker is released too: its run starts
        # over with new files, so that the old ones are of no more use.
        if finish == "forgotten" or (start == "memory" and finish == "released"):
            self._remove(run)
            if finish == "forgotten":
                self._runs.discard(run)

    async def close(self) -> None:
        """See :meth:`distributed.SchedulerPlugin.close`."""
        for run in self._runs:
            self._remove(run)

    def _remove(self, run: str) -> None:
        if not is_remote(run):
            store_for(run).remove_run(run)
        elif not self._out_of_reach:
            try:
                remote_store(run).delete(run)
            except OSError as error:
                # Once is enough: each try may hold the scheduler for seconds.
                self._out_of_reach = True
                logger.warning(
                    "The scheduler cannot remove staged rows from %s: %s. They go when the client's process ends.",
                    self.directory,
                    error,
                )


def _sweep(user: Path) -> None:
    """Remove the sessions of processes that no longer live."""
    for session in user.iterdir():
        try:
            lock = (session / "lock").open("r+")
        except OSError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(session, ignore_errors=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())

"""Where staged rows lie, and how nothing of them is left behind.

::

    <base>/safeframe-<user>/<session>/         one per process that computes, mode 0700
        lock                                   held while that process lives; says what this is
        <run>/                                 one per exchange; <run>.owned where no cluster runs it
            <attempt>.staged                    one per staged partition

Files go away, whichever comes first:

- on a cluster, when the scheduler forgets or releases the run's sealed
  manifest (a scheduler plugin, in :mod:`safeframe.engine.storage.janitor`);
- without a cluster, when the last reference to the manifest goes
  (``weakref.finalize``, in :mod:`safeframe.engine.storage.owned_file`);
- when the scheduler closes; when the process exits;
- after a crash, when the next session on that base starts: a session whose
  lock can be taken has no owner. Only what has our marker is removed, and the
  marker is written once the lock is held.

Covers: sessions in directories.
Does not cover: sessions in object stores, which know no locks (``engine.storage.remote_sessions``).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import threading
import uuid
from pathlib import Path

from safeframe.engine.storage.lock import Lock, claim_marked, new_lock, sweep
from safeframe.engine.storage.private_directory import (
    is_own,
    private_directories,
    private_directory,
    user_name,
)
from safeframe.engine.storage.remote_sessions import RemoteSession
from safeframe.errors import StagingError
from safeframe.sizing.staging_url import is_remote

OWNED = ".owned"
"""How the directory of a run is named whose files the objects that name them remove (``engine.storage.owned_file``)."""

_LOCK = "lock"
_MARKER = b"A session of safeframe, which removes this directory when its process ends, or is found dead.\n"
_TRIES = 100

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
        When it cannot be created or written, or cannot be private.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._pid = os.getpid()
        try:
            self.directory, self._lock = _started(Path(base).expanduser())
        except StagingError:
            raise
        except OSError as error:
            msg = f"The staging directory {base!r} cannot be written: {error.strerror or error}."
            hint = (
                "Name a directory that you and every worker can write, in staging= or in the configuration."
            )
            raise StagingError(msg, hint=hint, directory=base) from error
        atexit.register(self.close)

    def run_directory(self, run: str) -> str:
        """Return the directory of one exchange; it is made when the first partition is staged."""
        return str(self.directory / run)

    def close(self) -> None:
        """Remove everything that this session staged."""
        if os.getpid() != self._pid:
            # A fork of the process that it is of: what is here is not the fork's to remove.
            return
        atexit.unregister(self.close)
        _remove(self.directory, self._lock)
        with contextlib.suppress(OSError):
            self.directory.parent.rmdir()


def open_session(base: str) -> Session | RemoteSession:
    """Return this process's session on ``base``, making it the first time.

    Raises
    ------
    StagingError
        When the directory or URL cannot be created or written.
    """
    key = (os.getpid(), base)
    with _sessions_lock:
        session = _sessions.get(key)
        if session is None or (isinstance(session, Session) and not session.directory.exists()):
            session = _sessions[key] = RemoteSession(base, user_name()) if is_remote(base) else Session(base)
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


def _started(base: Path) -> tuple[Path, Lock]:
    """Make a session's directory, and take its lock.

    A process that ends may remove the directory of its user, once empty, before
    there is a session in it: then it is made again.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            user = private_directory(base)
            for directory in {user, *private_directories(base)}:
                sweep(list(directory.iterdir()), _claim, _remove)
            return _made(user / f"{os.getpid()}-{uuid.uuid4().hex}")
    msg = f"its directory for {user_name()} was removed {_TRIES} times while a session was made in it"
    raise OSError(msg)


def _made(session: Path) -> tuple[Path, Lock]:
    """Make a session's directory, which is marked as one once its lock is held."""
    session.mkdir(mode=0o700)
    try:
        return session, new_lock(session / _LOCK, _MARKER)
    except OSError:
        shutil.rmtree(session, ignore_errors=True)
        raise


def _claim(session: Path) -> Lock | None:
    """Take the lock of a directory that is a session's, of this user, whose process lives no longer."""
    with contextlib.suppress(OSError):
        found = session.lstat()
        if stat.S_ISDIR(found.st_mode) and is_own(found):
            return claim_marked(session / _LOCK, _MARKER)
    return None


def _remove(session: Path, lock: Lock) -> None:
    """Remove a session whose lock is held: that goes last, so that what an interruption leaves is swept."""
    with contextlib.suppress(OSError):
        for path in list(session.iterdir()):
            if path.name == _LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    # Released before it is removed: a file that is open stays under another name on some file systems.
    lock.release()
    with contextlib.suppress(OSError):
        left = [path.name for path in session.iterdir()]
        # Without a lock's file where somebody has removed part of it: no later session would know it as one.
        if left in ([], [_LOCK]):
            (session / _LOCK).unlink(missing_ok=True)
            session.rmdir()

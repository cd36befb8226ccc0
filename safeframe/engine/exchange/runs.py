"""Starts an exchange: its directory, and who removes it."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from safeframe._dask.cluster import inside_worker
from safeframe.engine.storage.janitor import StagingJanitor
from safeframe.engine.storage.local import store_for
from safeframe.engine.storage.reach import check_reach
from safeframe.engine.storage.remote_sessions import RemoteSession
from safeframe.engine.storage.sessions import OWNED, Session, open_session
from safeframe.sizing.cluster import current_client

_REACH_HINT = (
    "Name a directory in staging= that this process, the scheduler and every worker reach under one path, or an "
    "object store, as in staging='s3://bucket/scratch'. Left out, rows move by P2P where the recipe can do so."
)

_with_janitor: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def check_staging(base: str) -> None:
    """Raise now rather than when the graph is made, should the directory or URL be of no use.

    Raises
    ------
    StagingError
        When it cannot be created or written, or is a directory that a worker does not reach.
    """
    session = open_session(base)
    if isinstance(session, RemoteSession):
        # Credentials come to an end, and buckets are removed.
        session.check()
    else:
        check_reach(str(session.directory), name=f"staging directory {base!r}", hint=_REACH_HINT)


def prepare_runs(base: str) -> None:
    """As :func:`check_staging`, and tell the scheduler of the current client to remove what runs leave.

    Raises
    ------
    StagingError
        When it cannot be created or written, or is a directory that a worker does not reach.
    """
    check_staging(base)
    client = current_client()
    if client is not None:
        _send_janitor(client, open_session(base), wait=True)


def start_run(base: str, run: str, *, wait: bool = True) -> str:
    """Return the directory, or URL, of an exchange.

    Parameters
    ----------
    base
        The staging directory or URL.
    run
        The run's name.
    wait
        Whether to wait until the scheduler knows of it. Who holds a lock of the
        client's must not, as its own thread may be waiting for that: graphs are
        pickled so.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.

    Notes
    -----
    With a distributed client the scheduler is informed, once per client and
    session, to remove what its runs leave. Without one the name of the directory
    says that the objects that name its files remove them.
    """
    session = open_session(base)
    client = current_client()
    if client is not None:
        _send_janitor(client, session, wait=wait)
    directory = session.run_directory(run if client is not None else f"{run}{OWNED}")
    forget_failure(directory)
    return directory


def _send_janitor(client: Any, session: Session | RemoteSession, *, wait: bool) -> None:
    directory = str(session.directory)
    known = _with_janitor.setdefault(client, set())
    if directory in known or client.asynchronous:
        return
    janitor = StagingJanitor(directory)
    if wait:
        client.register_plugin(janitor, name=janitor.name)
    else:
        # In the client's own thread, in turn: before the graph, which is sent by the same thread later.
        client.loop.add_callback(client.register_plugin, janitor, name=janitor.name)
    known.add(directory)


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
    """Start a run again."""
    with _lock:
        _failures.pop(directory, None)

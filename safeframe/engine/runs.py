"""Starts an exchange: its directory, and who removes it."""

from __future__ import annotations

import weakref
from typing import Any

from safeframe.engine.remote_session import RemoteSession
from safeframe.engine.run_failures import forget_failure
from safeframe.engine.staging_directory import OWNED, Session, StagingJanitor, open_session
from safeframe.sizing.cluster import current_client

__all__ = ["check_staging", "prepare_runs", "start_run"]

_with_janitor: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def check_staging(base: str) -> None:
    """Raise now rather than when the graph is made, should the directory or URL be of no use.

    Raises
    ------
    StagingError
        When it cannot be created or written.
    """
    session = open_session(base)
    if isinstance(session, RemoteSession):
        # Credentials come to an end, and buckets are removed.
        session.check()


def prepare_runs(base: str) -> None:
    """As :func:`check_staging`, and tell the scheduler of the current client to remove what runs leave.

    Raises
    ------
    StagingError
        When it cannot be created or written.
    """
    check_staging(base)
    client = current_client()
    if client is not None:
        _send_janitor(client, open_session(base), wait=True)


def start_run(base: str, run: str, *, wait: bool = True) -> str:
    """Give the directory, or URL, of an exchange.

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
    With a distributed client the scheduler is told, once per client and
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

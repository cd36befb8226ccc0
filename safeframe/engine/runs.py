"""Starts an exchange: its directory, and who removes it."""

from __future__ import annotations

import weakref
from typing import Any

from safeframe.engine.remote_session import RemoteSession
from safeframe.engine.run_failures import forget_failure
from safeframe.engine.staging_directory import Session, StagingJanitor, open_session
from safeframe.sizing.cluster import current_client

__all__ = ["check_staging", "start_run"]

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


def start_run(base: str, run: str) -> str:
    """Give the directory, or URL, of an exchange.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.

    Notes
    -----
    With a distributed client the scheduler is told, once per client and
    session, to remove what its runs leave.
    """
    session = open_session(base)
    client = current_client()
    if client is not None:
        _send_janitor(client, session)
    directory = session.run_directory(run)
    forget_failure(directory)
    return directory


def _send_janitor(client: Any, session: Session | RemoteSession) -> None:
    directory = str(session.directory)
    known = _with_janitor.setdefault(client, set())
    if directory in known or client.asynchronous:
        return
    janitor = StagingJanitor(directory)
    client.register_plugin(janitor, name=janitor.name)
    known.add(directory)

"""Whether a directory is the same one for this process and all workers.

A path may be there on every host and yet be another directory on each: ``/tmp`` is.
So what is looked for is a file that has just been made, under a name that nothing had before.

Covers: the workers that are connected; what a task says on a host where the directory is missing.
Does not cover: object stores, which have one name everywhere; whether workers may write (their tasks say so).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import uuid
from pathlib import Path

from safeframe.errors import StagingError, StagingFullError
from safeframe.sizing.cluster import current_client
from safeframe.sizing.live_workers import ask_workers, living_workers

_NAMED_HOSTS = 3


def check_reach(directory: str, *, name: str, hint: str) -> None:
    """Raise where a connected worker does not reach a directory that this process writes.

    Parameters
    ----------
    directory
        Where a file is made for it, and removed.
    name
        What the directory is called in the message.
    hint
        What the user can do about it.

    Raises
    ------
    StagingError, StagingFullError
        When the file cannot be made, or a worker does not find it.

    Notes
    -----
    With a client, one round trip to each worker.
    """
    client = current_client()
    if client is None or client.asynchronous:
        return
    probe = Path(directory).expanduser() / f".{uuid.uuid4().hex}.reach"
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        msg = f"The {name} cannot be written: {error.strerror or error}."
        kind = StagingFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StagingError
        raise kind(msg, hint=hint, directory=directory) from error
    try:
        answers = ask_workers(client, _is_there, str(probe))
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    without = [worker for worker, there in answers.items() if not there]
    if without:
        known = living_workers(client)
        hosts = sorted({known[worker]["host"] for worker in without if worker in known})
        named = ", ".join(hosts[:_NAMED_HOSTS]) + (" and others" if len(hosts) > _NAMED_HOSTS else "")
        msg = (
            f"The {name} is not one that all workers reach: {len(without)} of {len(answers)}, on {named}, without "
            f"what this process on {socket.gethostname()!r} has just made there."
        )
        raise StagingError(msg, hint=hint, directory=directory, hosts=tuple(hosts))


def not_there(directory: str) -> StagingError | None:
    """Return why a task on this host finds no staging directory; None where it is there.

    Parameters
    ----------
    directory
        What the client has made.
    """
    if os.path.isdir(directory):  # noqa: PTH112  never raises
        return None
    msg = f"The staging directory {directory} is not there on the host {socket.gethostname()!r}."
    hint = (
        "If the host joined after the recipe was called, name a directory in staging= that all hosts reach, those "
        "to come too, or an object store. If the directory was removed while the recipe ran, compute the result again."
    )
    return StagingError(msg, hint=hint, directory=directory, host=socket.gethostname())


def _is_there(path: str) -> bool:
    if os.path.lexists(path):
        return True
    # A file server's client may remember that a name was not there, until it opens the directory.
    for parent in reversed(Path(path).absolute().parents):
        with contextlib.suppress(OSError):
            os.scandir(parent).close()
    return os.path.lexists(path)

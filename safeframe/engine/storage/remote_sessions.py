"""A process's part of a staging URL, where no file can be locked.

::

    <base>/safeframe-<user>-<host>-<pid>-<session>/
        owner                                  tells whose it is, as JSON
        <run>/<attempt>.staged                  one per staged group of partitions

Covers: making sure that the store can be written, read and cleared, telling the
sessions of dead processes of this host from all others, and removing them.
Does not cover: sessions of other hosts, of which nobody here can tell whether
they live: a lifecycle rule removes what they leave (docs/how-to/staging.md).

Sessions lie side by side in the base, not in a directory per user: Arrow puts
an empty object back for the directory in which it removed something, so that
one level less is one object less that stays.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

from safeframe.engine.storage.lock import process_start, sweep
from safeframe.engine.storage.remote import RemoteStore, remote_store
from safeframe.errors import StagingError

_PROBE = b"safeframe may write, read and remove here\n"


class RemoteSession:
    """One process's part of a staging URL.

    Parameters
    ----------
    base
        The URL that the user, or the configuration, named.
    user
        Who this process belongs to.

    Raises
    ------
    StagingError
        When the store cannot be written, read and cleared.
    """

    def __init__(self, base: str, user: str) -> None:
        self.base = base
        self._pid = os.getpid()
        store = remote_store(base)
        prefix = f"safeframe-{re.sub(r'[^A-Za-z0-9_.]', '_', user)}-{_host()}-"
        self.directory = f"{base}/{prefix}{self._pid}-{uuid.uuid4().hex[:8]}"
        with _in_words(base):
            self._try_out(store)
            _sweep(store, base, prefix)
            self._sign(store)
        # Registered after Arrow's own end of S3, so that it runs before that.
        atexit.register(self.close)

    def check(self) -> None:
        """Make sure that the store can still be written.

        Raises
        ------
        StagingError
            When it cannot.
        """
        with _in_words(self.base):
            self._sign(remote_store(self.base))

    def run_directory(self, run: str) -> str:
        """Return the URL of one exchange; nothing is there until the first partition is staged."""
        return f"{self.directory}/{run}"

    def close(self) -> None:
        """Remove everything that this session staged."""
        if os.getpid() != self._pid:
            # A fork of the process that it is of: what is here is not the fork's to remove.
            return
        atexit.unregister(self.close)
        remote_store(self.base).remove_run(self.directory)

    def _try_out(self, store: RemoteStore) -> None:
        directory = f"{self.directory}-probe"
        probe = f"{directory}/probe"
        with store.create(probe) as sink:
            sink.write(_PROBE)
        try:
            (found,) = store.read([(probe, 0, len(_PROBE))])
        finally:
            store.delete(directory)
        if found.to_pybytes() != _PROBE:
            msg = "what was written is not what is read"
            raise OSError(msg)

    def _sign(self, store: RemoteStore) -> None:
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": process_start(os.getpid()),
            "of": "safeframe, which removes this directory when the process ends",
        }
        with store.create(f"{self.directory}/owner") as sink:
            sink.write(json.dumps(owner).encode())


@contextlib.contextmanager
def _in_words(base: str) -> Iterator[None]:
    try:
        yield
    except StagingError:
        raise
    except OSError as error:
        msg = f"The object store {base!r} cannot be used for staging: {error.strerror or error}."
        hint = (
            "Check the name of the bucket, and that the client, the scheduler and every worker have credentials "
            "to list, read, write and delete there."
        )
        raise StagingError(msg, hint=hint, directory=base) from error


def _sweep(store: RemoteStore, base: str, prefix: str) -> None:
    """Remove the sessions that processes of this host left when they died."""

    def claim(name: str) -> int | None:
        pid = name.removeprefix(prefix).partition("-")[0]
        known = name.startswith(prefix) and pid.isdecimal()
        return int(pid) if known and not _lives(store, f"{base}/{name}", int(pid)) else None

    sweep(store.directories(base), claim, lambda name, _: store.remove_run(f"{base}/{name}"))


def _lives(store: RemoteStore, directory: str, pid: int) -> bool:
    started = process_start(pid)
    if not started:
        return False
    try:
        return bool(json.loads(store.content(f"{directory}/owner"))["started"] == started)
    except (OSError, ValueError, TypeError, KeyError):
        # It is being made just now, or another sweep was faster.
        return True


@functools.lru_cache(maxsize=1)
def _host() -> str:
    """Return what distinguishes equal process ids of different processes: the machine, its boot, the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    if len(parts) == 1:
        parts.append(str(int(psutil.boot_time())))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

"""What a run left behind that should be gone: tasks, staged rows, files beside its output, processes.

Covers: looking, and waiting for what is on its way out.
Does not cover: how the next run sweeps; it is a run like any other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from safeframe.engine.storage.sessions import _sessions, open_session

__all__ = [
    "beside_output",
    "close_sessions",
    "pids",
    "processes",
    "sessions_left",
    "staged_rows",
    "swept",
    "wait_until_gone",
]

_STEP_SECONDS = 0.02


def wait_until_gone(look: Callable[[], list[str]], seconds: float) -> list[str]:
    """Look until nothing is there, and return what still is when the time is over."""
    # Files and processes go without an event to wait for.
    deadline = time.monotonic() + seconds
    while (left := look()) and time.monotonic() < deadline:
        time.sleep(_STEP_SECONDS)
    return left


def staged_rows(staging: Path) -> list[str]:
    """Name everything below a staging directory but its sessions and their locks."""
    return sorted(
        str(path.relative_to(staging)) for path in staging.glob("safeframe-*/*/*") if path.name != "lock"
    )


def sessions_left(staging: Path) -> list[str]:
    """Name everything in a staging directory."""
    return sorted(str(path.relative_to(staging)) for path in staging.rglob("*"))


def beside_output(output: Path) -> list[str]:
    """Name what is in the directory of a parquet dataset and is none of its files, and what is beside it."""
    found = [path for path in output.iterdir() if path.name != "out"]
    found += [
        path for path in (output / "out").rglob("*") if path.suffix != ".parquet" or path.name.startswith(".")
    ]
    return sorted(str(path.relative_to(output)) for path in found)


def pids() -> set[int]:
    """Return the child processes of this one."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def processes(known: set[int]) -> list[str]:
    """Name the child processes of this one that are none of the known ones."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            text = " ".join(child.cmdline())
            # What is forked has the words of the helper that it was forked from.
            forks = "multiprocessing.forkserver" in text and child.ppid() == os.getpid()
            helper = forks or "resource_tracker" in text
            if child.pid not in known and child.status() != psutil.STATUS_ZOMBIE and not helper:
                found.append(f"process {child.pid}: {text[:100]}")
        except psutil.NoSuchProcess:
            continue
    return found


def close_sessions(base: str) -> None:
    """Close this process's sessions in a base, as its end does."""
    for key, session in list(_sessions.items()):
        if key[1].startswith(base):
            session.close()
            del _sessions[key]


def swept(base: str) -> Any:
    """Open a session in a base, which removes what dead ones left, and close it."""
    open_session(base)
    close_sessions(base)

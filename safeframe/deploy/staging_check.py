"""Whether every worker reaches the directory through which rows are staged.

Covers: writing a small file from one worker, reading it from all others and
removing it; the scheduler, which removes staged files, too.
Does not cover: room there (``checks``), or object stores' own limits.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safeframe.deploy.checks import Finding
from safeframe.deploy.worker_state import WorkerState
from safeframe.engine.storage.local import store_for
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.staging_url import is_remote

_WORD = b"safeframe doctor\n"
_HINT = (
    "Name a directory or an object store that every worker and the scheduler can write, in staging= or in "
    "the setting safeframe.staging.directory. Without one, rows move by P2P."
)


def check_own_staging() -> Iterable[Finding]:
    """Write to this process's staging directory, and read back."""
    facts = staging_facts(None)
    if facts.directory is None:
        yield _none(facts.unavailable)
        return
    directory = facts.directory
    path = _path(directory)
    try:
        _write(path)
        missing = {"this process": error} if (error := _read(path)) else {}
    except OSError as failed:
        missing = {"this process": str(failed)}
    finally:
        _remove(path)
    yield _finding(directory, missing, "this process reads and writes there")


def check_staging(client: Any, states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Write to the staging directory from one worker, and read from the others."""
    with client.as_current():
        facts = staging_facts(None)
    if facts.directory is None:
        yield _none(facts.unavailable)
        return
    directory = facts.directory
    path = _path(directory)
    writer, *readers = (state.address for state in states)
    try:
        missing = _failures(client.run(_write, path, workers=[writer], on_error="return"))
        if not missing:
            # The worker that wrote reads too: a cluster may have but one.
            missing = _failures(client.run(_read, path, workers=[writer, *readers], on_error="return"))
            if not is_remote(directory) and (unseen := client.run_on_scheduler(_read, path)):
                missing["the scheduler, which removes the files"] = unseen
            if not is_remote(directory) and (unseen := _read(path)):
                missing["this process, which makes the directory"] = unseen
    finally:
        client.run(_remove, path, workers=[writer])
    yield _finding(directory, missing, f"written by one, read by all of {len(states)} workers")


def _none(why: str) -> Finding:
    return Finding(name="staging directory", status="warning", found="none", limit=why, hint=_HINT)


def _finding(directory: str, missing: Mapping[str, str], good: str) -> Finding:
    found = "; ".join(f"{who}: {why}" for who, why in missing.items()) or good
    return Finding(
        name=f"staging directory {directory}",
        status="problem" if missing else "ok",
        found=f"out of reach for {found}" if missing else found,
        hint=_HINT,
    )


def _path(directory: str) -> str:
    # A directory of its own, which goes with its file.
    return f"{directory.rstrip('/')}/safeframe-doctor-{uuid.uuid4().hex[:12]}/probe"


def _failures(answers: Mapping[str, object]) -> dict[str, str]:
    """Keep the answers that are errors, or tell of one."""
    return {who: str(answer) for who, answer in answers.items() if answer}


def _write(path: str) -> None:
    if not is_remote(path):
        Path(path).parent.parent.mkdir(parents=True, exist_ok=True)
    with store_for(path).create(path) as sink:
        sink.write(_WORD)


def _read(path: str) -> str:
    """Read what was written; the answer is what went wrong, empty when nothing did."""
    try:
        content = b"".join(bytes(piece) for piece in store_for(path).read([(path, 0, len(_WORD))]))
    except OSError as error:
        return str(error)
    return "" if content == _WORD else "what was written is not what is there"


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        store_for(path).remove_file(path)

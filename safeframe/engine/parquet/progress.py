"""How far a write of parquet files is, for who waits for it.

Covers: finished files and their rows as a line of text, now and then, from a
thread of the process that waits.
Does not cover: remote stores, where each look at a file is a request.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe.units import format_count


class WriteProgress:
    """Looks at the directory that is written.

    Parameters
    ----------
    directory
        Where finished files appear.
    files
        How many there will be.
    rows
        Rows of all of them; None where that is not known.
    clock
        Seconds, for the time that remains.
    """

    def __init__(
        self, directory: str, files: int, rows: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = Path(directory)
        self._files = files
        self._rows = rows
        self._clock = clock
        self._seen: dict[str, int] = {}
        self._first: tuple[float, int] | None = None

    def line(self) -> str:
        """Return how far the write is; the time that remains is that of files like those since the first look."""
        for path in self._directory.glob("[!.]*"):
            if path.name not in self._seen:
                try:
                    self._seen[path.name] = pq.read_metadata(path).num_rows
                except (OSError, pa.ArrowInvalid):
                    continue  # moved to its place meanwhile
        rows, now = sum(self._seen.values()), self._clock()
        if self._first is None:
            self._first = now, len(self._seen)
        of = "" if self._rows is None else f" of {format_count(self._rows)}"
        text = f"{len(self._seen)} of {self._files} files written, {format_count(rows)}{of} rows"
        began, before = self._first
        made = len(self._seen) - before
        if made > 0:
            left = (now - began) / made * (self._files - len(self._seen))
            text += f", about {_duration(left)} left"
        return text


@contextmanager
def progress_lines(
    progress: WriteProgress, sink: IO[str] | None = None, seconds: float = options.PROGRESS_SECONDS
) -> Iterator[None]:
    """Write a line now and then while the block runs, and one at its end."""
    done = threading.Event()

    def say() -> None:
        print(progress.line(), file=sink or sys.stderr, flush=True)

    def watch() -> None:
        say()
        while not done.wait(seconds):
            say()

    thread = threading.Thread(target=watch, name="safeframe-write-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

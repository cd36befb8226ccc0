"""What lies in the directory of a dataset: its files, and what is somebody else's.

A dataset's files are ``part.*.parquet``, those that the write's own
``name_function=`` would name, those that the frame is read from, ``_metadata`` and ``_common_metadata``.
Everything else belongs to somebody else and stays where it is. A parquet file
among it would be read along with the dataset, which a write has to refuse.

Covers: telling entries apart, their footers, and noticing that a dataset has changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe.errors import ValidationError

METADATA_NAMES = ("_metadata", "_common_metadata")
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
"""Names by which dask knows the files of a dataset."""

WORK_NAME = re.compile(r"\.safeframe-[0-9a-f]{12}(\.lock)?|\.safeframe\.lock")
"""What writes have in the directory while they run."""

_PART = re.compile(r"part\..*\.parquet", re.DOTALL)

Generation = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of each file of a dataset."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a directory."""

    data: tuple[str, ...] = ()
    """Files of the dataset."""
    files: tuple[str, ...] = ()
    """Files of somebody else."""
    directories: tuple[str, ...] = ()
    """Directories of somebody else."""
    strange_parquet: str | None = None
    """A parquet file (or what is called one), by its path in the directory, that is not of the dataset and would be read along with it."""


def entries_of(
    place: Path,
    name_function: Callable[[int], str] | None = None,
    npartitions: int = 0,
    *,
    known: Collection[str] = (),
    every: bool = False,
) -> Entries:
    """Sort the entries of a directory by what they are.

    Parameters
    ----------
    place
        The directory; one that is not there has no entries.
    name_function
        How the write names its files, of a number; None for ``part.N.parquet``.
    npartitions
        Files that it writes.
    known
        Names of files that are of the dataset.
    every
        Whether every parquet file of the directory itself is of the dataset, whatever its name.
    """
    try:
        found = sorted(os.scandir(place), key=lambda entry: entry.name)
    except FileNotFoundError:
        return Entries()
    named = {*known}
    if name_function is not None:
        # An earlier write by the same function may have had more partitions.
        named |= {name_function(number) for number in range(npartitions + len(found))}
    data, files, directories = [], [], []
    strange = None
    for entry in found:
        name = entry.name
        if WORK_NAME.fullmatch(name):
            continue
        if entry.is_dir():
            directories.append(name)
            below = [name] if name.endswith(PARQUET_SUFFIXES) else _parquet_below(entry.path, name)
            strange = strange or next(iter(below), None)
        elif _PART.fullmatch(name) or name in METADATA_NAMES or name in named:
            data.append(name)
        elif name.endswith(PARQUET_SUFFIXES):
            if every:
                data.append(name)
            else:
                files.append(name)
                strange = strange or name
        else:
            files.append(name)
    return Entries(tuple(data), tuple(files), tuple(directories), strange)


def _parquet_below(directory: str, name: str) -> Iterator[str]:
    for path, _, files in os.walk(directory):
        for file in files:
            if file.endswith(PARQUET_SUFFIXES):
                yield str(Path(name, os.path.relpath(path, directory), file))


def generation_of(place: Path, names: tuple[str, ...]) -> Generation:
    """Return what distinguishes the files of a dataset from those that another write would leave."""
    found = []
    for name in names:
        try:
            stat = (place / name).stat()
        except FileNotFoundError:
            continue
        found.append((name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def footer_of(path: str, fs: Any) -> pq.FileMetaData:
    """Read the footer of a file that is there before a write.

    Raises
    ------
    ValidationError
        When it has none.
    """
    try:
        return pq.read_metadata(path, filesystem=fs)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        msg = f"{path!r} is not a readable parquet file: {error}."
        raise ValidationError(msg, hint="Move it away, or write it again, before you append rows.") from error

"""What ``to_parquet`` looks at before it writes: columns, the target, room on the disk.

Covers: refusals, in words.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from safeframe.engine.parquet.commit import local_entries
from safeframe.engine.parquet.entries import Entries
from safeframe.engine.parquet.target import Dataset, ParquetTarget, index_names
from safeframe.errors import (
    OutputTooLargeError,
    StagingError,
    StagingFullError,
    UnsupportedError,
    ValidationError,
)
from safeframe.sizing.directory import free_nbytes
from safeframe.units import format_nbytes


def check_columns(meta: Any, *, write_index: bool) -> None:
    """Refuse columns that parquet cannot name."""
    columns = list(meta.columns)
    wrong = [name for name in columns if not isinstance(name, str)]
    if wrong:
        msg = f"Column names in parquet are strings, and {wrong[0]!r} is not."
        raise UnsupportedError(msg, hint="Rename them first: ddf.columns = ddf.columns.map(str).")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        msg = f"Columns of the same name cannot be written: {', '.join(map(repr, twice))}."
        raise UnsupportedError(msg, hint="Rename them first, or drop one.")
    if not write_index:
        return
    for index in index_names(meta.index):
        if index in columns:
            msg = f"The index and a column are both named {index!r}."
            raise UnsupportedError(msg, hint="Rename one of them, or pass write_index=False.")
        if not isinstance(index, str):
            msg = f"Column names in parquet are strings, and the index is named {index!r}."
            raise UnsupportedError(msg, hint="Rename the index first, or pass write_index=False.")


def check_target(target: Dataset, npartitions: int, known: Collection[str]) -> Entries:
    """Refuse a target whose files must not be replaced; return what lies there.

    Raises
    ------
    ValidationError
        When it has files and may not be overwritten, or a parquet file that is not of the dataset.
    UnsupportedError
        When files of an object store are to be overwritten.
    """
    if not target.is_local:
        _check_prefix(target)
        return Entries()
    place = Path(target.target)
    file = next((path for path in (place, *place.parents) if path.exists() and not path.is_dir()), None)
    if file is not None:
        msg = f"{str(file)!r} is a file; a dataset is a directory."
        raise ValidationError(msg, hint="Name a directory.")
    try:
        entries = local_entries(target, npartitions, known)
    except OSError as error:
        msg = f"{str(place)!r} cannot be read: {error.strerror or error}."
        raise StagingError(msg, hint="Name a directory that you can read.", directory=str(place)) from error
    if target.append:
        return entries
    if not target.overwrite and (entries.data or entries.strange_parquet):
        msg = f"{str(place)!r} exists and has {len(entries.data or (entries.strange_parquet,))} entries."
        raise ValidationError(msg, hint="Pass overwrite=True to replace it, or write to another path.")
    if entries.strange_parquet is not None:
        msg = (
            f"{str(place)!r} has a parquet file that is not of the dataset, {entries.strange_parquet!r}. It would not be "
            "removed, but read along with the new files."
        )
        raise ValidationError(msg, hint="Move it away first, or write to another path.")
    if entries.data and place in (Path.cwd(), *Path.cwd().parents):
        msg = f"{str(place)!r} is, or contains, the working directory."
        raise ValidationError(msg, hint="Change to another directory first, or write to another path.")
    return entries


def _check_prefix(target: Dataset) -> None:
    fs, place = target.fs, target.target
    if target.append or not fs.exists(place) or not fs.find(place):
        return
    if target.overwrite:
        msg = f"{place!r} cannot be overwritten: object stores cannot swap files in one step."
        hint = "Write to a new prefix, and remove the old one when readers are done."
        raise UnsupportedError(msg, hint=hint)
    msg = f"{place!r} already has files."
    raise ValidationError(msg, hint="Write to a new prefix.")


def refuse_larger_files(nbytes: int, max_nbytes: int) -> None:
    """Refuse files that are predicted to be larger than the user allows."""
    if nbytes <= max_nbytes:
        return
    msg = f"Files of about {format_nbytes(nbytes)} would be written; max_output= allows {format_nbytes(max_nbytes)}."
    hint = "Write fewer columns or rows, or raise max_output=."
    raise OutputTooLargeError(msg, hint=hint, output_nbytes=nbytes, max_output_nbytes=max_nbytes)


def check_room(nbytes: int, certain: float, place: str) -> None:
    """Refuse what cannot fit, where a plan says how large the files are."""
    needed = int(nbytes * certain)
    free = free_nbytes(place)
    if needed > free:
        msg = (
            f"Files of {format_nbytes(needed)} or more would be written to {place!r}; its disk has "
            f"{format_nbytes(free)} free ({format_nbytes(nbytes)} before compression)."
        )
        hint = "Free some disk, or write to a path on another one."
        raise StagingFullError(msg, hint=hint, needed_nbytes=needed, free_nbytes=free)


def remove_remote(target: ParquetTarget, npartitions: int) -> None:
    """Remove the files of a write that failed, where they are at their place already."""
    if target.is_local:
        return
    for number in range(npartitions):
        path = target.path_of(target.file_name(number))
        if target.fs.exists(path):
            target.fs.rm(path)

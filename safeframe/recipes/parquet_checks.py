"""What ``to_parquet`` looks at before it writes: columns, the target, room on the disk.

Covers: refusals, in words, and the schema of all files.
Does not cover: writing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import fsspec
import pyarrow as pa
from dask.dataframe.utils import meta_nonempty

from safeframe.engine.parquet_tasks import INDEX_LABEL, ParquetTarget
from safeframe.errors import OutputTooLargeError, StagingFullError, UnsupportedError, ValidationError
from safeframe.sizing.disk import free_nbytes
from safeframe.units import format_nbytes

__all__ = [
    "check_columns",
    "check_room",
    "check_target",
    "file_schema",
    "located",
    "refuse_larger_files",
    "remove_remote",
]

_OURS = ("_metadata", "_common_metadata")


def check_columns(ddf: dd.DataFrame, *, write_index: bool) -> None:
    """Refuse columns that parquet cannot name."""
    columns = list(ddf.columns)
    wrong = [name for name in columns if not isinstance(name, str)]
    if wrong:
        msg = f"Parquet names columns by strings, and {wrong[0]!r} is none."
        raise UnsupportedError(msg, hint="Rename them first: ddf.columns = ddf.columns.map(str).")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        msg = f"Columns of the same name cannot be written: {', '.join(map(repr, twice))}."
        raise UnsupportedError(msg, hint="Rename them first, or drop one.")
    index = ddf._meta.index.name or INDEX_LABEL
    if write_index and index in columns:
        msg = f"The index and a column are both called {index!r}."
        raise UnsupportedError(msg, hint="Rename one of them, or say write_index=False.")
    if write_index and not isinstance(index, str):
        msg = f"Parquet names columns by strings, and the index is called {index!r}."
        raise UnsupportedError(msg, hint="Rename the index first, or say write_index=False.")


def located(path: str | os.PathLike[str], storage_options: dict[str, Any] | None) -> tuple[str, str]:
    """Give what fsspec calls the store, and the path in it."""
    text = os.fspath(path)
    fs, place = fsspec.core.url_to_fs(text, **(storage_options or {}))
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    if protocol in ("file", "local"):
        # Through links: the directory that a link names is swapped, not the link.
        return "file", str(Path(place).expanduser().resolve())
    return protocol, place.rstrip("/")


def check_target(
    protocol: str, place: str, storage_options: dict[str, Any] | None, *, overwrite: bool
) -> None:
    """Refuse a target whose files must not be replaced."""
    if protocol == "file":
        _check_directory(Path(place), overwrite=overwrite)
        return
    fs = fsspec.filesystem(protocol, **(storage_options or {}))
    if not fs.exists(place) or not fs.find(place):
        return
    if overwrite:
        msg = f"{protocol}://{place} cannot be overwritten: object stores have no swap that is done at once."
        raise UnsupportedError(
            msg, hint="Write to a new prefix, and remove the old one when readers are done."
        )
    msg = f"{protocol}://{place} has files already."
    raise ValidationError(msg, hint="Write to a new prefix.")


def _check_directory(place: Path, *, overwrite: bool) -> None:
    if not place.exists():
        return
    if not place.is_dir():
        msg = f"{str(place)!r} is a file; a dataset is a directory."
        raise ValidationError(msg, hint="Name a directory.")
    found = list(place.iterdir())
    if found and not overwrite:
        msg = f"{str(place)!r} exists and has {len(found)} entries."
        raise ValidationError(msg, hint="Say overwrite=True to replace it, or write to another path.")
    strange = [
        entry.name
        for entry in found
        if not (
            entry.is_file()
            and (entry.suffix in (".parquet", ".parq") or entry.name in _OURS or entry.name.startswith("."))
        )
    ]
    if strange:
        msg = f"{str(place)!r} has what is not a parquet file, and is not removed: {strange[0]!r}."
        raise ValidationError(msg, hint="Move it away first, or write to another path.")
    if found and place in (Path.cwd(), *Path.cwd().parents):
        msg = f"{str(place)!r} is, or contains, the working directory."
        raise ValidationError(msg, hint="Change to another directory first, or write to another path.")


def refuse_larger_files(nbytes: int, max_nbytes: int) -> None:
    """Refuse files that are predicted to be larger than the user allows."""
    if nbytes <= max_nbytes:
        return
    msg = f"Files of about {format_nbytes(nbytes)} would be written, and max_output= allows {format_nbytes(max_nbytes)}."
    hint = "Write fewer columns or rows, or raise max_output=."
    raise OutputTooLargeError(msg, hint=hint, output_nbytes=nbytes, max_output_nbytes=max_nbytes)


def check_room(nbytes: int, certain: float, place: str) -> None:
    """Refuse what cannot fit, where a plan says how large the files are."""
    needed = int(nbytes * certain)
    free = free_nbytes(place)
    if needed > free:
        msg = (
            f"Files of {format_nbytes(needed)} at the least are to be written to {place!r}, and its disk has "
            f"{format_nbytes(free)} free ({format_nbytes(nbytes)} before compression)."
        )
        hint = "Free some disk, or write to a path on another one."
        raise StagingFullError(msg, hint=hint, needed_nbytes=needed, free_nbytes=free)


def file_schema(ddf: dd.DataFrame, *, write_index: bool) -> pa.Schema:
    """Give the schema of all files, from the frame's types."""
    try:
        meta = meta_nonempty(ddf._meta)
        if write_index and meta.index.name is None:
            meta.index = meta.index.rename(INDEX_LABEL)
        schema = pa.Schema.from_pandas(meta, preserve_index=write_index)
    except (pa.ArrowException, TypeError, ValueError) as error:
        # dask has no rows to show of some types, intervals among them.
        msg = f"The frame's types cannot be written: {error}."
        raise UnsupportedError(msg, hint="Cast the column to a type that parquet has, or drop it.") from error
    # Partitions have categories of their own, and more of them than the meta.
    fields = [
        field.with_type(pa.dictionary(pa.int32(), field.type.value_type, field.type.ordered))
        if pa.types.is_dictionary(field.type)
        else field
        for field in schema
    ]
    return pa.schema(fields)


def remove_remote(target: ParquetTarget, npartitions: int) -> None:
    """Remove the files of a write that failed, where they are at their place already."""
    if target.is_local:
        return
    fs = target.file_system()
    for number in range(npartitions):
        path = f"{target.directory}/part.{number}.parquet"
        if fs.exists(path):
            fs.rm(path)

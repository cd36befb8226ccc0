"""``safeframe.to_parquet``: parquet files, written fast, that are there all at once or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import fsspec
import pyarrow as pa
from dask.base import tokenize
from dask.dataframe.utils import meta_nonempty

from safeframe import options
from safeframe.engine._dask import fingerprint, new_collection
from safeframe.engine.atomic_swap import Swap
from safeframe.engine.joined_write import JoinedFrame, joined_form, joined_frame, unwritable
from safeframe.engine.parquet_nodes import JoinedToParquet, SafeToParquet, close_target
from safeframe.engine.parquet_tasks import INDEX_LABEL, ParquetTarget
from safeframe.engine.write_progress import WriteProgress, progress_lines
from safeframe.errors import OutputTooLargeError, StagingFullError, UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.kernels.joined_file import JoinedForm
from safeframe.kernels.parquet_encoding import Compression, check_compression
from safeframe.planning.parquet import row_group_nbytes
from safeframe.sizing.cluster import measure_budget
from safeframe.sizing.disk import free_nbytes
from safeframe.units import format_nbytes, parse_nbytes

__all__ = ["to_parquet"]

_OURS = ("_metadata", "_common_metadata")


def to_parquet(
    ddf: dd.DataFrame,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    compression: Compression = "auto",
    write_index: bool = True,
    row_group_rows: int | None = None,
    memory: str | int | None = None,
    storage_options: dict[str, Any] | None = None,
    compute: bool = True,
    strategy: str | None = None,
    max_output: str | int | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Any:
    """Write a dask dataframe to parquet files, all of them or none.

    Parameters
    ----------
    ddf
        The frame.
    path
        A directory, or a URL that fsspec knows.
    overwrite
        Whether files at ``path`` may be replaced: at once, when all new ones
        are there. It may be the path that ``ddf`` is read from. Local paths only.
    compression
        ``"auto"`` (snappy), a codec for all columns, a dictionary of codecs by
        column, or None.
    write_index
        Whether to write the index, as dask and pandas do.
    row_group_rows
        Rows of a row group. By default as many as an eighth of what one task
        may use holds, 64 MiB at most.
    memory
        Bytes that one worker may use. By default the smallest connected
        worker's limit; without a client, what the machine leaves.
    storage_options
        Arguments for fsspec's file system.
    compute
        Whether to write now. Otherwise a lazy object is returned that writes
        when it is computed, commit included.
    strategy
        ``"rows"`` to make every row, ``"blocks"`` to write a merge without its
        rows or to be told why that cannot be; None to let the plan choose.
    max_output
        Refuse the write when its files are predicted to be larger than this
        many bytes.
    resume
        For a merge that is written without its rows: go on from the files that
        an earlier run to ``path`` has finished, of the same inputs, arguments
        and workers; and leave what is finished where it is should this one fail.
    progress
        Whether to say on standard error, every few seconds, how many files and
        rows are written and how long the rest may take. Local paths only.

    Returns
    -------
    None or dask collection
        With ``compute=False``, a collection that computes to None.

    Raises
    ------
    ValidationError
        When ``path`` has files and may not be overwritten, or has files that
        are not parquet.
    UnsupportedError
        When parquet cannot hold the columns; when an object store is to be overwritten.
    SchemaMismatchError
        When a partition's columns are not those of the frame.
    OutputTooLargeError
        When the files are predicted to be larger than ``max_output``.
    MemoryBudgetError
        When a merge is written and its plan does not fit the workers.
    StagingFullError, StagingError
        When the disk has no room, or cannot be written.
    RowConservationError
        When a file has other rows than were written to it; the target is then as it was.

    Notes
    -----
    **Files.** ``part.0.parquet``, ``part.1.parquet``, … in the order of the
    partitions, of one schema, without ``_metadata``.

    **Merges.** A merge that repeats its rows many times, or some of its columns
    by any name, is written without making its rows, where the workers share a
    staging directory: the values of either side as dictionaries, and codes for
    where they stand. Its files are of some 128 MiB and are read like any others;
    ``safeframe.explain(merged)`` says which way is taken, and how large they are. An
    index that counts rows then counts those of each file.

    **Memory.** A partition, and one row group of it twice: at most three times
    the partition. Each partition is written by the task that makes it.

    **Disk.** The new files beside the old ones until the swap. Nothing is
    flushed: a killed process loses nothing, a power cut may.

    **Passes.** One.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     to_parquet(frame, f"{directory}/out")
    ...     len(dd.read_parquet(f"{directory}/out"))
    3
    """
    if row_group_rows is not None and row_group_rows < 1:
        msg = f"row_group_rows={row_group_rows} is not a number of rows."
        raise ValidationError(msg, hint="Give 1 or more, or None.")
    if strategy not in (None, "rows", "blocks"):
        msg = f"strategy={strategy!r} is not a way to write parquet."
        raise ValidationError(msg, hint='Use "rows" or "blocks", or leave it out.')
    _check_columns(ddf, write_index=write_index)
    check_compression(compression, [*ddf.columns])
    protocol, place = _located(path, storage_options)
    _check_target(protocol, place, storage_options, overwrite=overwrite)
    budget = measure_budget(None if memory is None else parse_nbytes(memory, argument="memory"))
    target = ParquetTarget(
        target=place,
        directory=place,
        protocol=protocol,
        storage_options=tuple((storage_options or {}).items()),
        schema=_schema(ddf, write_index=write_index),
        dtypes=tuple(zip(ddf._meta.columns, ddf._meta.dtypes, strict=True)),
        write_index=write_index,
        compression=compression,
        overwrite=overwrite,
        group_rows=row_group_rows,
        group_nbytes=row_group_nbytes(budget.task_nbytes),
        as_rows=strategy == "rows",
    )
    merge = _without_rows(ddf, target, strategy, resume=resume)
    file_nbytes, certain = _file_nbytes(ddf, merge)
    if max_output is not None:
        _refuse_larger(file_nbytes, parse_nbytes(max_output, argument="max_output"))
    token = uuid.uuid4().hex[:12]
    if protocol == "file":
        _check_room(file_nbytes, certain, place)
        if merge is not None:
            token = _token_of(joined_form(merge, target), merge, target, resume=resume) or token
        target = replace(target, directory=str(Swap(place, token).directory), resume=resume)
        if merge is not None and resume:
            merge = merge.divided_as_before(target.directory)
    written = new_collection(_expression(ddf, merge, target, token))
    if not compute:
        return written
    try:
        with _progress(ddf, merge, target) if progress and target.is_local else contextlib.nullcontext():
            dask.compute(written)
    except BaseException:
        _remove_remote(target, ddf.npartitions if merge is None else merge.plan.written.output_partitions)
        raise
    finally:
        close_target(token)
    return None


def _check_columns(ddf: dd.DataFrame, *, write_index: bool) -> None:
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


def _located(path: str | os.PathLike[str], storage_options: dict[str, Any] | None) -> tuple[str, str]:
    """Give what fsspec calls the store, and the path in it."""
    text = os.fspath(path)
    fs, place = fsspec.core.url_to_fs(text, **(storage_options or {}))
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    if protocol in ("file", "local"):
        # Through links: the directory that a link names is swapped, not the link.
        return "file", str(Path(place).expanduser().resolve())
    return protocol, place.rstrip("/")


def _check_target(
    protocol: str, place: str, storage_options: dict[str, Any] | None, *, overwrite: bool
) -> None:
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


def _without_rows(
    ddf: dd.DataFrame, target: ParquetTarget, strategy: str | None, *, resume: bool
) -> JoinedFrame | None:
    """Find the merge that is written without its rows, or None where rows are made."""
    found = None if target.as_rows else joined_frame(ddf.expr.simplify(), write_index=target.write_index)
    refused = found if isinstance(found, str) else None
    if isinstance(found, JoinedFrame):
        refused = unwritable(target)
        if refused is None:
            if resume and not target.is_local:
                msg = "resume= needs a local path, and this is an object store."
                raise UnsupportedError(msg, hint="Write to a directory, or leave resume= out.")
            return found
    if resume or strategy == "blocks":
        why = refused or ("strategy='rows' was asked for" if target.as_rows else "it is no safeframe.merge")
        msg = f"This frame is not written without its rows: {why}."
        raise UnsupportedError(msg, hint="Leave resume= and strategy= out.")
    return None


def _expression(ddf: dd.DataFrame, merge: JoinedFrame | None, target: ParquetTarget, token: str) -> Any:
    if merge is None:
        return SafeToParquet(ddf.expr, target, token)
    sides = merge.merge.left, merge.merge.right
    return JoinedToParquet(*sides, joined_form(merge, target), merge.plan, target, token)


def _progress(
    ddf: dd.DataFrame, merge: JoinedFrame | None, target: ParquetTarget
) -> contextlib.AbstractContextManager[None]:
    files, rows = ddf.npartitions, None
    if merge is not None:
        files, rows = merge.plan.written.output_partitions, int(merge.plan.output_rows)
    return progress_lines(WriteProgress(target.directory, files, rows))


def _file_nbytes(ddf: dd.DataFrame, merge: JoinedFrame | None) -> tuple[int, float]:
    """Predict the bytes of all files, where a plan can, and the part of them that is certain."""
    if merge is not None:
        write = merge.plan.write
        assert write is not None, "looked at when the merge was found"
        return write.file_nbytes, options.JOINED_FILE_FRACTION
    operands = getattr(ddf.expr, "_parameters", ())
    plan = ddf.expr.operand("plan") if "plan" in operands else None
    return (int(plan.output_nbytes.lower), options.FILE_FRACTION) if isinstance(plan, Plan) else (0, 0.0)


def _refuse_larger(nbytes: int, max_nbytes: int) -> None:
    if nbytes <= max_nbytes:
        return
    msg = f"Files of about {format_nbytes(nbytes)} would be written, and max_output= allows {format_nbytes(max_nbytes)}."
    hint = "Write fewer columns or rows, or raise max_output=."
    raise OutputTooLargeError(msg, hint=hint, output_nbytes=nbytes, max_output_nbytes=max_nbytes)


def _check_room(nbytes: int, certain: float, place: str) -> None:
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


def _token_of(form: JoinedForm, merge: JoinedFrame, target: ParquetTarget, *, resume: bool) -> str | None:
    """Name a write by what it writes, so that a later run finds its files; None while another does just that."""
    sides = fingerprint(merge.merge.left), fingerprint(merge.merge.right)
    token: str = tokenize(*sides, replace(form, group_rows=target.group_rows or 0))[:12]
    if not Swap(target.target, token).busy:
        return token
    if resume:
        msg = f"Another process writes the same merge to {target.target!r} now."
        raise ValidationError(msg, hint="Wait for it to end, or write to another path.")
    return None


def _schema(ddf: dd.DataFrame, *, write_index: bool) -> pa.Schema:
    """Give the schema of all files, from the frame's types."""
    meta = meta_nonempty(ddf._meta)
    if write_index and meta.index.name is None:
        meta.index = meta.index.rename(INDEX_LABEL)
    try:
        schema = pa.Schema.from_pandas(meta, preserve_index=write_index)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
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


def _remove_remote(target: ParquetTarget, npartitions: int) -> None:
    """Remove the files of a write that failed, where they are at their place already."""
    if target.is_local:
        return
    fs = target.file_system()
    for number in range(npartitions):
        path = f"{target.directory}/part.{number}.parquet"
        if fs.exists(path):
            fs.rm(path)

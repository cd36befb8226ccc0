"""``safeframe.to_parquet``: parquet files, written fast, that are there all at once or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import replace
from typing import Any

import dask
import dask.dataframe as dd
from dask.base import tokenize

from safeframe import options
from safeframe.engine._dask import fingerprint, new_collection
from safeframe.engine.atomic_swap import Swap
from safeframe.engine.joined_write import JoinedFrame, joined_form, joined_frame, unwritable
from safeframe.engine.merge_nodes import FilteredMerge
from safeframe.engine.parquet_nodes import JoinedToParquet, SafeToParquet, close_target
from safeframe.engine.parquet_tasks import ParquetTarget
from safeframe.engine.write_progress import WriteProgress, progress_lines
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.kernels.joined_file import JoinedForm
from safeframe.kernels.parquet_encoding import Compression, check_compression
from safeframe.planning.parquet import row_group_nbytes
from safeframe.recipes.given_budget import given_budget
from safeframe.recipes.parquet_checks import (
    check_columns,
    check_room,
    check_target,
    file_schema,
    located,
    refuse_larger_files,
    remove_remote,
)
from safeframe.units import parse_nbytes

__all__ = ["to_parquet"]


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
        ``"auto"`` (snappy, none for floats that it does not help), a codec for all columns, a dictionary of codecs by
        column, or None.
    write_index
        Whether to write the index, as dask and pandas do.
    row_group_rows
        Rows of a row group. By default as many as an eighth of what one task
        may use holds, 64 MiB at most; a merge that is written without its rows
        never has larger ones.
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
        many bytes: those of a frame that a recipe has just made.
    resume
        For a merge that is written without its rows: go on from the files that
        an earlier run to ``path`` has finished, of the same inputs, arguments
        and workers; and leave what is finished where it is should this one
        fail. Both sides are read and staged again, whole.
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

    **Merges.** A merge that repeats its rows many times, with columns and
    filters that are of one side each, is written without making its rows, where
    the workers share a staging directory: the values of either side as dictionaries, and codes for
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
    check_columns(ddf, write_index=write_index)
    check_compression(compression, [*ddf.columns])
    protocol, place = located(path, storage_options)
    check_target(protocol, place, storage_options, overwrite=overwrite)
    budget = given_budget(memory)
    target = ParquetTarget(
        target=place,
        directory=place,
        protocol=protocol,
        storage_options=tuple((storage_options or {}).items()),
        schema=file_schema(ddf, write_index=write_index),
        dtypes=tuple(zip(ddf._meta.columns, ddf._meta.dtypes, strict=True)),
        write_index=write_index,
        compression=compression,
        overwrite=overwrite,
        group_rows=row_group_rows,
        group_nbytes=row_group_nbytes(budget.task_nbytes),
        as_rows=strategy == "rows",
    )
    merge = _without_rows(ddf, target, strategy, resume=resume)
    if merge is not None:
        target = replace(target, rows=merge.merge.counted_rows)
    file_nbytes, certain = _file_nbytes(ddf, merge)
    if max_output is not None:
        # Of rows that are made only the least that they take is known.
        foretold = file_nbytes if merge is not None else int(file_nbytes * certain)
        refuse_larger_files(foretold, parse_nbytes(max_output, argument="max_output"))
    token = uuid.uuid4().hex[:12]
    if protocol == "file":
        check_room(file_nbytes, certain, place)
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
        remove_remote(target, ddf.npartitions if merge is None else merge.plan.written.output_partitions)
        raise
    finally:
        close_target(token)
    return None


def _without_rows(
    ddf: dd.DataFrame, target: ParquetTarget, strategy: str | None, *, resume: bool
) -> JoinedFrame | None:
    """Find the merge that is written without its rows, or None where rows are made."""
    found = None if target.as_rows else joined_frame(ddf.expr, write_index=target.write_index)
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
        # How many rows a filter leaves is not known.
        filtered = isinstance(merge.merge, FilteredMerge)
        return write.file_nbytes, 0.0 if filtered else options.JOINED_FILE_FRACTION
    operands = getattr(ddf.expr, "_parameters", ())
    plan = ddf.expr.operand("plan") if "plan" in operands else None
    return (int(plan.output_nbytes.lower), options.FILE_FRACTION) if isinstance(plan, Plan) else (0, 0.0)


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

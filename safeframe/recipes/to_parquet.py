"""``safeframe.to_parquet``: write parquet files fast, all of them or none."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pyarrow as pa
from dask.base import tokenize

from safeframe import options
from safeframe._dask.expressions import files_read, fingerprint, new_collection
from safeframe.choices import check_choice, check_count, check_flags
from safeframe.engine.merge.nodes import FilteredMerge
from safeframe.engine.parquet.nodes import JoinedToParquet, SafeToParquet, close_target, open_target
from safeframe.engine.parquet.progress import WriteProgress, progress_lines
from safeframe.engine.parquet.swap import Swap, recover, writes_inside
from safeframe.engine.parquet.tasks import INDEX_LABEL, ParquetTarget
from safeframe.engine.parquet.without_rows import JoinedFrame, joined_form, joined_frame, unwritable
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.kernels.parquet.joined import JoinedForm
from safeframe.kernels.parquet.writer_options import Compression, check_compression
from safeframe.planning.parquet import row_group_nbytes
from safeframe.prepare.arguments import check_frame, given_budget
from safeframe.prepare.parquet.append import appended_to
from safeframe.prepare.parquet.arguments import (
    Schema,
    check_engine,
    check_file_names,
    check_mappings,
    check_partition_on,
    checked_writer_options,
    file_schema,
    footer_metadata,
    located,
)
from safeframe.prepare.parquet.checks import (
    check_columns,
    check_room,
    check_target,
    refuse_larger_files,
    remove_remote,
)
from safeframe.units import parse_nbytes

__all__ = ["to_parquet"]


def to_parquet(
    ddf: Any,
    path: str | os.PathLike[str],
    *,
    compression: Compression = "auto",
    write_index: bool = True,
    append: bool = False,
    overwrite: bool = False,
    ignore_divisions: bool = False,
    partition_on: Sequence[str] | str | None = None,
    storage_options: dict[str, Any] | None = None,
    custom_metadata: Mapping[Any, Any] | None = None,
    write_metadata_file: bool | None = None,
    compute: bool = True,
    compute_kwargs: dict[str, Any] | None = None,
    schema: Schema = "infer",
    name_function: Callable[[int], str] | None = None,
    filesystem: Any = None,
    engine: str | None = None,
    row_group_rows: int | None = None,
    memory: str | int | None = None,
    strategy: str | None = None,
    max_output: str | int | None = None,
    resume: bool = False,
    progress: bool = False,
    row_group_size: int | None = None,
    **writer_options: Any,
) -> Any:
    """Write a dask dataframe to parquet files, all of them or none.

    Parameters
    ----------
    ddf
        The dask dataframe.
    path
        A directory, or a URL that fsspec knows.
    compression
        ``"auto"`` (snappy, except for floats that it does not help), a codec for all columns, a dictionary of codecs
        by column, or None.
    write_index
        Whether to write the index, as dask and pandas do.
    append
        Whether to add files to those at ``path``, numbered after them. Columns and types
        have to agree.
    overwrite
        Whether to replace the files of a dataset at ``path``, in one step after all new files are
        written. ``ddf`` may be read from the same path. Files that are not of the dataset stay. Local paths only.
    ignore_divisions
        With ``append``, whether the index may begin before the end of the files' index.
    partition_on
        Refused with an error: files are not divided by the values of columns.
    storage_options
        Arguments for fsspec's file system.
    custom_metadata
        Keys and values for the footer of each file.
    write_metadata_file
        Whether to write ``_metadata``, with the footers of all files; None to do so if
        ``append`` finds one.
    compute
        Whether to write now. If False, a lazy object is returned that writes
        and commits when it is computed.
    compute_kwargs
        Arguments for :func:`dask.compute`.
    schema
        ``"infer"`` for the frame's types, a dictionary of types for some columns, a ``pyarrow.Schema`` of the
        columns to write, or None for the schema of each partition in its file.
    name_function
        Function of a file's number that returns its name, ending in ``.parquet``; ``part.N.parquet`` by default.
    filesystem
        ``"fsspec"``, ``"arrow"``, or a file system of either.
    engine
        ``"pyarrow"``, or None.
    row_group_rows
        Rows of a row group. By default as many as fit an eighth of what one
        task may use, 64 MiB at most; also an upper bound for a merge in the
        compact encoding. ``row_group_size`` is another name for it.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    strategy
        ``"rows"`` to write row by row; ``"blocks"`` to write a merge in the
        compact encoding, without its rows, or raise with the reason why it
        cannot be. By default, the plan chooses.
    max_output
        Refuse the write when its files are predicted to be larger than this
        size, as ``"10GiB"`` or in bytes; for frames that a recipe has just made.
    resume
        For a merge in the compact encoding: continue after the files that an
        earlier run with the same inputs, arguments and workers has finished at
        ``path``, and keep finished files if this run fails. Both sides are read
        and staged again, as a whole.
    progress
        Whether to print to standard error, every few seconds, how many files
        and rows are written and the time left. Local paths only.
    row_group_size
        See ``row_group_rows``.
    **writer_options
        Further arguments of :func:`pyarrow.parquet.write_table`, such as ``coerce_timestamps``.

    Returns
    -------
    None or dask collection
        With ``compute=False``, a collection that computes to None.

    Raises
    ------
    ValidationError
        When ``path`` has files and ``overwrite`` is False, or has a parquet file that is not of the dataset;
        when another write to it is running or has changed it; when an argument is invalid.
    UnsupportedError
        When parquet cannot hold the columns; when an object store would be overwritten.
    SchemaMismatchError
        When a partition's columns are not those of the frame, or appended ones not those of the files.
    OutputTooLargeError
        When the files are predicted to be larger than ``max_output``.
    MemoryBudgetError
        When the plan of a merge does not fit the workers.
    StagingFullError, StagingError
        When the disk is full, or cannot be written.
    RowConservationError
        When a file's rows are not those that were written to it; the target is then unchanged.

    Notes
    -----
    **Files.** ``part.0.parquet``, ``part.1.parquet``, … in the order of the partitions, with one schema. Files with
    such names, names that ``name_function`` returns, and ``_metadata`` are of the dataset; no others are removed.

    **All or none.** The new files are written to a hidden directory next to the target, and the two are
    swapped. The target keeps its owner and mode. Some targets cannot be renamed: mount points, directories whose
    parent is not writable, and those with directories of another user. Then the hidden directory is inside the
    target, and files are moved at the end. A process killed at that moment leaves files of both; the next write
    moves the rest first.

    **Merges.** A merge that repeats its rows many times, and whose columns and
    filters use one side each, is written without materialising its rows if the
    workers share a staging directory: each side's values as dictionaries, and codes that repeat them (the
    compact encoding). Such files have some 128 MiB and are ordinary parquet; ``safeframe.explain(merged)`` says
    which way is taken, and their size. An index that counts rows then counts those of each file.

    **Memory.** A partition, and one of its row groups twice: at most three times the partition. The task that
    computes a partition also writes it.

    **Disk.** New files are next to the old ones until the swap. They are not synced: a power failure may lose some.

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
    ddf = check_frame(ddf, "ddf")
    group_rows = row_group_rows if row_group_size is None else row_group_size
    group_argument = "row_group_rows" if row_group_size is None else "row_group_size"
    check_count(group_rows, argument=group_argument, what="a number of rows")
    if strategy is not None:
        check_choice(strategy, ("rows", "blocks"), argument="strategy", what="a way to write parquet")
    check_flags(
        append=append,
        overwrite=overwrite,
        write_index=write_index,
        ignore_divisions=ignore_divisions,
        compute=compute,
        resume=resume,
        progress=progress,
    )
    check_mappings(
        storage_options=storage_options, custom_metadata=custom_metadata, compute_kwargs=compute_kwargs
    )
    if write_metadata_file is not None:
        check_flags(write_metadata_file=write_metadata_file)
    if append and (overwrite or resume):
        msg = f"append=True and {'overwrite' if overwrite else 'resume'}=True exclude each other."
        raise ValidationError(msg, hint="Pass one of them.")
    check_engine(engine)
    check_partition_on(partition_on)
    if (
        isinstance(schema, pa.Schema)
        and (getattr(ddf._meta.index, "name", None) or INDEX_LABEL) not in schema.names
    ):
        write_index = False  # as dask has it
    check_columns(ddf, write_index=write_index)
    check_compression(compression, [*ddf.columns])
    fs, place = located(path, storage_options, filesystem)
    if fs is None:
        recover(Path(place))
    check_file_names(name_function, 0, ddf.npartitions)
    checked = file_schema(ddf, schema, write_index=write_index)
    found = appended_to(fs, place, name_function, ddf.npartitions) if append else None
    if found is not None:
        checked = found.in_order(checked)
        found.check_pandas(ddf)
        if not ignore_divisions:
            found.check_divisions(ddf)
    budget = given_budget(memory)
    target = ParquetTarget(
        target=place,
        directory=place,
        fs=fs,
        schema=checked,
        dtypes=tuple(zip(ddf._meta.columns, ddf._meta.dtypes, strict=True)),
        write_index=write_index,
        compression=compression,
        overwrite=overwrite,
        append=found is not None,
        inside=False,
        first=0 if found is None else found.first,
        name_function=name_function,
        custom_metadata=footer_metadata(custom_metadata),
        metadata_file=bool(found and found.has_metadata)
        if write_metadata_file is None
        else write_metadata_file,
        writer_options=checked_writer_options(writer_options, checked, compression),
        group_rows=group_rows,
        group_nbytes=row_group_nbytes(budget.task_nbytes),
        as_rows=strategy == "rows",
    )
    known = _files_read_from(ddf, place) if target.is_local else ()
    entries = check_target(target, ddf.npartitions, known)
    merge = _without_rows(ddf, target, strategy, resume=resume)
    npartitions = ddf.npartitions
    if merge is not None:
        target = replace(target, rows=merge.merge.counted_rows)
        npartitions = merge.plan.written.output_partitions
    check_file_names(name_function, target.first, npartitions)
    file_nbytes, certain = _file_nbytes(ddf, merge)
    if max_output is not None:
        # Of materialised rows only the least that they take is known.
        predicted = file_nbytes if merge is not None else int(file_nbytes * certain)
        refuse_larger_files(predicted, parse_nbytes(max_output, argument="max_output"))
    token = uuid.uuid4().hex[:12]
    if target.is_local:
        check_room(file_nbytes, certain, place)
        inside = writes_inside(Path(place), entries)
        if merge is not None:
            token = _token_of(joined_form(merge, target), merge, target, inside, resume=resume) or token
        directory = str(Swap(place, token, inside=inside).directory)
        target = replace(target, directory=directory, inside=inside, resume=resume)
        if merge is not None and resume:
            merge = merge.divided_as_before(directory)
            npartitions = merge.plan.written.output_partitions
    written = new_collection(_expression(ddf, merge, target, token, known))
    if not compute:
        return written
    open_target(target, token, npartitions, known)
    try:
        with _progress(ddf, merge, target) if progress and target.is_local else contextlib.nullcontext():
            dask.compute(written, **(compute_kwargs or {}))
    except BaseException:
        remove_remote(target, npartitions)
        raise
    finally:
        close_target(token)
        if fs is not None:
            fs.invalidate_cache(place)
    return None


def _without_rows(
    ddf: dd.DataFrame, target: ParquetTarget, strategy: str | None, *, resume: bool
) -> JoinedFrame | None:
    """Return the merge that is written without its rows; None for a frame that is written row by row."""
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
        why = refused or (
            "strategy='rows' was requested" if target.as_rows else "it is not the result of safeframe.merge"
        )
        msg = f"This frame cannot be written in the compact encoding, without its rows: {why}."
        raise UnsupportedError(msg, hint="Leave resume= and strategy= out.")
    return None


def _files_read_from(ddf: dd.DataFrame, place: str) -> tuple[str, ...]:
    """List the files of a directory that a frame is read from, and which are therefore of the dataset there."""
    names: dict[str, list[str]] = {}
    for path in files_read(ddf.expr):
        directory, _, name = path.rpartition("/")
        names.setdefault(directory, []).append(name)
    found = (some for directory, some in names.items() if str(Path(directory).resolve()) == place)
    return tuple(sorted({name for some in found for name in some}))


def _expression(
    ddf: dd.DataFrame, merge: JoinedFrame | None, target: ParquetTarget, token: str, known: tuple[str, ...]
) -> Any:
    if merge is None:
        return SafeToParquet(ddf.expr, target, token, known)
    sides = merge.merge.left, merge.merge.right
    return JoinedToParquet(
        *sides, joined_form(merge, target), merge.plan, merge.merge.planned_keys, target, token, known
    )


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


def _token_of(
    form: JoinedForm, merge: JoinedFrame, target: ParquetTarget, inside: bool, *, resume: bool
) -> str | None:
    """Name a write by what it writes, so that a later run finds its files; None while another does just that."""
    sides = fingerprint(merge.merge.left), fingerprint(merge.merge.right)
    token: str = tokenize(
        *sides, replace(form, group_rows=target.group_rows or 0), target.custom_metadata, target.name_function
    )[:12]
    if not Swap(target.target, token, inside=inside).busy:
        return token
    if resume:
        msg = f"Another process is writing the same merge to {target.target!r}."
        raise ValidationError(msg, hint="Wait for it to end, or write to another path.")
    return None

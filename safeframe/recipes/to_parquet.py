"""``safeframe.to_parquet``: write parquet files fast, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask
from dask.dataframe.api import new_collection

from safeframe._dask.parquet import kinds_read
from safeframe.choices import check_count, check_flags
from safeframe.engine.parquet.nodes import close_target, open_target
from safeframe.engine.planned.progress import plan_progress
from safeframe.engine.storage.reach import check_reach
from safeframe.errors import ValidationError
from safeframe.facts.strategies import WriteStrategy
from safeframe.kernels.parquet.writer_options import Compression
from safeframe.prepare.arguments import check_frame
from safeframe.prepare.parquet.arguments import Schema, check_engine, check_mappings, check_partition_on
from safeframe.prepare.parquet.checks import remove_remote
from safeframe.prepare.parquet.dataset import describe_dataset
from safeframe.prepare.parquet.write import PreparedWrite, check_way, prepare_write

_REACH_HINT = (
    "Write to a path that this process and every worker reach under one name, or to an object store. The target "
    "is unchanged."
)


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
    strategy: WriteStrategy | None = None,
    max_output: str | int | None = None,
    resume: bool = False,
    progress: bool | None = None,
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
        compact encoding, or that is written from slices. ``row_group_size`` is another name for it.
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
        Whether to show on standard error how many tasks, rows and files are
        done, and the time left. None for the setting ``safeframe.progress``,
        by which terminals and notebooks show it.
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
    which way is taken, and their size. An index that counts rows then counts those of each file. A merge of
    parquet files with a small side is written from slices of the other side's partitions where that is cheaper, a file
    for each, and nothing is staged.

    **Memory.** Of a frame that is read from parquet files, and of steps that look at one row alone: a slice that is read,
    and a row group twice, whatever a partition has. Of any other frame a partition, and one of its row groups twice: at
    most three times the partition. The task that
    computes a partition also writes it. The result of a recipe, or columns of it, is made a row group at a time where its
    rows were staged: what a task holds then does not grow with ``partition_size``.

    **Disk.** New files are next to the old ones until the swap. They are not synced: a power failure may lose some.

    **Passes.** One.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd, dask.dataframe as dd
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
    check_way(strategy)
    check_flags(
        append=append,
        overwrite=overwrite,
        write_index=write_index,
        ignore_divisions=ignore_divisions,
        compute=compute,
        resume=resume,
    )
    if progress is not None:
        check_flags(progress=progress)
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
    dataset = describe_dataset(
        ddf._meta,
        ddf.divisions,
        kinds_read(ddf.expr),
        path,
        compression=compression,
        write_index=write_index,
        append=append,
        overwrite=overwrite,
        ignore_divisions=ignore_divisions,
        storage_options=storage_options,
        custom_metadata=custom_metadata,
        write_metadata_file=write_metadata_file,
        schema=schema,
        name_function=name_function,
        filesystem=filesystem,
        group_rows=group_rows,
        memory=memory,
        writer_options=writer_options,
    )
    write = prepare_write(ddf, dataset, strategy=strategy, resume=resume, max_output=max_output)
    written = new_collection(write.expression)
    if compute:
        _compute(written, write, compute_kwargs or {}, progress=progress)
        return None
    return written


def _compute(
    written: Any, write: PreparedWrite, compute_kwargs: dict[str, Any], *, progress: bool | None
) -> None:
    """Write all files, or leave the target unchanged."""
    target, token = write.target, write.token
    open_target(target, token, write.files, write.known)
    try:
        if target.is_local:
            # Of the workers that write, which are this process where that is what was asked for.
            given = {
                key: compute_kwargs[key] for key in ("scheduler",) if compute_kwargs.get(key) is not None
            }
            with dask.config.set(given):
                check_reach(target.directory, name=f"directory of {target.target!r}", hint=_REACH_HINT)
        with plan_progress(progress):
            dask.compute(written, **compute_kwargs)
    except BaseException:
        remove_remote(target, write.files)
        raise
    finally:
        close_target(token)
        if target.fs is not None:
            target.fs.invalidate_cache(target.target)

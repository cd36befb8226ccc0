"""The dataset that the arguments of ``to_parquet`` describe.

Covers: which place, which files, of which types, and what there is to append to.
Does not cover: whether rows are made for it, and which directory is written (``prepare.parquet.write``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from safeframe.engine.parquet.swap import recover
from safeframe.engine.parquet.target import Dataset, index_names
from safeframe.kernels.parquet.writer_options import Compression, check_compression
from safeframe.planning.parquet import row_group_nbytes
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.parquet.append import appended_to
from safeframe.prepare.parquet.arguments import (
    Schema,
    check_file_names,
    checked_writer_options,
    file_schema,
    footer_metadata,
    located,
)
from safeframe.prepare.parquet.checks import check_columns
from safeframe.sizing.cluster import set_up_workers


def describe_dataset(
    meta: Any,
    divisions: Sequence[Any],
    read: Mapping[str, pa.DataType],
    path: Any,
    *,
    compression: Compression,
    write_index: bool,
    append: bool,
    overwrite: bool,
    ignore_divisions: bool,
    storage_options: dict[str, Any] | None,
    custom_metadata: Mapping[Any, Any] | None,
    write_metadata_file: bool | None,
    schema: Schema,
    name_function: Callable[[int], str] | None,
    filesystem: Any,
    group_rows: int | None,
    memory: str | int | None,
    writer_options: dict[str, Any],
) -> Dataset:
    """Return what is written of a frame of some types, by the arguments of ``to_parquet`` of the same names.

    ``read`` has the types of columns in the files that the frame is made of.

    A swap in which another write to the same place was killed is finished first.

    Raises
    ------
    ValidationError, UnsupportedError, SchemaMismatchError, StagingError
        When an argument makes no sense, or does not go with the frame or with the files to append to.
    """
    if isinstance(schema, pa.Schema) and not set(index_names(meta.index)) <= set(schema.names):
        write_index = False  # as dask has it
    check_columns(meta, write_index=write_index)
    check_compression(compression, [*meta.columns])
    npartitions = len(divisions) - 1
    fs, place = located(path, storage_options, filesystem)
    if fs is None:
        recover(Path(place))
    check_file_names(name_function, 0, npartitions)
    checked = file_schema(meta, schema, read, write_index=write_index)
    found = appended_to(fs, place, name_function, npartitions) if append else None
    if found is not None:
        checked = found.in_order(checked)
        found.check_pandas(meta)
        if not ignore_divisions:
            found.check_divisions(meta.index.name, divisions)
    has_metadata = found is not None and found.has_metadata
    set_up_workers()
    budget = given_budget(memory)
    return Dataset(
        target=place,
        fs=fs,
        schema=checked,
        dtypes=tuple(zip(meta.columns, meta.dtypes, strict=True)),
        write_index=write_index,
        compression=compression,
        overwrite=overwrite,
        append=found is not None,
        first=0 if found is None else found.first,
        name_function=name_function,
        custom_metadata=footer_metadata(custom_metadata),
        metadata_file=has_metadata if write_metadata_file is None else write_metadata_file,
        writer_options=checked_writer_options(writer_options, checked, compression),
        group_rows=group_rows,
        group_nbytes=row_group_nbytes(budget.task_nbytes),
    )

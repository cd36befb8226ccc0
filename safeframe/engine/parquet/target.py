"""What is written to parquet, and where.

Covers: the dataset that the arguments describe, the directory that its files are written in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
import pyarrow as pa

from safeframe.engine.parquet.in_place import NEW
from safeframe.kernels.parquet.writer_options import Compression

INDEX_LABEL = "__null_dask_index__"
"""dask's name for an index that has none."""


def index_names(index: pd.Index[Any]) -> list[Any]:
    """Return what the index, or each level of it, is called in a file.

    Examples
    --------
    >>> index_names(pd.RangeIndex(3)), index_names(pd.MultiIndex.from_arrays([[1], [2]], names=["a", None]))
    (['__null_dask_index__'], ['a', 'level_1'])
    """
    if index.nlevels == 1:
        name = index.names[0]  # which a MultiIndex of one level has, and index.name not
        return [INDEX_LABEL if name is None else name]
    return [f"level_{level}" if name is None else name for level, name in enumerate(index.names)]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The dataset that a write makes, or adds to."""

    target: str
    """A local directory, or a prefix of an object store."""
    fs: Any
    """fsspec's file system of an object store; None for local files."""
    schema: pa.Schema | None
    """Of all files; None where each has that of its partition."""
    dtypes: tuple[tuple[Any, Any], ...]
    """Columns and types that the frame promises."""
    write_index: bool
    compression: Compression
    overwrite: bool
    append: bool
    """Whether files are added to those of the dataset."""
    first: int
    """Number of the first file."""
    name_function: Callable[[int], str] | None
    """Returns the name of a file, given its number; None for ``part.N.parquet``."""
    custom_metadata: tuple[tuple[bytes, bytes], ...]
    """Added to each footer."""
    metadata_file: bool
    """Whether ``_metadata`` is written."""
    writer_options: tuple[tuple[str, Any], ...]
    """Arguments of pyarrow's writer that the user gave."""
    group_rows: int | None
    """Rows of a row group; None to take them from ``group_nbytes``."""
    group_nbytes: int
    """Bytes in memory of a row group."""

    @property
    def is_local(self) -> bool:
        """Whether files are written next to the dataset and swapped."""
        return self.fs is None

    def file_name(self, number: int) -> str:
        """Return the name of a partition's file."""
        number += self.first
        return f"part.{number}.parquet" if self.name_function is None else self.name_function(number)


@dataclass(frozen=True, kw_only=True)
class ParquetTarget(Dataset):
    """What every task of one write knows."""

    directory: str
    """Where files are written: next to the dataset, or the dataset itself where remote."""
    inside: bool
    """Whether that is a directory of the dataset, with names that no reader takes for the dataset's."""
    resume: bool
    """Whether files of an earlier run are taken over, and kept for a later one should this one fail."""
    rows: int | None
    """Rows of all files, where they are known to the row before any is written."""

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        directory: str,
        rows: int | None,
        inside: bool = False,
        resume: bool = False,
    ) -> ParquetTarget:
        """Return the target of a write that makes a dataset."""
        known = {field.name: getattr(dataset, field.name) for field in fields(Dataset)}
        return cls(**known, directory=directory, rows=rows, inside=inside, resume=resume)

    def path_of(self, name: str) -> str:
        """Return where a file is written."""
        return f"{self.directory}/{name}{NEW if self.inside else ''}"

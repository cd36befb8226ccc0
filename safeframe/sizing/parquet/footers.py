"""Reads what parquet files say of themselves.

Covers: rows, row groups and bytes of each file, from the footers alone.
Does not cover: keys, or any reading of values.
"""

from __future__ import annotations

from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe.errors import ValidationError

_SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetFile:
    """One file, by its footer."""

    path: str
    """Where it is."""
    rows: int
    """Its rows."""
    row_groups: int
    """Its row groups."""
    largest_row_group_rows: int
    """Rows of the largest of them."""
    file_nbytes: int
    """Bytes on disk."""
    nbytes_at_least: int
    """Bytes in memory of all columns that have a fixed width; a footer does not tell of others."""
    exact: bool
    """Whether these are all columns."""


def read_footers(path: str) -> tuple[ParquetFile, ...]:
    """Read the footers of all parquet files of a data set.

    Parameters
    ----------
    path
        A file, or a directory, or an fsspec URL of either.

    Returns
    -------
    tuple of ParquetFile
        In the order of their paths.

    Raises
    ------
    ValidationError
        When there is no parquet file.
    """
    fs, root = fsspec.core.url_to_fs(path)
    names = [root] if fs.isfile(root) else sorted(name for name in fs.find(root) if _is_data(name))
    if not names:
        msg = f"There is no parquet file at {path!r}."
        raise ValidationError(
            msg, hint=f"Name a file, or a directory of files that end in {', '.join(_SUFFIXES)}."
        )
    files = []
    for name in names:
        with fs.open(name, "rb") as handle:
            try:
                files.append(_footer(name, int(fs.size(name)), pq.ParquetFile(handle)))
            except pa.ArrowInvalid as error:
                msg = f"{name!r} is not a parquet file: {error}"
                raise ValidationError(msg, hint="Name parquet files, or a directory of them.") from error
    return tuple(files)


def _is_data(name: str) -> bool:
    leaf = name.rsplit("/", 1)[-1]
    return leaf.endswith(_SUFFIXES) and not leaf.startswith(("_", "."))


def _footer(name: str, file_nbytes: int, file: pq.ParquetFile) -> ParquetFile:
    metadata = file.metadata
    row_nbytes, exact = _row_nbytes(file.schema_arrow)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return ParquetFile(
        path=name,
        rows=metadata.num_rows,
        row_groups=len(groups),
        largest_row_group_rows=max((group.num_rows for group in groups), default=0),
        file_nbytes=file_nbytes,
        nbytes_at_least=row_nbytes * metadata.num_rows,
        exact=exact,
    )


def _row_nbytes(schema: pa.Schema) -> tuple[int, bool]:
    """Add up the bytes per row of columns of fixed width, and say whether these are all."""
    widths = [_fixed_nbytes(field.type) for field in schema]
    return sum(width or 0 for width in widths), None not in widths


def _fixed_nbytes(type_: pa.DataType) -> int | None:
    if pa.types.is_dictionary(type_):
        return None
    try:
        return max(8, int(type_.bit_width)) // 8
    except ValueError:
        return None

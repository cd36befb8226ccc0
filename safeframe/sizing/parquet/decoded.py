"""Reads how many bytes the strings and nested values of parquet files take, from the footers alone.

Covers: bytes in memory of a column in each row group, where the footer tells how long its strings are once they
are decoded; else bytes that it has at least.
Does not cover: reading values (``sizing.columns.widths`` samples those where footers do not tell).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.kernels.parquet.footer import ChunkSize, GroupSize, group_sizes
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.columns.fixed_widths import NULL_BIT, arrow_nbytes
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.staging_url import without_login

_TAIL_NBYTES = 2**16
"""Bytes that are read of a file's end at first: most footers, in one request."""
_LENGTH_NBYTES = 8
_MAGIC = b"PAR1"
_NUMBER_NBYTES = 4 + NULL_BIT
"""Bytes of an offset or of a category's number."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodedSizes:
    """Row groups of some partitions, and the bytes of some columns of them in memory."""

    partition: npt.NDArray[np.int64]
    """The number of the partition that each row group belongs to."""
    group: npt.NDArray[np.int64]
    """Its number in its file."""
    rows: Floats
    """Its rows."""
    nbytes: Floats
    """Bytes of each column, as Arrow: exact to some bytes of padding for flat strings, and for nested values no less than
    there are; NaN where the footer does not tell."""
    at_least: Floats
    """Bytes that each column has at least."""


Part = tuple[str, tuple[int, ...] | None]
"""The file of a partition and the row groups, None for all of them."""


def decoded_sizes(
    fs: fsspec.AbstractFileSystem, parts: Sequence[tuple[int, Part]], columns: Sequence[tuple[str, Any]]
) -> DecodedSizes:
    """Read the footers of some partitions.

    Parameters
    ----------
    fs
        Where the files are.
    parts
        Partitions, by their number.
    columns
        The columns' names in the files, and the Arrow types that they have in memory; None for a type that is none of
        Arrow's, of which nothing is told.

    Notes
    -----
    **Eager**: ``options.FOOTERS_AT_ONCE`` footers a task, and nothing but footers.
    """
    step = options.FOOTERS_AT_ONCE
    some = ((fs, parts[at : at + step], columns) for at in range(0, len(parts), step))
    looks = named_tasks("read-footers", _in_footers, some)
    found: list[DecodedSizes] = list(computed("reading footers", looks, late=True))
    return DecodedSizes(
        partition=np.concatenate([one.partition for one in found]),
        group=np.concatenate([one.group for one in found]),
        rows=np.concatenate([one.rows for one in found]),
        nbytes=np.concatenate([one.nbytes for one in found]),
        at_least=np.concatenate([one.at_least for one in found]),
    )


def _group_sizes(fs: fsspec.AbstractFileSystem, path: str, names: Container[str]) -> list[GroupSize]:
    with reading_file(path), fs.open(path, "rb") as handle:
        return group_sizes(footer_of(handle, path), names)


def footer_of(handle: Any, path: str) -> bytes:
    """Read the footer of an open file, without what is around it.

    Raises
    ------
    ValidationError
        When the file is no parquet file.
    """
    handle.seek(0, 2)
    size = handle.tell()
    handle.seek(max(0, size - _TAIL_NBYTES))
    tail = handle.read()
    length = int.from_bytes(tail[-_LENGTH_NBYTES:-4], "little")
    if tail[-4:] != _MAGIC or length + _LENGTH_NBYTES > size:
        msg = f"{without_login(path)!r} is not a parquet file, or its footer is encrypted."
        raise ValidationError(msg, hint="Name parquet files, or a directory of them.")
    if length + _LENGTH_NBYTES > len(tail):
        handle.seek(size - length - _LENGTH_NBYTES)
        tail = handle.read()
    footer: bytes = tail[-length - _LENGTH_NBYTES : -_LENGTH_NBYTES]
    return footer


def largest_group(
    handle: Any, path: str, groups: Sequence[int], columns: Sequence[tuple[str, pa.DataType]]
) -> tuple[int, int]:
    """Return the rows of the row group that has most, and the bytes of the one that has most once it is decoded.

    Where the footer does not tell how long strings are, they have their bytes in the file at the least.
    """
    names = {name for name, _ in columns}
    sizes = group_sizes(footer_of(handle, path), names)
    chosen = [sizes[number] for number in groups]
    rows = max((size.rows for size in chosen), default=0)
    return rows, int(max((sum(_at_least(size, *column) for column in columns) for size in chosen), default=0))


def _at_least(group: GroupSize, name: str, kind: pa.DataType) -> float:
    told, at_least = _of_column(group, name, kind)
    if not np.isnan(told):
        return told
    if pa.types.is_dictionary(kind):
        at_least = sum(chunk.encoded_nbytes for path, chunk in group.columns.items() if path == name)
    return at_least + _NUMBER_NBYTES * group.rows


def _in_footers(
    fs: fsspec.AbstractFileSystem, parts: Sequence[tuple[int, Part]], columns: Sequence[tuple[str, Any]]
) -> DecodedSizes:
    names = {name for name, _ in columns}
    partition, group, rows, nbytes, at_least = [], [], [], [], []
    known: tuple[str, list[GroupSize]] = ("", [])
    for number, (path, chosen) in parts:
        if known[0] != path:  # neighbours are often of one file
            known = path, _group_sizes(fs, path, names)
        groups = known[1]
        for place in range(len(groups)) if chosen is None else chosen:
            size = groups[place]
            found = [_of_column(size, name, kind) for name, kind in columns]
            partition.append(number)
            group.append(place)
            rows.append(size.rows)
            nbytes.append([one[0] for one in found])
            at_least.append([one[1] for one in found])
    shape = (len(rows), len(columns))
    return DecodedSizes(
        partition=np.array(partition, np.int64),
        group=np.array(group, np.int64),
        rows=np.array(rows, np.float64),
        nbytes=np.array(nbytes, np.float64).reshape(shape),
        at_least=np.array(at_least, np.float64).reshape(shape),
    )


def _of_column(group: GroupSize, name: str, kind: pa.DataType | None) -> tuple[float, float]:
    """Return the bytes of a column in memory, NaN where they are not told, and those that it has at least."""
    if kind is None:  # of categories a frame has less than the strings that they stand for
        return np.nan, 0.0
    inside = f"{name}."
    chunks = [chunk for path, chunk in group.columns.items() if path == name or path.startswith(inside)]
    leaves = list(_leaves(kind, 0.0))
    if len(leaves) != len(chunks) or (not pa.types.is_nested(kind) and name not in group.columns):
        return np.nan, 0.0
    found = [_of_leaf(chunk, *leaf) for chunk, leaf in zip(chunks, leaves, strict=True)]
    nbytes, at_least = (float(sum(one[i] for one in found)) for i in range(2))
    return nbytes, at_least if pa.types.is_nested(kind) or nbytes != nbytes else nbytes


def _leaves(kind: pa.DataType, above: float) -> Iterator[tuple[bool, float, float]]:
    """List the leaves of a type: whether they are strings, bytes of each value but for the string itself, and those above.

    What is above a leaf (the offsets of a list, the null bits of a struct) is counted for each of its values, as no
    level has more entries than the leaves below it.
    """
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            yield from _leaves(kind.field(i).type, (above if i == 0 else 0.0) + NULL_BIT)
    elif pa.types.is_map(kind):
        yield from _leaves(kind.key_type, above + 4 + 2 * NULL_BIT)
        yield from _leaves(kind.item_type, 0.0)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(kind.value_type, above + (8 if pa.types.is_large_list(kind) else 4) + NULL_BIT)
    else:
        offset = _text_nbytes(kind)
        width = arrow_nbytes(kind)
        if offset is not None:
            yield True, offset, above
        elif width is not None:
            yield False, width, above
        else:
            yield True, np.nan, above


def _text_nbytes(kind: pa.DataType) -> float | None:
    """Return the bytes of a string in memory on top of its own, without its null bit; None for other types."""
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return 8.0
    return 4.0 if pa.types.is_string(kind) or pa.types.is_binary(kind) else None


def _of_leaf(chunk: ChunkSize, text: bool, own_nbytes: float, above_nbytes: float) -> tuple[float, float]:
    filled = chunk.values - (chunk.values if chunk.nulls is None else chunk.nulls)
    if not text:
        return chunk.values * (own_nbytes + above_nbytes), filled * max(0.0, own_nbytes - NULL_BIT)
    if chunk.decoded_nbytes is None:
        return np.nan, float(chunk.encoded_nbytes)
    # A bit for each value, where there is a null at all.
    nulls = 0.0 if chunk.nulls == 0 else NULL_BIT
    nbytes = chunk.decoded_nbytes + chunk.values * (own_nbytes + above_nbytes + nulls)
    return nbytes, float(chunk.decoded_nbytes)

"""How each column of a parquet file is encoded, from a look at some of its rows.

Covers: the writer options of a file: dictionary or delta encoding, codecs.
Does not cover: files, row groups, pandas.

Integers, times and decimals of up to 18 digits are written as packed differences, or by
dictionary where that takes clearly fewer bits; floats and strings by dictionary where values
repeat, else plain. The codec is snappy: with these encodings it costs next to
nothing, and every reader has it. Floats and strings that it does not make smaller are left as
they are: it would look for a third of the time of writing floats, and two thirds of that of strings.
Their lengths are packed then, as in plain pages they are four bytes each. Figures: decisions 0006, 0030.
"""

from __future__ import annotations

import inspect
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.kernels.columns.arrow_buffers import fixed_words, has_bytes, string_offsets

Compression = str | Mapping[str, str | None] | None
"""``"auto"``, a codec, a codec per column (``"auto"`` for the others), or None."""

_BLOCK = 128  # values that parquet packs with differences of one width
_BATCH_VALUES = 1024  # pyarrow's own number of values that are written at once
_AUTO_CODEC = "snappy"

_DECIMAL_DIGITS = 18 if "store_decimal_as_integer" in inspect.signature(pq.write_table).parameters else 0
"""Digits up to which pyarrow stores decimals as integers, of 64 bits; not in versions before 20."""


def writer_options(
    schema: pa.Schema, columns: Sequence[pa.ChunkedArray], compression: Compression = "auto"
) -> dict[str, Any]:
    """Choose the encodings of a file.

    Parameters
    ----------
    schema
        That of the file.
    columns
        Its first rows: a row group.
    compression
        See :data:`Compression`.

    Returns
    -------
    dict
        Arguments of :class:`pyarrow.parquet.ParquetWriter`.

    Examples
    --------
    >>> table = pa.table({"n": range(10_000), "kind": ["a", "b"] * 5_000})
    >>> options = writer_options(table.schema, table.columns)
    >>> options["column_encoding"], options["use_dictionary"]
    ({'n': 'DELTA_BINARY_PACKED'}, ['kind'])
    """
    encoding: dict[str, str] = {}
    dictionary: list[str] = []
    stubborn: set[str] = set()
    leaves = {field.name: _column_leaves(field) for field in schema}
    times = Counter(leaf for paths in leaves.values() for leaf in paths)
    for path, column in zip(schema.names, columns, strict=True):
        if any(times[leaf] > 1 for leaf in leaves[path]):
            # pyarrow knows columns by their paths: "a.b" is a column of that name and b in a column a.
            continue
        if pa.types.is_nested(_storage(column.type)):
            dictionary.extend(leaves[path])
        elif _is_delta(column.type):
            if _prefers_dictionary(column):
                dictionary.append(path)
            else:
                encoding[path] = "DELTA_BINARY_PACKED"
        elif pa.types.is_dictionary(column.type) or (_is_countable(column.type) and _repeats(column)):
            dictionary.append(path)
        elif _may_be_stubborn(column.type) and not _gets_smaller(column):
            stubborn.add(path)
            if has_bytes(column.type):
                encoding[path] = "DELTA_LENGTH_BYTE_ARRAY"
    chosen: dict[str, Any] = {
        "use_dictionary": dictionary or False,
        "column_encoding": encoding or None,
        "compression": _codecs(schema, compression, stubborn),
    }
    if any(_is_small_decimal(column.type) for column in columns):
        chosen["store_decimal_as_integer"] = True
    return chosen


def page_options(columns: Sequence[pa.ChunkedArray]) -> dict[str, Any]:
    """Keep pages of wide values to their size, which is looked at after a number of values.

    Parameters
    ----------
    columns
        The first rows of a file.

    Returns
    -------
    dict
        Arguments of :class:`pyarrow.parquet.ParquetWriter`; empty where its own serve.

    Examples
    --------
    >>> page_options([pa.chunked_array([["a" * 2**20]])])
    {'write_batch_size': 1}
    """
    widest = max((column.nbytes / max(len(column), 1) for column in columns), default=0.0)
    if widest * _BATCH_VALUES <= options.PAGE_NBYTES:
        return {}
    return {"write_batch_size": max(1, int(options.PAGE_NBYTES / widest))}


def has_become_smaller(columns: Mapping[str, pa.ChunkedArray], compression: Any) -> bool:
    """Return whether the codec makes something smaller in a column that was left without one.

    Parameters
    ----------
    columns
        The first rows of another file, by name.
    compression
        What :func:`writer_options` chose as ``compression``.
    """
    if not isinstance(compression, dict):
        return False
    stubborn = [columns[name] for name, codec in compression.items() if codec == "none" and name in columns]
    return any(_gets_smaller(column) for column in stubborn if _may_be_stubborn(column.type))


def check_compression(compression: Compression, columns: list[str]) -> None:
    """Raise where a codec is unknown, or a column that it is for.

    Raises
    ------
    ValidationError
        Saying which.
    """
    codecs: Iterable[Any] = compression.values() if isinstance(compression, Mapping) else [compression]
    for codec in codecs:
        known = codec is None or (
            isinstance(codec, str) and (codec == "auto" or codec.lower() == "none" or _is_available(codec))
        )
        if not known:
            msg = f"compression={codec!r} is not a codec that is supported here."
            raise ValidationError(msg, hint='Use "auto", "snappy", "lz4", "zstd", "gzip", "brotli" or None.')
    unknown = set(compression) - set(columns) if isinstance(compression, Mapping) else set()
    if unknown:
        msg = f"compression= names columns that the frame does not have: {sorted(map(repr, unknown))}."
        raise ValidationError(msg, hint=f"The columns are {columns}.")


def codec_of(compression: Compression, column: str, *, auto: str) -> str:
    """Return a column's codec; ``auto`` where none was given.

    Examples
    --------
    >>> codec_of({"a": None}, "a", auto="zstd"), codec_of({"a": None}, "b", auto="zstd")
    ('none', 'zstd')
    """
    codec = compression.get(column, "auto") if isinstance(compression, Mapping) else compression
    return auto if codec == "auto" else _codec(codec)


def _is_available(codec: str) -> bool:
    try:
        return bool(pa.Codec.is_available(codec.lower()))
    except (ValueError, TypeError):
        return False


def _is_delta(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))
        or _is_small_decimal(kind)
    )


def _may_be_stubborn(kind: pa.DataType) -> bool:
    """Whether values of a type, written as they are, may be such as a codec does not make smaller."""
    return bool(pa.types.is_floating(kind)) or has_bytes(kind)


def _is_small_decimal(kind: pa.DataType) -> bool:
    return pa.types.is_decimal128(kind) and int(kind.precision) <= _DECIMAL_DIGITS


def _is_countable(kind: pa.DataType) -> bool:
    """Whether Arrow counts the different values of a type, and a dictionary of them could be worth it."""
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return False
    return not (pa.types.is_boolean(kind) or pa.types.is_null(kind) or isinstance(kind, pa.BaseExtensionType))


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _column_leaves(field: pa.Field) -> list[str]:
    return _leaves(pa.schema([field])) if pa.types.is_nested(_storage(field.type)) else [field.name]


def _codecs(schema: pa.Schema, compression: Compression, stubborn: set[str]) -> str | dict[str, str]:
    """Return one codec, or one for each column where they differ; ``stubborn`` ones have none of their own accord."""
    if not isinstance(compression, Mapping) and not (compression == "auto" and stubborn):
        return _codec(compression)
    codecs = {
        name: codec_of(compression, name, auto="none" if name in stubborn else _AUTO_CODEC)
        for name in schema.names
    }
    # pyarrow knows a nested column by its leaves.
    return {leaf: codecs[field.name] for field in schema for leaf in _column_leaves(field)}


def _codec(codec: str | None) -> str:
    return "none" if codec is None else _AUTO_CODEC if codec == "auto" else codec.lower()


def _leaves(schema: pa.Schema) -> list[str]:
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    found = pq.read_metadata(sink).schema
    return [found.column(number).path for number in range(len(found))]


def _strided(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Rows from all over a column."""
    if len(column) <= options.ENCODING_SAMPLE:
        return column
    return column.take(pa.array(np.linspace(0, len(column) - 1, options.ENCODING_SAMPLE).astype(np.int64)))


def _gets_smaller(column: pa.ChunkedArray) -> bool:
    """Whether the codec finds anything in the bytes of a few values that follow each other."""
    start = max(0, len(column) - options.ENCODING_SAMPLE) // 2
    some = pa.chunked_array([column.slice(start, options.ENCODING_SAMPLE).drop_null().combine_chunks()])
    if has_bytes(column.type):
        ends, data = string_offsets(some.cast(pa.large_binary()).combine_chunks())
        values = data[ends[0] : ends[-1]][: options.CODEC_SAMPLE_NBYTES].tobytes()
    else:
        values = some.to_numpy().tobytes()
    if not values:
        return True
    return len(pa.compress(values, codec=_AUTO_CODEC, asbytes=True)) < options.CODEC_FRACTION * len(values)


def _distinct(sample: pa.ChunkedArray, rows: int) -> float:
    """Estimate the distinct values among ``rows`` from those of a sample.

    That of values which are equally frequent: fewer where some are rare, which
    makes a dictionary look better than it is only as far as these are few.
    """
    seen = pc.count_distinct(sample, mode="only_valid").as_py()
    size = len(sample) - sample.null_count
    if size >= rows or seen * 2 < size:
        return float(seen)
    if seen >= size - 1:
        return float(rows)
    low, high = float(seen), float(rows)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * -np.expm1(-size / middle) < seen else (low, middle)
    return min(high, float(rows))


def _repeats(column: pa.ChunkedArray) -> bool:
    if len(column) == 0:
        return False
    sample, rows = _strided(column), len(column)
    distinct = _distinct(sample, rows)
    value_nbytes = sample.nbytes / len(sample)
    return (
        distinct * options.DICTIONARY_REPEATS < rows and distinct * value_nbytes < options.DICTIONARY_NBYTES
    )


def _prefers_dictionary(column: pa.ChunkedArray) -> bool:
    """Whether numbers of a dictionary take clearly fewer bits than packed differences."""
    if len(column) < _BLOCK:
        return False
    distinct = _distinct(_strided(column), len(column))
    if distinct * options.DICTIONARY_REPEATS >= len(column) or distinct * 8 >= options.DICTIONARY_NBYTES:
        return False
    return bool(np.log2(max(distinct, 2.0)) < options.DICTIONARY_BITS * _difference_bits(column))


def _difference_bits(column: pa.ChunkedArray) -> float:
    """Bits of a difference, as parquet packs them: by blocks, from the least of a block."""
    starts = np.linspace(0, len(column) - _BLOCK, options.ENCODING_SAMPLE // _BLOCK).astype(np.int64)
    return float(np.mean([_block_bits(column.slice(int(start), _BLOCK)) for start in starts]))


def _block_bits(block: pa.ChunkedArray) -> float:
    block = block.drop_null()
    values: npt.NDArray[Any] = _unscaled(block) if pa.types.is_decimal(block.type) else block.to_numpy()
    if len(values) < 2:
        return 0.0
    wide = values.astype(np.float64) if values.dtype.kind in "iu" else _as_integers(values)
    differences = np.diff(wide)
    return float(np.log2(differences.max() - differences.min() + 1))


def _unscaled(block: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return decimals of up to 18 digits as integers: the lower half of each."""
    parts = [fixed_words(chunk, np.dtype("<i8"), 2)[:, 0] for chunk in block.chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _as_integers(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if values.dtype.kind in "mM":
        return values.view(np.int64).astype(np.float64)
    # Dates and times of day come as Python objects; their order is enough of a measure.
    return np.unique(values, return_inverse=True)[1].astype(np.float64)

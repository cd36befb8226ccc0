"""How the files of one write are encoded: chosen from some of them, and used for those that follow in the process.

A look at each column takes as long as writing some 15,000 rows, and files of one write are much alike.

Covers: whose choice is used again, and how often.
Does not cover: the choice (``kernels.parquet.writer_options``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from safeframe import options
from safeframe.engine.parquet.target import ParquetTarget
from safeframe.kernels.parquet.writer_options import has_become_smaller, page_options, writer_options


@dataclass(slots=True)
class _Choice:
    of: tuple[str, Any]
    """Where the files are written, and the codec."""
    schema: pa.Schema
    rows: int
    """Rows of the row group that was looked at."""
    arguments: dict[str, Any]
    files: int = 1
    """Files that have used it."""


_lock = threading.Lock()
_last: list[_Choice] = []
"""The last choice, of the write that this process has part in; writes at the same time choose anew."""


def file_options(
    schema: pa.Schema, columns: Sequence[pa.ChunkedArray], target: ParquetTarget
) -> dict[str, Any]:
    """Return the arguments of pyarrow's writer for a file.

    Parameters
    ----------
    schema
        That of the file.
    columns
        Its first row group.
    target
        The write that the file is of.
    """
    chosen = _chosen(schema, columns, target) | page_options(columns)
    given = dict(target.writer_options)
    own = ("use_dictionary", "column_encoding", "use_byte_stream_split", "store_decimal_as_integer")
    if not given.keys().isdisjoint(own):
        # pyarrow refuses an encoding for what has a dictionary.
        chosen = {"compression": chosen["compression"], "use_dictionary": "column_encoding" not in given}
    return chosen | given


def _chosen(schema: pa.Schema, columns: Sequence[pa.ChunkedArray], target: ParquetTarget) -> dict[str, Any]:
    of = target.directory, target.compression
    rows = max(map(len, columns), default=0)
    with _lock:
        for choice in _last:
            # Not for many more rows, among which values may repeat that did not among few.
            if (
                choice.of == of
                and rows <= 2 * choice.rows
                and choice.files < options.ENCODING_FILES
                and choice.schema.equals(schema)
                and not has_become_smaller(
                    dict(zip(schema.names, columns, strict=True)), choice.arguments["compression"]
                )
            ):
                choice.files += 1
                return choice.arguments
    arguments = writer_options(schema, columns, target.compression)
    with _lock:
        _last[:] = [_Choice(of, schema, rows, arguments)]
    return arguments

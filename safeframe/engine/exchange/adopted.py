"""A stage task that is run again takes the file that it has finished before, and reads nothing.

A worker that is lost takes with it what its stage tasks said of their files; the files
stand. dask runs those tasks again, and each looks for a file of its own::

    <run>/<task>-<attempt>.staged        pieces | index | record | bytes, checksum and magic of the record

The record says all that the task said, which task and path it is of, and the mark of the input. A file that is not
finished has another name; one that is cut off, damaged, swapped, of another run, of another task, or of input that
has changed does not have the record that is looked for, and is left alone: the task then writes another.

Covers: names by task, records, looking for a file.
Does not cover: writing files (``engine.exchange.stage``); pieces, which are checked whenever they are read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe._dask.cluster import current_task
from safeframe._dask.parquet_tasks import paths_read
from safeframe.engine.exchange.index import indexes_of
from safeframe.engine.exchange.reading import read_buffers
from safeframe.engine.exchange.staged_file import ColumnForm, FilePart, Form, StagedFile
from safeframe.engine.storage.local import store_for
from safeframe.errors import RowConservationError, StagingError
from safeframe.kernels.checksum import checksum
from safeframe.kernels.columns.encoded import Encoding
from safeframe.sizing.files import marked
from safeframe.sizing.partitions.slices import ParquetPart

_TAIL = struct.Struct("<QQ8s")
_MAGIC = b"sf-file1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A stage task of a cluster, and the input that it has this time."""

    task: str
    """Its key."""
    mark: str
    """Of its input."""

    @property
    def prefix(self) -> str:
        """What the names of its files begin with."""
        return f"{hashlib.blake2b(self.task.encode(), digest_size=10).hexdigest()}-"


def attempt_of(mark: str) -> Attempt | None:
    """Return the task that this is; None where nothing can be taken over.

    Parameters
    ----------
    mark
        That of its input; empty where nobody can say whether that has changed.
    """
    # Local schedulers lose no results.
    task = current_task() if mark else None
    return None if task is None else Attempt(str(task), mark)


def input_mark(parts: Iterable[Any]) -> str:
    """Return what marks the input of a stage task; empty where a part is not read from files that can be seen."""
    paths: set[str] = set()
    for given in parts:
        part = given
        while hasattr(part, "part"):
            part = part.part
        if isinstance(part, ParquetPart):
            found = {one.path for table in part.tables for one in table.parts}
        else:
            found = {*paths_read(getattr(part, "task", getattr(part, "source", None)))}
        if not found:
            return ""
        paths |= found
    files = marked(sorted(paths)) if paths else None
    if files is None or len(files.paths) < len(paths):
        return ""
    return hashlib.sha256(repr((files.paths, files.marks)).encode(errors="surrogateescape")).hexdigest()


def staged_mark(staged: Iterable[StagedFile]) -> str:
    """Return what marks rows that are staged already."""
    return hashlib.sha256(repr([(file.path, file.index_checksum) for file in staged]).encode()).hexdigest()


def adopted(directory: str, attempt: Attempt | None) -> StagedFile | None:
    """Return the file that an earlier attempt of a task has finished in a run; None where there is none as it was written."""
    if attempt is None:
        return None
    store = store_for(directory)
    try:
        found = store.finished(directory, attempt.prefix)
    except OSError:
        return None
    for path, nbytes in found:
        try:
            staged = _recorded(path, nbytes, attempt)
            if staged is not None:
                for _ in indexes_of([staged]):  # read, and compared with its checksum
                    return staged
        except (StagingError, RowConservationError, ValueError, KeyError, TypeError, pa.ArrowException):
            continue
    return None


def record_bytes(staged: StagedFile, attempt: Attempt) -> bytes:
    """Return what is written behind the index of a file; nothing where its form cannot be said in plain bytes."""
    try:
        parts = [{"pieces": part.pieces, "form": _plain_form(part.form)} for part in staged.parts]
        if any(
            not _same_form(_form(one["form"]), part.form)
            for one, part in zip(parts, staged.parts, strict=True)
        ):
            return b""
    except (ValueError, TypeError, KeyError, pa.ArrowException):
        return b""
    said = {
        "task": attempt.task, "mark": attempt.mark, "path": staged.path, "parts": parts, "shards": staged.shards,
        "rows": staged.rows, "nbytes": staged.nbytes, "index_nbytes": staged.index_nbytes,
        "index_checksum": staged.index_checksum, "rows_in": staged.rows_in, "rows_dropped": staged.rows_dropped,
        "checksum": staged.checksum,
    }  # fmt: skip
    data = json.dumps(said).encode()
    return data + _TAIL.pack(len(data), _checksum(data), _MAGIC)


def _recorded(path: str, nbytes: int, attempt: Attempt) -> StagedFile | None:
    """Return what a file says of itself, where it is whole, of this path and task, and of this input."""
    if nbytes < _TAIL.size:
        return None
    (tail,) = read_buffers([(path, nbytes - _TAIL.size, _TAIL.size)])
    length, expected, magic = _TAIL.unpack(tail.to_pybytes())
    start = nbytes - _TAIL.size - length
    if magic != _MAGIC or start < 0:
        return None
    data = next(iter(read_buffers([(path, start, length)]))).to_pybytes()
    if _checksum(data) != expected:
        return None
    said = json.loads(data)
    own = said.pop("task"), said.pop("mark"), said["path"]
    if own != (attempt.task, attempt.mark, path) or said["nbytes"] + said["index_nbytes"] != start:
        return None
    said["parts"] = tuple(FilePart(_form(part["form"]), part["pieces"]) for part in said["parts"])
    said["shards"] = tuple(said["shards"])
    return StagedFile(**said)


def _checksum(data: bytes) -> int:
    return checksum(np.frombuffer(data, np.uint8))


# Forms as plain values -------------------------------------------------------


def _plain_form(form: Form) -> Any:
    if isinstance(form, np.dtype):
        fields = [(name, *form.fields[name][:2]) for name in form.names or ()] if form.fields else []
        return {
            "names": [name for name, _, _ in fields],
            "formats": [dtype.str for _, dtype, _ in fields],
            "offsets": [offset for _, _, offset in fields],
            "itemsize": form.itemsize,
        }
    return [
        [
            _text(pa.schema([("0", column.encoding.kind)]).serialize().to_pybytes()),
            column.encoding.way,
            column.encoding.dtype.str,
            None if column.categories is None else _plain_categories(column.categories),
        ]
        for column in form
    ]


def _form(plain: Any) -> Form:
    if isinstance(plain, dict):
        layout: np.dtype[np.void] = np.dtype(plain)  # type: ignore[call-overload]  # as numpy describes it
        if layout.hasobject:
            msg = "rows are bytes, never objects"
            raise ValueError(msg)
        return layout
    return tuple(
        ColumnForm(
            Encoding(pa.ipc.read_schema(pa.py_buffer(_bytes(kind))).field(0).type, way, np.dtype(dtype)),
            None if categories is None else _categories(categories),
        )
        for kind, way, dtype, categories in plain
    )


def _plain_categories(dtype: pd.CategoricalDtype) -> list[Any]:
    array = pa.array(dtype.categories, from_pandas=True)
    batch = pa.RecordBatch.from_arrays([array], ["0"])
    schema = _text(batch.schema.serialize().to_pybytes())
    kind, name = str(dtype.categories.dtype), dtype.categories.name
    return [schema, _text(batch.serialize().to_pybytes()), kind, name, bool(dtype.ordered)]


def _categories(plain: list[Any]) -> pd.CategoricalDtype:
    schema, data, dtype, name, ordered = plain
    batch = pa.ipc.read_record_batch(
        pa.py_buffer(_bytes(data)), pa.ipc.read_schema(pa.py_buffer(_bytes(schema)))
    )
    values = pd.Index(batch.column(0).to_pandas(), dtype=dtype).rename(name)
    return pd.CategoricalDtype(values, ordered=ordered)


def _same_form(one: Form, other: Form) -> bool:
    if isinstance(one, np.dtype) or isinstance(other, np.dtype):
        return one == other
    return len(one) == len(other) and all(
        a.encoding == b.encoding and _same_categories(a.categories, b.categories)
        for a, b in zip(one, other, strict=True)
    )


def _same_categories(one: pd.CategoricalDtype | None, other: pd.CategoricalDtype | None) -> bool:
    if one is None or other is None:
        return one is other
    # As dtypes they count as equal in another order.
    same = one.categories.equals(other.categories) and one.categories.dtype == other.categories.dtype
    return bool(same and one.categories.name == other.categories.name and one.ordered == other.ordered)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)

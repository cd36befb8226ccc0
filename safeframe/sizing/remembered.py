"""What was learnt of frames stays in this process, so that it is not read again while the data is the same.

Covers: a name of what a frame holds now, for frames of local parquet files (by
their expression and each file's size, time of its last write, and inode) and of
pandas; a store of bounded bytes.
Does not cover: frames with a function of the user's, with delayed values or from object stores. Nobody
can tell whether such data is what it was, so that they are read each time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import dask.dataframe as dd
import pandas as pd

from safeframe import options
from safeframe._dask.expressions import Elemwise, Filter, FromPandas, Literal
from safeframe._dask.parquet import is_parquet, local_files_read
from safeframe._dask.trees import fingerprint
from safeframe.sizing.files import marked
from safeframe.sizing.partitions.tasks import project

T = TypeVar("T")

Side = tuple[dd.DataFrame, tuple[Any, ...]]
"""A frame, and columns of it."""

_RESTED_NS = 100_000_000
"""A file that was written so shortly ago may be written once more within the same tick of its file system's clock."""
_COARSE_NS = 2_000_000_000
"""The same of file systems whose times are whole seconds."""


def content_name(ddf: dd.DataFrame, columns: Sequence[Any]) -> str | None:
    """Return a name of what columns of a frame hold now: another one once any of its files is another.

    Parameters
    ----------
    ddf
        The frame.
    columns
        Columns of it; a name that is none stands for the index.

    Returns
    -------
    str or None
        None where nobody can tell whether the data is what it was.

    Notes
    -----
    One ``stat`` for each file; nothing is read.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    >>> one, other = (dd.from_pandas(frame.assign(b=b), npartitions=1) for b in (5, 6))
    >>> (
    ...     content_name(one, ["a"]) == content_name(other, ["a"]),
    ...     content_name(one, ["b"]) == content_name(other, ["b"]),
    ... )
    (False, False)
    >>> content_name(one.map_partitions(lambda part: part), ["a"]) is None
    True
    """
    expr = project(ddf, columns).expr.simplify()
    marks = b""
    for node in expr.walk():
        if node.dependencies():
            if not (isinstance(node, (Elemwise, Filter)) and not any(map(_may_call, node.operands))):
                return None
        elif is_parquet(node):
            found = _marks(node)
            if found is None:
                return None
            marks += found
        elif not (isinstance(node, Literal) or _is_of_values(node)):
            return None
    return f"{fingerprint(expr)}-{marks.hex()}"


def _is_of_values(leaf: Any) -> bool:
    """Whether a leaf is a copy of a pandas frame that nobody can reach: of objects only the references are copied."""
    if not isinstance(leaf, FromPandas):
        return False
    dtypes = [leaf._meta.dtype] if leaf.ndim == 1 else list(leaf._meta.dtypes)
    return not any(map(pd.api.types.is_object_dtype, dtypes))


def _may_call(operand: Any) -> bool:
    if isinstance(operand, (list, tuple)):
        return any(map(_may_call, operand))
    if isinstance(operand, dict):
        return any(map(_may_call, operand.values()))
    return callable(operand) and not isinstance(operand, type)


def _marks(read: Any) -> bytes | None:
    """Return the marks of the files of a parquet source, where all of them can be seen and have rested."""
    paths = sorted(set(local_files_read(read)))
    files = marked(paths) if paths else None
    if files is None or len(files.paths) < len(paths):
        return None
    now = time.time_ns()
    rested = (now - at > (_RESTED_NS if at % 1_000_000_000 else _COARSE_NS) for at in files.last_writes)
    return files.marks if all(rested) else None


class Store:
    """Values by name, the last ones that were asked for, in bounded bytes."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, name: Hashable) -> Any:
        """Return what was kept under a name; None where there is nothing."""
        with self._lock:
            if name not in self._values:
                return None
            self._values.move_to_end(name)
            return self._values[name][0]

    def keep(self, name: Hashable, value: Any, nbytes: int) -> None:
        """Keep a value that takes so many bytes; what was not asked for the longest goes."""
        with self._lock:
            self._values.pop(name, None)
            self._values[name] = (value, nbytes)
            while self._values and sum(size for _, size in self._values.values()) > options.REMEMBERED_NBYTES:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


STORE = Store()
"""What this process remembers."""


def each_once(
    frames: Sequence[Side],
    what: tuple[Hashable, ...],
    look: Callable[[Sequence[Side]], list[T]],
    nbytes: Callable[[T], int],
) -> list[T]:
    """Look at columns of frames: once where one is given twice, and not again where this process did before.

    Parameters
    ----------
    frames
        Each with the columns that are looked at.
    what
        What is looked for.
    look
        Returns what is found, for each of the frames that it gets.
    nbytes
        Bytes of what is found.

    Examples
    --------
    >>> def rows(frames):
    ...     print("counted")
    ...     return [len(ddf) for ddf, _ in frames]
    >>> side = dd.from_pandas(pd.DataFrame({"a": [1, 2, 7]}), npartitions=1), ("a",)
    >>> (
    ...     each_once([side, side], ("rows",), rows, lambda found: 8),
    ...     each_once([side], ("rows",), rows, lambda found: 8),
    ... )
    counted
    ([3, 3], [3])
    """
    names: list[Hashable] = []
    found: dict[Hashable, T] = {}
    missing: dict[Hashable, Side] = {}
    lasting: set[Hashable] = set()
    for ddf, columns in frames:
        # Before anything is read: a file that is written meanwhile has other marks next time.
        content = content_name(ddf, columns)
        name = (*what, columns, content or project(ddf, columns).expr._name)
        names.append(name)
        if content is not None:
            lasting.add(name)
        known = None if content is None else STORE.find(name)
        if known is None:
            missing.setdefault(name, (ddf, columns))
        else:
            found[name] = known
    new = look(list(missing.values())) if missing else []
    for asked, value in zip(missing, new, strict=True):
        found[asked] = value
        if asked in lasting:
            STORE.keep(asked, value, nbytes(value))
    return [found[name] for name in names]

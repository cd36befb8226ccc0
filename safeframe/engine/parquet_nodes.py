"""``to_parquet`` as dask expressions: writes fused with what makes their partitions, and a commit.

Covers: the graph.
Does not cover: what the tasks do (``parquet_tasks``).
"""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

import pandas as pd

from safeframe.engine._dask import Blockwise, Expr, List, Task, TaskRef, lowered
from safeframe.engine.atomic_swap import Swap
from safeframe.engine.joined_resume import save_division
from safeframe.engine.joined_write import joined_files
from safeframe.engine.parquet_tasks import ParquetTarget, WrittenFile, commit, write_file

__all__ = ["CommitFiles", "JoinedToParquet", "SafeToParquet", "WriteFiles", "close_target", "open_target"]

_open: dict[str, Swap] = {}


class SafeToParquet(Expr):  # type: ignore[misc]  # dask's expressions are untyped
    """A write that becomes files, and their commit, when the graph is made."""

    _parameters = ["frame", "target", "token"]

    @property
    def _meta(self) -> Any:
        return None

    def _divisions(self) -> Any:
        return (None, None)

    def _lower(self) -> Any:
        written = WriteFiles(lowered(self.frame), self.target).simplify().fuse()
        return CommitFiles(written, self.target, open_target(self.target, self.token))


class JoinedToParquet(Expr):  # type: ignore[misc]
    """A write of a merge without its rows."""

    _parameters = ["left", "right", "form", "plan", "target", "token"]

    @property
    def _meta(self) -> Any:
        return None

    def _divisions(self) -> Any:
        return (None, None)

    def _lower(self) -> Any:
        sides = lowered(self.left), lowered(self.right)
        inode = open_target(self.target, self.token)
        if self.target.is_local:
            save_division(self.target.directory, self.plan.write)
        written = joined_files(*sides, self.form, self.plan, self.target, self.token)
        return CommitFiles(written, self.target, inode)


class WriteFiles(Blockwise):  # type: ignore[misc]
    """One file for each partition."""

    _parameters = ["frame", "target"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, write_partition, TaskRef((self.frame._name, index)), self.target, index)


def write_partition(frame: pd.DataFrame, target: ParquetTarget, number: int) -> WrittenFile:
    """Write one partition."""
    return write_file(frame, target, number)


class CommitFiles(Expr):  # type: ignore[misc]
    """All files to their place, in one task."""

    _parameters = ["files", "target", "inode"]

    @property
    def _meta(self) -> Any:
        return None

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        files = List(*(TaskRef(key) for key in self.files.__dask_keys__()))
        key = (self._name, 0)
        return {key: Task(key, commit, self.target, self.inode, files)}


def open_target(target: ParquetTarget, token: str) -> int:
    """Make the directory that is written, once per process, and give its inode."""
    if not target.is_local:
        return 0
    swap = _open.get(token)
    if swap is None or not swap.directory.exists():
        close_target(token)
        swap = _open[token] = Swap(target.target, token, keep=target.resume)
        swap.open()
    return Path(target.directory).stat().st_ino


def close_target(token: str) -> None:
    """Remove what a write has left beside its target."""
    swap = _open.pop(token, None)
    if swap is not None:
        swap.close()


def _close_all() -> None:
    for token in list(_open):
        close_target(token)


atexit.register(_close_all)

"""``to_parquet`` as dask expressions: writes fused with what makes their partitions, and a commit."""

from __future__ import annotations

import atexit
from collections.abc import Collection
from typing import Any

import pandas as pd
from dask.task_spec import List, Task, TaskRef
from dask.utils import key_split

from safeframe._dask.expressions import Blockwise, Projection
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered
from safeframe.engine.parquet.commit import Begun, commit, local_entries
from safeframe.engine.parquet.entries import generation_of
from safeframe.engine.parquet.read_rows import write_read
from safeframe.engine.parquet.resume import save_division
from safeframe.engine.parquet.swap import Swap
from safeframe.engine.parquet.target import Dataset, ParquetTarget
from safeframe.engine.parquet.tasks import WriteCell, write_file
from safeframe.engine.parquet.without_rows import joined_files
from safeframe.engine.planned.cells import CellMaker
from safeframe.engine.planned.nodes import Cells, Hidden, Planned
from safeframe.errors import ValidationError
from safeframe.facts.plan import Plan
from safeframe.sizing.partitions.slices import sliced_frame

_open: dict[str, tuple[Swap, Begun]] = {}
"""Writes that this process has begun, by their tokens."""


class _Write(Planned):
    _words = "write"
    _meta = None

    def _divisions(self) -> Any:
        return (None, None)


class SafeToParquet(_Write):
    """A write that becomes files, and their commit, when the graph is made."""

    _parameters = ["frame", "target", "token", "known"]

    @property
    def own_plan(self) -> Plan | None:
        """The plan of the recipe whose rows are written, as they are written."""
        made, _ = streamed(self.frame.simplify(), self.target)
        return made.own_plan if isinstance(made, Planned) else None

    @property
    def _plan(self) -> None:
        """The recipe's plan is begun where its own tasks are made."""

    def _concrete(self) -> Any:
        planned, columns = streamed(self.frame, self.target)
        frame = lowered(planned)
        if is_addressed(frame):
            written: Any = WriteCells(frame.hidden, self.target, columns)
        else:
            picked = frame if columns is None else Projection(frame, columns)
            written = _write_reads(picked, self.target)
            if written is None:
                written = fused_step(WriteFiles(picked, self.target).simplify())
        return CommitFiles(
            written, self.target, opened_target(self.target, self.token, written.npartitions, self.known)
        )


class JoinedToParquet(_Write):
    """A write of a merge without its rows."""

    _parameters = ["left", "right", "form", "plan", "write", "planned", "target", "token", "known"]

    @property
    def own_plan(self) -> Plan:
        """The plan of the files."""
        plan: Plan = self.plan
        return plan.written

    def _concrete(self) -> Any:
        sides = lowered(self.left), lowered(self.right)
        write = self.operand("write")
        begun = opened_target(self.target, self.token, write.files, self.known)
        if self.target.is_local:
            save_division(self.target.directory, write)
        written = joined_files(*sides, self.form, self.plan, write, self.planned, self.target, self.token)
        return CommitFiles(written, self.target, begun)


class WriteFiles(Step, Blockwise):  # type: ignore[misc]
    """One file for each partition."""

    _words = "write-files"
    _parameters = ["frame", "target"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, write_file, TaskRef((self.frame._name, index)), self.target, index)


class WriteReads(Step):
    """One file for each partition of parquet files, which is read where it is written, a row group at a time."""

    _words = "write-files"
    _parameters = ["frame", "target", "parts"]
    _meta = pd.Series([], dtype=object)

    def dependencies(self) -> list[Any]:
        """Nothing: what is read is in the tasks."""
        return []

    def _divisions(self) -> Any:
        return (None,) * (len(self.parts) + 1)

    def _layer(self) -> dict[Any, Any]:
        meta, target = self.frame._meta, self.target
        keys = [(self._name, number) for number in range(len(self.parts))]
        return {
            key: Task(key, write_read, part, meta, target, key[1])
            for key, part in zip(keys, self.parts, strict=True)
        }


def _write_reads(frame: Any, target: ParquetTarget) -> WriteReads | None:
    """Return how partitions are written as they are read; None where they have to be made first."""
    # Where each file has the schema of its own rows, these are made before any is written.
    sliced = "" if target.schema is None else sliced_frame(frame)
    parts = None if isinstance(sliced, str) else sliced.parts()
    return None if parts is None else WriteReads(frame, target, tuple(parts))


class WriteCells(Step):
    """One file for each output partition of a recipe, made where it is written, a stretch of rows at a time."""

    _parameters = ["hidden", "target", "picked"]
    _meta = pd.Series([], dtype=object)

    @property
    def _words(self) -> str:
        return f"{key_split(self.hidden.tree._name)}-write"

    def _divisions(self) -> Any:
        return (None,) * (self.hidden.tree.npartitions + 1)

    def _layer(self) -> dict[Any, Any]:
        hidden: Hidden = self.hidden
        picked = self.operand("picked")
        graph = hidden.before(range(self.npartitions))
        for number in range(self.npartitions):
            (cell, *before), key = hidden.tasks(number), (self._name, number)
            write = WriteCell(cell.func.coded_rows or cell.func.rows, self.target, number, picked)
            graph[key] = Task.fuse(Task(key, write, *cell.args, **cell.kwargs), *before, key=key)
        return graph


def is_addressed(frame: Any) -> bool:
    """Whether all partitions of a lowered frame are cells whose rows are addressed by number."""
    if not isinstance(frame, Cells) or frame.operand("_partitions") is not None:
        return False
    outputs = (frame.hidden.tasks(number)[0] for number in range(frame.npartitions))
    return all(isinstance(getattr(task, "func", None), CellMaker) for task in outputs)


def streamed(frame: Any, dataset: Dataset) -> tuple[Any, list[Any] | None]:
    """Return what a frame's files are made of, and which columns are picked of it; None for all.

    Of a recipe's result, or of columns of it, that is the recipe as it is planned where its rows go to files in
    stretches; of any other frame the frame.
    """
    made, columns = frame, None
    if isinstance(frame, Projection) and isinstance(frame.operand("columns"), list):
        made, columns = frame.frame, frame.operand("columns")
    plan = made.own_plan if isinstance(made, Planned) else None
    # Where each file has the schema of its own rows, these are made before any is written.
    if plan is None or dataset.schema is None:
        return frame, None
    # Names are given to partitions.
    runs = plan.streamed if dataset.name_function is None else plan.in_stretches
    return made if runs is plan else made.substitute_parameters({"plan": runs}), columns


class CommitFiles(Step):
    """All files to their place, in one task."""

    _words = "write-commit"
    _parameters = ["files", "target", "begun"]

    @property
    def _meta(self) -> Any:
        return None

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        files = List(*(TaskRef(key) for key in self.files.__dask_keys__()))
        key = (self._name, 0)
        return {key: Task(key, commit, self.target, self.begun, files)}


def open_target(
    target: ParquetTarget, token: str, npartitions: int, known: Collection[str], *, later: bool = False
) -> Begun:
    """Make the directory that is written, and return what there was.

    Raises
    ------
    StagingError
        When it cannot be made.
    ValidationError
        When another write to the target runs, or has just ended and may not be overwritten.
    """
    if not target.is_local:
        target.fs.makedirs(target.target, exist_ok=True)
        return Begun()
    swap = Swap(target.target, token, inside=target.inside, keep=target.resume, later=later)
    swap.open()
    try:
        entries = local_entries(target, npartitions, known)
        taken = set(entries.data)
        if target.append:
            taken &= {target.file_name(number) for number in range(npartitions)}
        if taken and not target.overwrite:
            msg = f"{target.target!r} has files that did not exist when this write was prepared: {min(taken)!r}."
            raise ValidationError(msg, hint="Write to another path, or pass overwrite=True.")
        begun = Begun(swap.directory.stat().st_ino, generation_of(swap.target, entries.data))
    except BaseException:
        # Its lock, which nobody else would release, refuses every other write of this process.
        swap.close()
        raise
    _open[token] = swap, begun
    return begun


def opened_target(target: ParquetTarget, token: str, npartitions: int, known: Collection[str]) -> Begun:
    """Return what there was when the write began, which is now if it is one for later."""
    if token in _open:
        swap, begun = _open[token]
        if swap.directory.exists():
            return begun
        close_target(token)
    return open_target(target, token, npartitions, known, later=True)


def close_target(token: str) -> None:
    """Remove what a write has left next to its target."""
    swap, _ = _open.pop(token, (None, None))
    if swap is not None:
        swap.close()


def _close_all() -> None:
    for token in list(_open):
        close_target(token)


atexit.register(_close_all)

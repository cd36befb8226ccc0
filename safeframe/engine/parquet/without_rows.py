"""A merge's parquet files without its rows, as dask expressions and what their tasks do.

::

    CommitFiles(JoinedFiles(Seal(stage(left), stage(right))))

Covers: the merge that a frame is made of, the graph, one task for each file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.base import tokenize
from dask.task_spec import Task, TaskRef

from safeframe._dask.expressions import Expr
from safeframe._dask.steps import Step
from safeframe.engine.exchange.fetch import fetch
from safeframe.engine.exchange.nodes import Seal, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.merge.nodes import SafeMerge
from safeframe.engine.merge.tasks import SealedMerge, check_one_key, seal_merge
from safeframe.engine.merge.without_rows.sides import MovedColumns, NeedsRowsError, moved_columns
from safeframe.engine.names import seal_key
from safeframe.engine.parquet.resume import as_divided_before
from safeframe.engine.parquet.target import INDEX_LABEL, Dataset, ParquetTarget
from safeframe.engine.parquet.tasks import arrow_table, conversion_error
from safeframe.engine.parquet.written_file import WrittenFile, put_file
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.task import count_rows_out, use_worker
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.merge import WritePlan
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.values import Block
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.virtual import cell_range
from safeframe.kernels.parquet.joined import FileColumn, JoinedForm, Runs, shard_runs, write_joined
from safeframe.kernels.parquet.values import has_physical_form
from safeframe.kernels.parquet.writer_options import Compression, codec_of
from safeframe.kernels.routing.router import JoinRouter

_CODEC = "zstd"


@dataclass(frozen=True, slots=True)
class JoinedFrame:
    """A merge, and what the columns of a frame made of it are called there."""

    merge: Any
    columns: tuple[tuple[Any, Any], ...]
    """Each column's name, and its name in the merge."""
    plan: Plan

    write: WritePlan
    """Its files."""

    def divided_as_before(self, directory: str) -> JoinedFrame:
        """Divide files as those that an earlier run has left in a directory."""
        write = as_divided_before(directory, self.write)
        return replace(self, plan=self.plan.with_write(write), write=write)


def joined_frame(expr: Any, *, write_index: bool) -> JoinedFrame | str | None:
    """Find the merge that a frame is made of by columns and filters of one side each.

    Parameters
    ----------
    expr
        The frame's expression.
    write_index
        Whether its index is written.

    Returns
    -------
    JoinedFrame, str or None
        A reason, where there is a merge and its rows have to be made; None where there is none.
    """
    simple = expr.simplify()
    if not any(isinstance(part, SafeMerge) for part in simple.walk()):
        return None
    found = _moved(simple)
    if isinstance(found, str):
        # dask may have left a filter next to columns of the merge without it.
        other = _moved(expr)
        found = found if isinstance(other, str) else other
    if isinstance(found, str):
        return found
    merge = found.merge
    if isinstance(merge.run.write, str):
        return merge.run.write
    if merge.indicator:
        return "the indicator column needs its rows"
    if write_index and merge.known_divisions:
        return "the partitions are ranges of the index"
    planned = found.planned
    if isinstance(planned, str):
        return planned
    return JoinedFrame(planned, found.columns, planned.plan, planned.run.write)


def _moved(expr: Any) -> MovedColumns | str:
    try:
        return moved_columns(expr)
    except NeedsRowsError as reason:
        return str(reason)


def unwritable(target: Dataset) -> str | None:
    """Return which column, or argument, cannot be written without rows, or None."""
    if target.schema is None:
        return "schema=None takes the schema from each partition's rows"
    if target.writer_options:
        return f"{target.writer_options[0][0]}= is an option of pyarrow's row writer"
    if len(target.schema) != len(target.dtypes) + target.write_index:
        return "schema= leaves columns out"
    for field in target.schema:
        if not has_physical_form(field.type):
            return f"{field.name!r} has values of type {field.type}"
    return None


class JoinedFiles(Step):
    """Files of a merge, each a task that reads a shard's blocks."""

    _words = "merge-output-write"
    _parameters: ClassVar[list[str]] = ["sealed", "form", "write", "target", "run"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None,) * (self.write.files + 1)

    def _task(self, name: Any, index: int) -> Any:
        arguments = (self.form, self.operand("write"), self.target, index)
        return Task(name, write_part, TaskRef(seal_key(self.run)), *arguments)


def joined_files(
    left: Any,
    right: Any,
    form: JoinedForm,
    plan: Plan,
    write: WritePlan,
    planned: tuple[PlannedKeys, PlannedKeys],
    target: ParquetTarget,
    token: str,
) -> Expr:
    """Return the expression that writes a merge's files, of its lowered sides."""
    spec = form.spec
    run = f"merge-{tokenize(left._name, right._name, form, write, token)}"
    directory = start_run(write.staging_directory, run)
    sides = ("left", left, spec.left), ("right", right, spec.right)
    staged = [
        stage(
            frame,
            side,
            JoinRouter(side.on, side.schema, write.layout, write.layout.empty_of(name)),
            directory,
            tasks,
        )
        for (name, frame, side), tasks in zip(sides, write.stage_tasks, strict=True)
    ]
    limit = PartitionLimit.of(plan)
    sealed = Seal(run, seal_merge, (spec, write.layout, limit, planned), *staged)
    return JoinedFiles(sealed, form, write, target, run)


def joined_form(found: JoinedFrame, target: Dataset) -> JoinedForm:
    """Work out what the files of a merge look like."""
    spec, write = found.merge._spec, found.write
    at = {name: number for number, name in enumerate(spec.meta.columns)}
    columns = [
        FileColumn(
            name, spec.output[at[old]], spec.meta.dtypes.iloc[at[old]], _codec(target.compression, name)
        )
        for name, old in found.columns
    ]
    if target.write_index:
        name = spec.meta.index.name or INDEX_LABEL
        columns.append(FileColumn(name, spec.index, spec.meta.index.dtype, _codec(target.compression, name)))
    empty = pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in target.dtypes})
    empty.index = spec.meta.index.rename(spec.meta.index.name or INDEX_LABEL)
    schema = arrow_table(empty, target).schema
    order = {name: number for number, name in enumerate(schema.names)}
    return JoinedForm(
        spec=spec,
        schema=schema,
        columns=tuple(sorted(columns, key=lambda column: order[column.name])),
        # Larger ones than the plan has would not be in its memory.
        group_rows=min(target.group_rows or write.group_rows, write.group_rows),
    )


def _codec(compression: Compression, name: str) -> str:
    return codec_of(compression, name, auto=_CODEC)


def write_part(
    sealed: SealedMerge, form: JoinedForm, write: WritePlan, target: ParquetTarget, number: int
) -> WrittenFile:
    """Write one file of a merge, or find it written."""
    use_worker(sealed.left.directory or sealed.right.directory)
    name = target.file_name(number)
    if target.resume and (rows := _finished(target, name)) is not None:
        return WrittenFile(name, rows, Path(target.path_of(name)).stat().st_ino)
    left, right, runs, part = _blocks(sealed, write, form.spec, number)
    rows = max(len(block[0]) if block else 0 for block in (left, right))
    nbytes = sum(int(getattr(column, "nbytes", 8 * rows)) for block in (left, right) for column in block)
    try:
        written = put_file(
            target, name, lambda sink: write_joined(sink, left, right, form, runs, part), nbytes
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise conversion_error(error, target) from error
    count_rows_out(written.rows)
    return written


def _blocks(
    sealed: SealedMerge, write: WritePlan, spec: JoinSpec, number: int
) -> tuple[Block, Block, Runs | None, tuple[int, int]]:
    """Read what a file is made of: both sides, their runs, and which part of the row groups."""
    shard, left_part, right_part = write.file_location(number)
    if not write.layout.single_key[shard]:
        left, right = fetch(sealed.left, shard), fetch(sealed.right, shard)
        return left, right, shard_runs(left, right, spec), left_part
    whole = sealed.left.shard_rows(shard), sealed.right.shard_rows(shard)
    parts = left_part, right_part
    ranges = [cell_range(n_rows, *part) for n_rows, part in zip(whole, parts, strict=True)]
    # A part of a side that has no row is not a side without rows: its key is met elsewhere. And
    # the rows that meet no other side are in the first of its parts alone.
    empty = any(
        hi <= lo if n_rows else part > 0
        for n_rows, (lo, hi), (part, _) in zip(whole, ranges, parts, strict=True)
    )
    left, right = (
        fetch(side, shard, [] if empty else [rows])
        for side, rows in zip((sealed.left, sealed.right), ranges, strict=True)
    )
    if not spec.left.schema.injective:
        check_one_key(left, right, spec)
    return left, right, None, (0, 1)


def _finished(target: ParquetTarget, name: str) -> int | None:
    """Count the rows of a file that an earlier run has written; None where there is none."""
    try:
        return int(pq.read_metadata(target.path_of(name)).num_rows)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None

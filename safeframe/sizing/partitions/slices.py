"""Slices of the partitions of a frame: some rows at a time, as the whole partition would have them.

Covers: which steps of a lowered expression look at one row alone, and are taken slice by slice; partitions of parquet
files, read in slices.
Does not cover: decoding files (``sizing.parquet.stream``), what is done with slices (``engine.exchange.stage``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.task_spec import Alias, GraphNode, Task

from safeframe import options
from safeframe._dask.as_read import AsRead
from safeframe._dask.expressions import (
    Accessed,
    Assign,
    AsType,
    Binop,
    DelayedExpr,
    Expr,
    Fused,
    Isin,
    Projection,
    RenameSeries,
    Unaryop,
    row_filters,
    row_steps,
)
from safeframe._dask.parquet_tasks import RowGroups, TableParts, is_parquet_read, parquet_task_parts
from safeframe._dask.trees import graph_of, lowered, task_of
from safeframe.kernels.columns.categories import UNKNOWN
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.parquet.column_sets import ANY_WAY, Reading
from safeframe.sizing.parquet.stream import rows_of, table_frames

_STEPS, _FILTERS = row_steps() | {AsRead}, row_filters()


class SlicedPart(Protocol):
    """A partition that is made in slices."""

    def slices(self, nbytes: int | None, reading: Reading = ANY_WAY) -> Iterator[pd.DataFrame]:
        """Return its rows in order, in frames of about so many bytes or, for None, in one; none where it has no rows."""


class ParquetPart:
    """A partition of parquet files, read in slices, each of which the steps after the read are taken with."""

    __slots__ = ("as_read", "row_nbytes", "source", "steps", "tables", "widening")

    def __init__(
        self,
        tables: Sequence[TableParts],
        steps: Sequence[tuple[Any, GraphNode]],
        source: Any,
        widening: float,
        row_nbytes: float,
        *,
        as_read: bool,
    ) -> None:
        self.tables = tables
        self.steps = steps
        self.source = source
        self.widening = widening
        self.row_nbytes = row_nbytes
        self.as_read = as_read
        """Whether steps do no more than leave columns out."""

    def slices(self, nbytes: int | None, reading: Reading = ANY_WAY) -> Iterator[pd.DataFrame]:
        """See :class:`SlicedPart`."""
        assert nbytes is not None, "a partition that is made whole is made by its own task"
        if not self.as_read:
            # Steps take the types that dask promises.
            reading = replace(reading, as_categories=frozenset())
        for table in self.tables:
            for frame in table_frames(table, max(1, int(nbytes / self.widening)), reading):
                holder = [frame]
                del frame
                made = self._after_steps(holder)
                if len(made):
                    yield made
                del made

    def of_row_group(self, number: int) -> ParquetPart:
        """Return the rows of one row group, where all are of one file, with row numbers of their own."""
        ((file,),) = (table.parts for table in self.tables)
        tables = [TableParts((replace(file, row_groups=RowGroups((number,))),))]
        return ParquetPart(
            tables, self.steps, self.source, self.widening, self.row_nbytes, as_read=self.as_read
        )

    def has_more_than(self, nbytes: int) -> bool:
        """Return whether there are more bytes in it, about, by the rows that its files have."""
        parts = [part for table in self.tables for part in table.parts]
        return rows_of(parts) * self.row_nbytes > nbytes

    def _after_steps(self, holder: list[pd.DataFrame]) -> pd.DataFrame:
        values: dict[Any, Any] = {self.source: holder.pop()}
        last = self.source
        for key, step in self.steps:
            values[key] = step({needed: values[needed] for needed in step.dependencies})
            last = key
        made: pd.DataFrame = values[last]
        return made


@dataclass(frozen=True, eq=False)
class SlicedFrame:
    """A lowered frame whose partitions are read in slices."""

    read: Any
    """The parquet source."""
    steps: tuple[Any, ...]
    """The expressions of the steps after it, each after those that it takes."""
    meta: Any
    """What dask promises of a partition after the steps."""
    constants: tuple[tuple[Any, Task], ...]
    """Keys and tasks of values that steps take, the same for all partitions."""

    def part(self, number: int) -> ParquetPart | None:
        """Return a partition; None where its files are not read as dask's own readers read them."""
        source = (self.read._name, number)
        tables = parquet_task_parts(task_of(self.read, number))
        if tables is None:
            return None
        steps = [((step._name, number), _step_task(step, number)) for step in self.steps]
        as_read = all(isinstance(step, Projection) for step in self.steps)
        return ParquetPart(
            tables,
            [*self.constants, *steps],
            source,
            self._widening,
            _width(self.read._meta),
            as_read=as_read,
        )

    @functools.cached_property
    def _widening(self) -> float:
        """How many times wider rows are after the steps than they are read, about."""
        return max(1.0, _width(self.meta) / max(1.0, _width(self.read._meta)))

    def parts(self) -> list[ParquetPart] | None:
        """Return all partitions; None where one cannot be read in slices."""
        found = []
        for number in range(self.read.npartitions):
            part = self.part(number)
            if part is None:
                return None
            found.append(part)
        return found


def sliced_frame(frame: Any) -> SlicedFrame | str:
    """Return how partitions of a lowered expression are read in slices, or why they have to be made whole."""
    found = _Steps()
    try:
        found.rows_of(frame)
    except _NeedsWholeError as error:
        return str(error)
    assert found.read is not None, "every chain of steps begins with a source"
    return SlicedFrame(found.read, tuple(found.steps), frame._meta, tuple(found.constants.items()))


def sliced_parts(ddf: dd.DataFrame) -> list[ParquetPart] | None:
    """Return the partitions of a frame as they are read in slices; None where they are not."""
    sliced = sliced_frame(lowered(ddf.expr.simplify()))
    return sliced.parts() if isinstance(sliced, SlicedFrame) else None


class _NeedsWholeError(Exception):
    """A step needs more of a partition than a row."""


class _Steps:
    """The steps of a lowered expression, as far as each looks at one row alone."""

    def __init__(self) -> None:
        self.read: Any = None
        self.steps: list[Any] = []
        self.constants: dict[Any, Task] = {}
        self._rows: dict[str, str] = {}

    def rows_of(self, expr: Any) -> str:
        """Return a name of the rows that an expression has: that of what made them."""
        name: str = expr._name
        if name not in self._rows:
            self._rows[name] = self._found_rows(expr)
        return self._rows[name]

    def _found_rows(self, expr: Any) -> str:
        name: str = expr._name
        if isinstance(expr, Fused):
            # The first of what dask fused is its result; what comes after takes it by the name of the whole.
            rows = self.rows_of(expr.exprs[0])
            self.steps.append(expr)
            return rows
        if is_parquet_read(expr):
            if not len(expr._meta.columns if isinstance(expr._meta, pd.DataFrame) else [0]):
                msg = "no column is read"
                raise _NeedsWholeError(msg)
            if self.read is not None and self.read._name != name:
                msg = "rows of two files are put side by side"
                raise _NeedsWholeError(msg)
            self.read = expr
            return name
        if not _takes_one_row(expr):
            msg = f"{type(expr).__name__} may need more of a partition than a row"
            raise _NeedsWholeError(msg)
        below = []
        for dependency in expr.dependencies():
            if isinstance(dependency, DelayedExpr):
                self._take_constant(dependency)
            else:
                below.append(self.rows_of(dependency))
        # Rows that are not the same are brought together by their labels.
        if len(set(below)) != 1:
            msg = f"{type(expr).__name__} takes rows of several steps"
            raise _NeedsWholeError(msg)
        self.steps.append(expr)
        return name if type(expr) in _FILTERS or getattr(type(expr), "takes_slices", False) else below[0]

    def _take_constant(self, expr: Any) -> None:
        graph = graph_of(expr)
        if any(task.dependencies for task in graph.values()):
            msg = "a step takes a value that is computed"
            raise _NeedsWholeError(msg)
        self.constants.update(graph)


def _step_task(step: Any, number: int) -> GraphNode:
    """Return the task of a step; of those that dask fused, which are steps themselves, another name of the first."""
    if isinstance(step, Fused):
        return Alias((step._name, number), (step.exprs[0]._name, number))
    task: GraphNode = task_of(step, number)
    return task


def _takes_one_row(expr: Any) -> bool:
    """Whether a step makes a row of the same row of what it takes, whatever other rows there are, or takes any rows."""
    if getattr(type(expr), "takes_slices", False):
        return True
    if not (type(expr) in _STEPS or type(expr) in _FILTERS or isinstance(expr, (Binop, Unaryop))):
        return False
    if any(isinstance(operand, (np.ndarray, pd.Series, pd.DataFrame, pd.Index)) for operand in expr.operands):
        return False  # as long as a partition, if anything
    if isinstance(expr, Accessed):
        return expr.accessor in ("str", "dt")
    if isinstance(expr, AsType):
        return not _has_unknown_categories(expr._meta)
    if isinstance(expr, Assign):
        return not any(callable(value) and not isinstance(value, Expr) for value in expr.vals)
    if isinstance(expr, RenameSeries):
        return isinstance(expr.operand("index"), str)
    return (
        not isinstance(expr, Isin)
        or not isinstance(expr.operand("values"), Expr)
        or isinstance(expr.operand("values"), DelayedExpr)
    )


def _width(meta: Any) -> float:
    """Return the bytes of a row by its types, about."""
    dtypes = meta.dtypes if isinstance(meta, pd.DataFrame) else [meta.dtype]
    widths = [fixed_nbytes(dtype) for dtype in dtypes]
    return sum(options.VARIABLE_NBYTES if width is None else width for width in widths)


def _has_unknown_categories(meta: Any) -> bool:
    """Whether categories are those that a partition happens to have."""
    dtypes = meta.dtypes if isinstance(meta, pd.DataFrame) else [meta.dtype]
    return any(isinstance(dtype, pd.CategoricalDtype) and UNKNOWN in dtype.categories for dtype in dtypes)

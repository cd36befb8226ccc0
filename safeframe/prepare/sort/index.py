"""An index, as dask's ``set_index`` takes its arguments: the column that it is made of, its plan, its frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import pandas as pd

from safeframe.choices import check_flags
from safeframe.engine.sort.nodes import SortRequest
from safeframe.errors import SchemaMismatchError, UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.kernels.sort.rows import RowOrder
from safeframe.planning.sort.plan import plan_unsorted
from safeframe.prepare.arguments import PartitionOptions, check_frame, with_types_of_nulls
from safeframe.prepare.dask_arguments import as_npartitions, exchange_strategy, no_effect, refuse
from safeframe.prepare.sort.order import PlannedSort, make_collection, plan_order, row_order

_RECIPE = "set_index"
_COLUMN = "__safeframe_new_index__"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexArguments:
    """The arguments of ``set_index``, unchecked."""

    column: Any
    other: Any
    drop: bool
    npartitions: Any
    partition_size: str | int | None
    strategy: str | None
    memory: str | int | None
    staging: str | None
    divisions: Sequence[Any] | None
    in_order: bool
    sort: bool
    shuffle_method: str | None
    upsample: float
    append: bool
    inplace: bool
    compute: bool | None

    def options(self) -> PartitionOptions:
        """Check what does not need the frame.

        Raises
        ------
        ValidationError, UnsupportedError
            When arguments contradict each other, or dask has them and this recipe has not.
        """
        if self.compute is not None:
            check_flags(compute=self.compute)
        check_flags(
            drop=self.drop, sort=self.sort, sorted=self.in_order, append=self.append, inplace=self.inplace
        )
        if self.append:
            refuse(_RECIPE, "append", self.append, "dask has no index of several levels", "Leave it out.")
        if self.inplace:
            refuse(
                _RECIPE, "inplace", self.inplace, "dask's frames cannot be changed", "Use what it returns."
            )
        if self.compute:
            refuse(_RECIPE, "compute", self.compute, "its result is lazy", "Call .persist() on the result.")
        no_effect(upsample=self.upsample)
        if (self.column is None) == (self.other is None):
            msg = f"{'No column is' if self.column is None else 'column= and other= both are'} named."
            raise ValidationError(msg, hint="Name one column, or pass one series.")
        n, divisions = as_npartitions(self.npartitions), self.divisions
        if (self.in_order or not self.sort) and n is not None:
            msg = f"npartitions={n} cannot be combined with {'sorted=True' if self.in_order else 'sort=False'}, which moves no rows."
            raise ValidationError(
                msg, hint="Leave one of them out, or use safeframe.rebalance_partitions afterwards."
            )
        if not self.sort and divisions is not None:
            msg = "divisions= cannot be combined with sort=False, which reads no keys."
            raise ValidationError(msg, hint="Leave one of them out.")
        if divisions is not None and (isinstance(divisions, str) or not pd.api.types.is_list_like(divisions)):
            msg = f"divisions={divisions!r} is not a list of values."
            raise ValidationError(msg, hint="Pass ascending values, one more than the number of partitions.")
        return PartitionOptions(
            npartitions=n,
            partition_size=self.partition_size,
            strategy=exchange_strategy(_RECIPE, self.shuffle_method, self.strategy),
            memory=self.memory,
            staging=self.staging,
            divisions=None if divisions is None else list(divisions),
        )


def indexed_frame(ddf: Any, given: IndexArguments) -> dd.DataFrame:
    """Check the arguments, and return the lazy frame with its index."""
    options, found = given.options(), _found(ddf, given)
    if given.sort:
        indexed = make_collection(_planned(found, options, in_order=given.in_order))
    else:
        _order_of(found)  # refuses what has none
        indexed = found.frame.set_index(found.column, drop=found.drop, sort=False)
    return indexed.rename_axis(index=found.name) if found.renamed else indexed


def plan_index(ddf: Any, given: IndexArguments) -> Plan:
    """Check the arguments, and return the plan of an index."""
    options, found = given.options(), _found(ddf, given)
    planned = _planned(found, options, in_order=given.in_order and given.sort)
    return planned.plan if given.sort else plan_unsorted(planned.facts)


def _found(ddf: Any, given: IndexArguments) -> IndexColumn:
    frame = check_frame(ddf, "ddf")
    if given.in_order and given.divisions is not None and len(given.divisions) != frame.npartitions + 1:
        msg = (
            f"divisions= has {len(given.divisions)} values; with sorted=True, {frame.npartitions} partitions need "
            f"{frame.npartitions + 1}."
        )
        raise ValidationError(msg, hint="Leave sorted= out: rows are then moved to the divisions.")
    return index_column(frame, given.other if given.column is None else given.column, drop=given.drop)


def _order_of(found: IndexColumn) -> RowOrder:
    return row_order(found.frame, [found.column], ascending=[True], na_last=True)


def _planned(found: IndexColumn, options: PartitionOptions, *, in_order: bool) -> PlannedSort:
    request = SortRequest(order=_order_of(found), index=found.column, drop=found.drop, with_index=False)
    planned = plan_order(found.frame, request, options, recipe=_RECIPE)
    facts = planned.facts
    # Nulls, and keys without codes, say nothing about the order: such rows are sorted.
    if (
        in_order
        and facts.ordered
        and facts.quantiles.partitions is not None
        and not facts.quantiles.null_rows
    ):
        msg = f"sorted=True does not hold: {facts.ordered}."
        raise ValidationError(msg, hint="Leave sorted= out: the rows are then sorted.")
    return planned


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexColumn:
    """A frame, and which of its columns becomes the index."""

    frame: dd.DataFrame
    """The frame; with the values of a series as a column of their own."""
    column: Any
    drop: bool
    """Whether it goes from the columns."""
    renamed: bool = False
    """Whether the index has another name than the column."""
    name: Any = None


def index_column(frame: dd.DataFrame, column: Any, *, drop: bool) -> IndexColumn:
    """Find the column that is to be the index, or make it.

    Raises
    ------
    UnsupportedError
        For several columns, and for a series of pandas'.
    SchemaMismatchError, ValidationError
        For what is no column or series, or a series that does not go with the frame.
    """
    columns = list(frame.columns)
    if isinstance(column, (list, tuple)) and len(column) == 1 and column not in columns:
        column = column[0]
    if isinstance(column, (dd.DataFrame, pd.DataFrame)):
        column = list(column.columns)
    if isinstance(column, list) or (isinstance(column, tuple) and column not in columns):
        msg = f"An index of {column} is not supported."
        raise UnsupportedError(msg, hint="Name one column: dask has no MultiIndex.")
    if isinstance(column, (pd.Series, pd.Index)):
        msg = f"An index of a pandas {type(column).__name__} is not supported."
        hint = "Name a column, or pass a series of the same dask dataframe, such as ddf['a'] + 1."
        raise UnsupportedError(msg, hint=hint)
    if isinstance(column, dd.Series):
        return _of_series(frame, with_types_of_nulls(column), columns)
    if pd.api.types.is_list_like(column) and not isinstance(column, tuple):
        msg = f"column is a {type(column).__name__}; a name or a dask series is expected."
        raise SchemaMismatchError(msg, hint="Name one column of the frame.")
    if column is not None and column not in columns and column == frame._meta.index.name:
        return IndexColumn(frame=frame.reset_index(), column=column, drop=True)
    return IndexColumn(frame=frame, column=column, drop=drop)


def _of_series(frame: dd.DataFrame, series: dd.Series, columns: list[Any]) -> IndexColumn:
    name = series.name
    if name in columns and series.expr._name == frame[name].expr._name:
        # As in pandas, the values become the index and the column of that name stays.
        return IndexColumn(frame=frame, column=name, drop=False)
    free = isinstance(name, str) and name not in columns
    column = name if free else _COLUMN
    try:
        wider = frame.assign(**{column: series})
    except (ValueError, TypeError, NotImplementedError) as error:
        msg = f"The series {name!r} does not belong to the frame: {error}."
        raise ValidationError(msg, hint="Pass a series that is computed from the same frame.") from error
    return IndexColumn(frame=wider, column=column, drop=True, renamed=not free, name=name)

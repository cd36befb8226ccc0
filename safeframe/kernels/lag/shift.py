"""Columns shifted within groups, as whole columns.

Covers: rows whose groups are together (or are sorted by an order),
with rows of neighbours before and after them.
Does not cover: what is shifted, transforms (``kernels.lag.spec``), bringing groups together
over partitions (``engine.lag.nodes``).

A shift by ``k`` of rows whose groups are together is a copy ``k`` rows further
on, with the rows blanked whose group began since: no work for each group, and
work for each row and lag that does not depend on the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.values import Column, as_column, as_promised, as_series, join_columns
from safeframe.kernels.groups import begins_group
from safeframe.kernels.keys.nulls import any_null
from safeframe.kernels.lag.spec import LagColumn, LagSpec, lagged_dtype, transformed
from safeframe.kernels.order import Positions


def edge_rows(frame: pd.DataFrame, spec: LagSpec, rows: slice) -> pd.DataFrame:
    """Return the columns that are read of some rows, as a frame that keeps no others alive."""
    wanted = np.arange(len(frame))[rows]
    # Column by column: a frame's own take gives a view where all rows of one are wanted, and that keeps what it views.
    columns = [as_column(frame[name]).take(wanted) for name in spec.needed]
    return frame_of_columns(columns, frame.iloc[:0][spec.needed].columns, len(wanted))


def add_lags(
    frame: pd.DataFrame,
    spec: LagSpec,
    *,
    own: slice | None = None,
    before: Sequence[pd.DataFrame] = (),
    after: Sequence[pd.DataFrame] = (),
    order: Positions | None = None,
) -> pd.DataFrame:
    """Return rows with their shifted columns.

    Parameters
    ----------
    frame
        Rows; those of a group are together and in order, or are so by ``order``.
    spec
        What is shifted.
    own
        Which rows of ``frame`` the result has; the others are neighbours.
    before, after
        Rows of neighbours, of the columns that are read alone.
    order
        Row numbers by which groups are together. The result's rows stay where they are.

    Notes
    -----
    Memory: in addition to the result, 17 bytes per row, and one column at a time: as
    the transform made it, or in the order given.

    Examples
    --------
    >>> lag = LagColumn(name="v1", column="v", lag=1, dtype=np.dtype("float64"))
    >>> spec = LagSpec(by=("k",), columns=(lag,), dropna=True, transform=None, fills=False, fill_value=None)
    >>> add_lags(pd.DataFrame({"k": [1, 1, 2], "v": [5, 6, 7]}), spec)["v1"].tolist()
    [nan, 5.0, nan]
    """
    low, high, _ = (own or slice(None)).indices(len(frame))
    first = sum(map(len, before))
    rows = _Rows(
        ends=(first + low, first + high),
        total=first + len(frame) + sum(map(len, after)),
        inverse=None if order is None else _inverse(order),
    )

    def column(name: Any) -> Column:
        joined = join_columns(
            [*(part[name] for part in before), frame[name], *(part[name] for part in after)]
        )
        return joined if order is None else joined.take(order)

    keys = [as_series(column(name)) for name in spec.by]
    groups = np.cumsum(begins_group(keys), dtype=np.int32 if rows.total < 2**31 else np.int64)
    null = any_null(keys) if spec.dropna else None
    del keys
    blanks = {lag: _blanks(groups, null, lag) for lag in dict.fromkeys(made.lag for made in spec.columns)}
    del groups, null
    made: dict[int, Column] = {}
    for source in dict.fromkeys(one.column for one in spec.columns):
        values = column(source)
        wanted = [(i, one) for i, one in enumerate(spec.columns) if one.column == source]
        made.update(_of_column(values, wanted, blanks, rows, spec))
    return _with_columns(frame.iloc[low:high], [made[i] for i in range(len(spec.columns))], spec)


def lagged_meta(meta: pd.DataFrame, spec: LagSpec) -> pd.DataFrame:
    """Return an empty frame with its shifted columns."""
    made = [as_column(pd.Series([], dtype=one.dtype)) for one in spec.columns]
    return _with_columns(meta.iloc[:0], made, spec)


def _with_columns(frame: pd.DataFrame, made: Sequence[Column], spec: LagSpec) -> pd.DataFrame:
    names = frame.columns
    if spec.columns:  # pandas 2 makes objects of numbers to which nothing is appended, or warns that it will
        names = names.append(pd.Index([one.name for one in spec.columns], dtype=_names_dtype(frame, spec)))
    names.name = frame.columns.name
    result = frame_of_columns([*(as_column(frame[name]) for name in frame.columns), *made], names, len(frame))
    result.index = frame.index
    return result


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Rows:
    """Which rows the result has."""

    ends: tuple[int, int]
    total: int
    inverse: Positions | None


def _names_dtype(frame: pd.DataFrame, spec: LagSpec) -> Any:
    """Keep the type of the column names where the new ones are of it; None for their own."""
    strings = all(isinstance(one.name, str) for one in spec.columns)
    return frame.columns.dtype if strings and pd.api.types.is_string_dtype(frame.columns.dtype) else None


def _of_column(
    values: Column,
    wanted: Sequence[tuple[int, LagColumn]],
    blanks: dict[int, Positions],
    rows: _Rows,
    spec: LagSpec,
) -> dict[int, Column]:
    """Make the columns of the result that one column is shifted for."""
    found: dict[int, Column] = {}
    done: dict[Any, tuple[Column, Any]] = {}
    for number, one in wanted:
        dtype = lagged_dtype(values.dtype, one.lag, fills=spec.fills)
        if isinstance(spec.transform, np.ufunc) and isinstance(dtype, np.dtype) and dtype.kind in "iufb":
            # It makes each value of one alone: made once, and shifted then.
            if dtype not in done:
                fill = np.array([spec.fill_value if spec.fills else np.nan])
                as_lagged = values.astype(dtype, copy=False)
                filled = spec.transform(fill.astype(dtype)) if dtype.kind == "f" or spec.fills else [None]
                done[dtype] = spec.transform(as_lagged), filled[0]
            source, fill_value = done[dtype]
            column = _shifted(source, one.lag, blanks[one.lag], source.dtype, fill_value)
        else:
            shifted = _shifted(
                values, one.lag, blanks[one.lag], dtype, spec.fill_value if spec.fills else None
            )
            column = transformed(one.column, values, shifted, spec)
        if rows.inverse is not None:
            column = column.take(rows.inverse)
        column = column[rows.ends[0] : rows.ends[1]]
        if column.dtype != one.dtype:
            series = as_series(column)
            series.name = one.name
            column = as_column(as_promised(series, one.dtype))
        found[number] = column
    return found


def _blanks(groups: npt.NDArray[Any], null: npt.NDArray[np.bool_] | None, lag: int) -> Positions:
    """Find the rows that have no row to shift from."""
    n = len(groups)
    if lag == 0:
        return np.empty(0, np.int64)
    step = min(abs(lag), n)
    differs = groups[step:] != groups[: n - step]
    outside: Positions = np.arange(step)
    inside = np.flatnonzero(differs)
    rows = (
        np.concatenate([outside, inside + step]) if lag > 0 else np.concatenate([inside, outside + n - step])
    )
    if null is not None:
        rows = np.union1d(rows, np.flatnonzero(null))
    return rows


def _shifted(column: Column, lag: int, blanks: Positions, dtype: Any, fill_value: Any) -> Column:
    """Copy a column some rows further on."""
    if lag == 0:
        return column
    n = len(column)
    step = min(abs(lag), n)
    low, high = (step, n) if lag > 0 else (0, n - step)
    if isinstance(column, np.ndarray):
        shifted = np.empty(n, dtype)
        shifted[low:high] = column[low - step : n - step] if lag > 0 else column[step:]
        shifted[blanks] = _missing_value(dtype) if fill_value is None else fill_value
        return shifted
    source = np.arange(n) - lag
    source[blanks] = -1
    taken: Column = pd.api.extensions.take(column, source, allow_fill=True, fill_value=fill_value)
    return taken


def _missing_value(dtype: np.dtype[Any]) -> Any:
    return np.array("NaT", dtype) if dtype.kind in "mM" else np.nan


def _inverse(order: Positions) -> Positions:
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.arange(len(order))
    return inverse

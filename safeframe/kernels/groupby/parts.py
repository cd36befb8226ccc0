"""Parts of states: what is kept of a group so that results of its parts can be merged.

A part is made of each row first (:func:`of_rows`), and rows of a group are merged (:func:`merged`), whether they
are states of rows or of groups. So a state of one row costs no grouping, and there is one rule for each part.

Central moments are merged as Chan, Golub and LeVeque, and Pébay, have it, for any number of states at once:
means are taken from the first of the group on, so that equal values have moments of exactly zero.

Covers: which parts a function needs, rows, merging.
Does not cover: results (``kernels.groupby.results``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.kernels.groupby.families import Array, Plain, Valid, family
from safeframe.kernels.groupby.spec import Aggregation, Pair
from safeframe.kernels.keys.numbering import Groups

Part = tuple[Any, str]
"""A column, and what is kept of it."""
Columns = Sequence[Any]
"""The columns of a part: arrays of numpy or of pandas."""

ROWS: Part = (None, "rows")

_MADE_OF = {
    "count": ("count",),
    "mean": ("count", "float sum"),
    "var": ("count", "moments"),
    "std": ("count", "moments"),
    "sem": ("count", "moments"),
    "skew": ("count", "third moments"),
    "idxmin": ("count", "idxmin"),
    "idxmax": ("count", "idxmax"),
    "cov": ("count", "joint moments"),
    "corr": ("count", "joint moments"),
}
_COLUMNS = {"wide sum": 2, "moments": 2, "third moments": 3, "joint moments": 5, "idxmin": 2, "idxmax": 2}
_SCALE = np.int64(2**32)

_ROWS_ADDED = 1000
"""Adding up so many floats one by one rounds away less than 2e-13 of them."""
_STRETCH_ROWS = 2**14
"""Rows that are added up before their sums are."""


def parts_of(agg: Aggregation, dtype: Any) -> list[Part]:
    """Return what has to be kept for a column of the result; what others are merged by is first.

    Examples
    --------
    >>> parts_of(Aggregation("v", "mean", "v"), np.dtype("int64"))
    [('v', 'count'), ('v', 'float sum')]
    """
    if agg.function == "size":
        return [ROWS]
    kinds = list(_MADE_OF.get(agg.function, (agg.function,)))
    if agg.option("min_count", 0) > (0 if agg.function in ("sum", "prod") else 1):
        kinds.insert(0, "count")
    if agg.function == "mean":
        # Sums of floats are those of their means. Times are beyond what floats tell apart.
        kinds[1] = {"float": "sum", "datetime": "wide sum", "timedelta": "wide sum"}.get(
            family(dtype), "float sum"
        )
    made = [(agg.column, kind) for kind in kinds]
    if agg.function == "cov" and agg.pairs_with_itself:
        # Infinite values count where no value of a group's rows is null, which these tell.
        made += [(agg.column, "present"), ROWS]
    return made


def columns_of(part: Part) -> tuple[Any, ...]:
    """Return the columns of a frame that a part is made of."""
    name = part[0]
    return (name.one, name.two) if isinstance(name, Pair) else (name,)


def n_columns(part: Part) -> int:
    """Return how many columns a part has."""
    return _COLUMNS.get(part[1], 1)


def of_rows(part: Part, series: pd.Series[Any], numbers: Plain | None) -> list[Any]:
    """Return a part of each row.

    Parameters
    ----------
    part
        Which one.
    series
        The column; for rows alone any of as many.
    numbers
        Its plain values, for a part that is made of them (:func:`needs_numbers`).
    """
    kind = part[1]
    if kind == "rows":
        return [_constant(1, len(series))]
    if numbers is None:
        if kind == "count":
            null = series.isna().to_numpy()
            return [(~null).astype(np.int64) if null.any() else _constant(1, len(series))]
        if family(series.dtype) == "decimal" and kind == "sum":
            return [_widest_decimals(series)]
        return [series.array if not isinstance(series.dtype, np.dtype) else series.to_numpy()]
    valid = numbers.valid
    if kind == "count":
        return [_constant(1, len(series)) if valid is None else valid.astype(np.int64)]
    if kind == "sum":
        return [numbers.totals]
    if kind == "float sum":
        return [numbers.floats]
    if kind == "prod":
        return [
            numbers.totals if valid is None else np.where(valid, numbers.totals, numbers.totals.dtype.type(1))
        ]
    if kind == "wide sum":
        return [numbers.values // _SCALE, numbers.values % _SCALE]
    if kind in ("moments", "third moments"):
        zeros = [_constant(0.0, len(series))] * (n_columns(part) - 1)
        return [numbers.floats, *zeros]
    if kind in ("any", "all"):
        truth = numbers.values != 0
        return [truth if valid is None else truth & valid if kind == "any" else truth | ~valid]
    labels = series.index
    return [numbers.values, labels.array if not isinstance(labels.dtype, np.dtype) else labels.to_numpy()]


def of_pairs(part: Part, one: Plain, two: Plain) -> list[Any]:
    """Return a part of each row of two columns; rows that lack a finite value of either count for nothing but "present"."""
    n_rows = len(one.values)
    if part[1] in ("count", "present") and all(
        number.valid is None and number.values.dtype.kind in "iub" for number in (one, two)
    ):
        return [_constant(1, n_rows)]
    floats = one.floats, two.floats
    valid = np.ones(n_rows, np.bool_)
    for values, there in zip(floats, (one.valid, two.valid), strict=True):
        valid &= True if there is None else there
        valid &= True if part[1] == "present" else np.isfinite(values)
    if part[1] in ("count", "present"):
        return [_constant(1, n_rows) if valid.all() else valid.astype(np.int64)]
    return [*(np.where(valid, values, 0.0) for values in floats), *[_constant(0.0, n_rows)] * 3]


def needs_numbers(part: Part, dtype: Any) -> bool:
    """Whether a part is made of plain values."""
    return part[1] not in ("rows", "min", "max", "first", "last") and family(dtype) in (
        "int",
        "uint",
        "float",
        "bool",
        "datetime",
        "timedelta",
    )


def merged(part: Part, columns: Columns, groups: Groups, counts: Array | None) -> list[Any]:
    """Merge a part of rows of the same group.

    Parameters
    ----------
    part
        Which one.
    columns
        Its columns, a value for each row.
    groups
        The groups of the rows.
    counts
        How many values there are in each row, for a part that comes with a count of them.
    """
    kind = part[1]
    first = columns[0]
    if kind in ("rows", "count", "present", "sum", "float sum", "wide sum"):
        return [_sums(column, groups) for column in columns]
    if kind == "prod":
        return [_reduced(first, groups, "prod")]
    if kind in ("min", "max"):
        return [_reduced(first, groups, kind)]
    if kind in ("first", "last"):
        valid = _valid(first)
        return [taken(first, groups.first(valid) if kind == "first" else groups.last(valid))]
    if kind in ("any", "all"):
        found = np.full(groups.n_groups, kind == "all")
        found[groups.numbers[first if kind == "any" else ~first]] = kind == "any"
        return [found]
    assert counts is not None  # parts_of has the count first
    if kind in ("idxmin", "idxmax"):
        return _extremes(columns, groups, counts > 0, kind[3:])
    return (_joint_moments if kind == "joint moments" else _moments)(columns, groups, counts)


def taken(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    """Return values by their places; nothing for a place of -1."""
    if (rows >= 0).all():
        return values.take(rows)
    return pd.api.extensions.take(values, rows, allow_fill=True)


def _constant(value: float, n: int) -> Array:
    return np.broadcast_to(np.asarray(value), n)


def _valid(values: Any) -> Valid | None:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return None
    null = np.asarray(pd.isna(values), np.bool_)
    return ~null if null.any() else None


def _sums(values: Any, groups: Groups) -> Any:
    """Add up values; an infinite sum that is no number stays none."""
    if not isinstance(values, np.ndarray):
        return _decimal_sums(values, groups)
    if values.strides == (0,) and len(values):
        return groups.counts.astype(values.dtype) * values[0]  # all the same
    if values.dtype.kind == "f" and groups.counts.max(initial=0) > _ROWS_ADDED:
        found = _sums_of_stretches(values, groups)
        return _compensated_sums(values, groups) if found is None else found
    found = np.zeros(groups.n_groups, values.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        np.add.at(found, groups.numbers, values)
    return found


def _sums_of_stretches(values: Array, groups: Groups) -> Array | None:
    """Add up floats a stretch of rows at a time, and the sums of stretches; None where a group has too many rows of one."""
    if groups.n_groups > _STRETCH_ROWS:
        return None
    found = np.zeros(groups.n_groups, values.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(values), _STRETCH_ROWS):
            numbers = groups.numbers[start : start + _STRETCH_ROWS]
            if np.bincount(numbers).max() > _ROWS_ADDED:
                return None
            sums = np.zeros(groups.n_groups, values.dtype)
            np.add.at(sums, numbers, values[start : start + _STRETCH_ROWS])
            found += sums
    return found


def _compensated_sums(values: Array, groups: Groups) -> Array:
    """Add up floats by pandas, which keeps what adding rounds away (Kahan), and takes NaN for no value."""
    with np.errstate(invalid="ignore", over="ignore"):
        sums = pd.Series(values, copy=False).groupby(groups.keys, observed=False, sort=True).sum()
    found = sums.to_numpy(copy=True)
    found[groups.numbers[np.isnan(values)]] = np.nan
    return found


def _reduced(values: Any, groups: Groups, function: str) -> Any:
    """Return the least, or greatest, values, or the products."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        if function == "prod":
            found = np.ones(groups.n_groups, values.dtype)
            with np.errstate(invalid="ignore", over="ignore"):
                np.multiply.at(found, groups.numbers, values)
            return found
        null = np.isnan(values) if values.dtype.kind == "f" else None
        if null is None or not null.any():
            found = values[groups.firsts]
            (np.minimum if function == "min" else np.maximum).at(found, groups.numbers, values)
            return found
    grouped = pd.Series(values, copy=False).groupby(groups.keys, observed=False, sort=True)
    series = getattr(grouped, function)()
    return series.array if not isinstance(series.dtype, np.dtype) else series.to_numpy(values.dtype)


def _widest_decimals(series: pd.Series[Any]) -> Any:
    dtype: Any = series.dtype
    kind = dtype.pyarrow_dtype
    wide = pa.decimal256(76, kind.scale) if pa.types.is_decimal256(kind) else pa.decimal128(38, kind.scale)
    return series.astype(pd.ArrowDtype(wide)).array


def _decimal_sums(values: Any, groups: Groups) -> Any:
    """Add up decimals, a group of none to zero."""
    array = pa.chunked_array(pa.array(values))
    array = array.fill_null(pa.scalar(0, array.type))
    table = pa.table({"group": groups.numbers, "value": array})
    found = table.group_by("group", use_threads=False).aggregate([("value", "sum")]).column("value_sum")
    found.validate(full=True)  # more digits than there are places for
    # Groups come in the order of their first rows, which their numbers are.
    return pd.array(found.cast(array.type), dtype=values.dtype)


def _extremes(columns: Columns, groups: Groups, valid: Valid, function: str) -> list[Any]:
    """Keep the first of the least, or greatest, values, and its label."""
    values, labels = columns
    everywhere = bool(valid.all())
    shown = np.where(valid, values, _last_resort(values.dtype, function)) if not everywhere else values
    best = _reduced(shown, groups, function)
    is_best = shown == best[groups.numbers]
    rows = groups.first(is_best if everywhere else is_best & valid)
    rows = np.where(rows < 0, groups.firsts, rows)  # its count of zero says that it means nothing
    return [values[rows], labels.take(rows)]


def _last_resort(dtype: np.dtype[Any], function: str) -> Any:
    """Return a value that is chosen only where there is no other."""
    if dtype.kind == "f":
        return dtype.type(np.inf if function == "min" else -np.inf)
    if dtype.kind == "b":
        return np.bool_(function == "min")
    return np.iinfo(dtype).max if function == "min" else np.iinfo(dtype).min


def _moments(columns: Columns, groups: Groups, counts: Array) -> list[Any]:
    """Merge means and central moments."""
    means, *moments = columns
    mean, second, away = _moments_and_shift((means, moments[0]), groups, counts)
    if len(moments) == 1:
        return [mean, second]
    weights = np.asarray(counts, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        third = _sums(moments[1] + 3.0 * away * moments[0] + weights * away**3, groups)
    return [mean, second, third]


def _moments_and_shift(columns: Columns, groups: Groups, counts: Array) -> tuple[Any, Any, Any]:
    """Merge means and second moments, and return how far each row's mean is from its group's."""
    means, second = columns
    weights = np.asarray(counts, np.float64)
    numbers = groups.numbers
    valid = None if counts.strides == (0,) or counts.all() else counts > 0
    rows = groups.first(valid)
    base = np.where(rows < 0, 0.0, np.asarray(means)[np.maximum(rows, 0)])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        away = means - base[numbers]
        if valid is not None:
            away = np.where(valid, away, 0.0)
        totals = _sums(counts, groups).astype(np.float64)
        shift = _sums(weights * away, groups) / np.maximum(totals, 1.0)
        away -= shift[numbers]
        return base + shift, _sums(second + weights * away**2, groups), away


def _joint_moments(columns: Columns, groups: Groups, counts: Array) -> list[Any]:
    """Merge means of two columns, their second moments, and that of both."""
    weights = np.asarray(counts, np.float64)
    means: list[Any] = []
    shifts: list[Any] = []
    seconds: list[Any] = []
    for place in (0, 1):
        mean, second, away = _moments_and_shift((columns[place], columns[place + 2]), groups, counts)
        means.append(mean)
        seconds.append(second)
        shifts.append(away)
    with np.errstate(invalid="ignore", over="ignore"):
        return [*means, *seconds, _sums(columns[4] + weights * shifts[0] * shifts[1], groups)]


def merged_parts(parts: Mapping[Part, Columns], groups: Groups) -> dict[Part, list[Any]]:
    """Merge all parts of rows of the same group."""
    return {
        part: merged(
            part, columns, groups, parts[part[0], "count"][0] if (part[0], "count") in parts else None
        )
        for part, columns in parts.items()
    }

"""The arguments of ``groupby_lag_transform``: columns, lags, names and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from safeframe.errors import ValidationError
from safeframe.kernels.lag.spec import LagColumn, LagSpec, transformed_dtype
from safeframe.prepare.arguments import as_names

NO_FILL = pd.api.extensions.no_default
"""What stands for no ``fill_value``: None and NaN are values."""

_NAMED = ("diff", "pct_change")


def lag_spec(
    meta: pd.DataFrame,
    *,
    by: Sequence[Any],
    columns: Any,
    lags: Any,
    transform: Any,
    names: Any,
    fill_value: Any,
    dropna: Any,
) -> LagSpec:
    """Describe the columns that are made.

    Parameters
    ----------
    meta
        An empty frame; columns that are shifted are looked up here by the caller.
    by, columns, lags, transform, names, fill_value, dropna
        As :func:`safeframe.groupby_lag_transform` takes them.

    Raises
    ------
    ValidationError
        When they contradict each other, in words.
    """
    there: list[Any] = list(meta.columns)
    whole = isinstance(columns, tuple) and columns in there
    sources = (columns,) if whole else as_names(columns)
    if not sources:
        msg = "columns= names no column."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    steps = _lags(lags)
    _check_transform(transform)
    if not isinstance(dropna, (bool, np.bool_)):
        msg = f"dropna={dropna!r} is neither True nor False."
        raise ValidationError(
            msg, hint="Pass True to leave rows with a null key out of every group, or False."
        )
    pairs = [(column, lag) for column in sources for lag in steps]
    found = _names(names, pairs)
    _check_clashes(found, meta)
    spec = LagSpec(
        by=tuple(by),
        columns=(),
        dropna=bool(dropna),
        transform=transform,
        fills=fill_value is not NO_FILL,
        fill_value=None if fill_value is NO_FILL else fill_value,
    )
    for column in sources:
        if spec.fills:
            _check_fill(meta[column], fill_value)
    made = tuple(
        LagColumn(name=name, column=column, lag=lag, dtype=transformed_dtype(meta[column], lag, spec))
        for name, (column, lag) in zip(found, pairs, strict=True)
    )
    return replace(spec, columns=made)


def _lags(lags: Any) -> list[int]:
    given = list(lags) if isinstance(lags, (list, tuple, range, np.ndarray, pd.Index)) else [lags]
    for lag in given:
        if isinstance(lag, (bool, np.bool_)) or not isinstance(lag, (int, np.integer)):
            msg = f"lags={lags!r} holds {lag!r}, which is not a number of rows."
            raise ValidationError(
                msg, hint="Pass whole numbers: positive for previous rows, negative for next rows."
            )
    if not given:
        msg = "lags= is empty."
        raise ValidationError(msg, hint="Pass one lag or several, such as range(4).")
    if len(set(given)) < len(given):
        msg = f"A lag occurs twice in {given!r}."
        raise ValidationError(msg, hint="Pass each lag once.")
    return [int(lag) for lag in given]


def _check_transform(transform: Any) -> None:
    if transform is None or (isinstance(transform, str) and transform in _NAMED):
        return
    if isinstance(transform, np.ufunc):
        if transform.nin == 1 and transform.nout == 1:
            return
        msg = f"transform={transform.__name__} takes {transform.nin} values and returns {transform.nout}."
        raise ValidationError(msg, hint="Pass a ufunc of one value, or a function of one column.")
    if isinstance(transform, str) or not callable(transform):
        msg = f"transform={transform!r} is not a function."
        hint = f"Pass a numpy ufunc, a function of a whole column, or one of {', '.join(map(repr, _NAMED))}."
        raise ValidationError(msg, hint=hint)


def _names(names: Any, pairs: Sequence[tuple[Any, int]]) -> list[Any]:
    if isinstance(names, str):
        try:
            return [names.format(column=column, lag=lag) for column, lag in pairs]
        except (KeyError, IndexError, ValueError) as error:
            msg = f"names={names!r} is not a template: {error}."
            raise ValidationError(
                msg, hint="Use {column} and {lag} in it, as in '{column}_lag_{lag}'."
            ) from error
    if isinstance(names, Callable):  # type: ignore[arg-type]
        return [names(column, lag) for column, lag in pairs]
    given = list(names) if isinstance(names, (list, tuple, pd.Index)) else None
    if given is None or len(given) != len(pairs):
        msg = f"names={names!r} does not name {len(pairs)} columns."
        hint = "Pass a template such as '{column}_lag_{lag}', a function of column and lag, or a list with all lags of the first column first."
        raise ValidationError(msg, hint=hint)
    return given


def _check_clashes(names: Sequence[Any], meta: pd.DataFrame) -> None:
    for name in names:
        if not pd.api.types.is_hashable(name):
            msg = f"names= holds {name!r}, which cannot be the name of a column."
            raise ValidationError(msg, hint="Use strings, such as those of '{column}_lag_{lag}'.")
    there = {*meta.columns, *(name for name in meta.index.names if name is not None)}
    for name in names:
        if name in there:
            msg = f"The new column {name!r} has the name of an existing column."
            raise ValidationError(msg, hint="Choose other names in names=, as '{column}_before_{lag}'.")
    twice = sorted({str(name) for name in names if list(names).count(name) > 1})
    if twice:
        msg = f"More than one new column has the name {', '.join(map(repr, twice))}."
        raise ValidationError(msg, hint="Use both {column} and {lag} in names=.")


def _check_fill(column: pd.Series[Any], fill_value: Any) -> None:
    """Refuse a value that the column's type does not hold: the type of the result is that of the column."""
    dtype = column.dtype
    try:
        held: Any = pd.Series([fill_value], dtype=dtype).iloc[0]
        fits = bool(held == fill_value) if pd.notna(held) else bool(pd.isna(fill_value))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        msg = f"fill_value={fill_value!r} is not a value of column {column.name!r} of dtype {dtype}."
        hint = f"Pass a value of that type, or cast the column first: ddf.astype({{{column.name!r}: ...}})."
        raise ValidationError(msg, hint=hint)

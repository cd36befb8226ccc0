"""What is shifted, what is made of it, and of which type that is.

Covers: the description of shifted columns, transforms of one of them, types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.errors import ValidationError
from safeframe.kernels.columns.values import Column, as_column, as_series, missing_dtype

Transform = Callable[[Any], Any]
"""Makes one column of another."""

_HALVED = ("int8", "int16")


@dataclass(frozen=True, kw_only=True, slots=True)
class LagColumn:
    """One column of the result."""

    name: Any
    column: Any
    """The column that is shifted."""
    lag: int
    """By how many rows; negative for later rows."""
    dtype: Any


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LagSpec:
    """What is shifted, and within what."""

    by: tuple[Any, ...]
    """The columns that make a group."""
    columns: tuple[LagColumn, ...]
    """The columns that are made."""
    dropna: bool
    """Whether rows with a null key are in no group."""
    transform: Transform | str | None
    """What is made of a shifted column: a function of it, or ``diff`` or ``pct_change``."""
    fills: bool
    """Whether ``fill_value`` was given."""
    fill_value: Any
    """What stands where there is no row to shift from."""

    @property
    def before(self) -> int:
        """Rows before a row that are read."""
        return max([0, *(column.lag for column in self.columns)])

    @property
    def after(self) -> int:
        """Rows behind a row that are read."""
        return max([0, *(-column.lag for column in self.columns)])

    @property
    def needed(self) -> list[Any]:
        """Columns that are read, each once: keys, then values."""
        return list(dict.fromkeys([*self.by, *(column.column for column in self.columns)]))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # Not the transform: what a function is, dask has to look at.
        columns = tuple((c.name, c.column, c.lag, repr(c.dtype)) for c in self.columns)
        return "LagSpec", self.by, columns, self.dropna, self.fills, repr(self.fill_value)


def lagged_dtype(dtype: Any, lag: int, *, fills: bool) -> Any:
    """Return the type of a shifted column: one that can be without a value, unless all have one.

    Examples
    --------
    >>> lagged_dtype(np.dtype("int64"), 1, fills=False), lagged_dtype(np.dtype("int64"), 0, fills=False)
    (dtype('float64'), dtype('int64'))
    """
    return dtype if lag == 0 or fills else missing_dtype(dtype)


def transformed_dtype(column: pd.Series[Any], lag: int, spec: LagSpec) -> Any:
    """Return the type of a column of the result, by making one of two rows, or else of none.

    Raises
    ------
    ValidationError
        When the transform refuses both.
    """
    dtype = lagged_dtype(column.dtype, lag, fills=spec.fills)
    error: Exception | None = None
    samples = [pd.Series([], dtype=column.dtype)]
    if not isinstance(column.dtype, pd.CategoricalDtype):
        with contextlib.suppress(TypeError, ValueError, NotImplementedError):  # some types have no ones
            samples.insert(0, pd.Series([1, 1], dtype=object).astype(column.dtype))
    if isinstance(spec.transform, (np.ufunc, str)):
        # Those of the user's own may know which values there are; of no rows these make anything.
        samples = samples[:1]
    for own in samples:
        try:
            return transformed(column.name, as_column(own), as_column(own.astype(dtype)), spec).dtype
        except ValidationError:
            raise
        except Exception as found:  # noqa: BLE001  # whatever the user's function raises
            error = error or found
    name = spec.transform if isinstance(spec.transform, str) else getattr(spec.transform, "__name__", "")
    msg = f"transform={name or spec.transform!r} fails on a column of {dtype} ({column.name!r}): {error}."
    hint = (
        "Pass a function of a whole column that returns the same number of values, or cast the column first."
    )
    raise ValidationError(msg, hint=hint) from error


def transformed(name: Any, values: Column, shifted: Column, spec: LagSpec) -> Column:
    """Make a column of the result of a shifted one.

    Raises
    ------
    ValidationError
        When the transform does not give as many values.
    """
    if spec.transform is None:
        return shifted
    if isinstance(spec.transform, str):
        own, lagged = as_series(values), as_series(shifted)
        if spec.transform == "pct_change":
            return as_column(own / lagged - 1)
        if str(own.dtype) in _HALVED:
            lagged = lagged.astype(np.float32)  # as pandas' own
        return as_column(own - lagged)
    series = as_series(shifted)
    series.name = name
    result = spec.transform(series)
    if not isinstance(result, (pd.Series, np.ndarray, pd.api.extensions.ExtensionArray)) or len(
        result
    ) != len(shifted):
        length = f" of {len(result)}" if isinstance(result, Sized) else ""
        msg = f"The transform returned a {type(result).__name__}{length} for a column of {len(shifted)} rows."
        raise ValidationError(
            msg, hint="It is called with a whole column, and has to return the same number of values."
        )
    if isinstance(result, pd.Series):
        return as_column(result)
    return result

"""The order in which rows are sorted, by one column or several.

Covers: one unsigned code per row where the order has one (a single column of
numbers or times), and ranks among given values where
it has not (strings, categories, several columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import Codes, KeyColumn, KeySchema
from safeframe.kernels.columns.arrow_dictionaries import is_dictionary
from safeframe.kernels.columns.categories import UNKNOWN
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.columns.values import Column, as_series
from safeframe.kernels.keys.codes import column_values, encode_keys, ordered_codes
from safeframe.kernels.keys.nulls import Nulls
from safeframe.kernels.order import Positions, stable_order

_FIRST_ROWS = 2**14
"""Rows whose order is checked first."""

_ORDERED = ("int", "uint", "float", "bool", "datetime", "timedelta")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RowOrder:
    """What rows are ordered by, as :meth:`pandas.DataFrame.sort_values` means it."""

    by: tuple[Any, ...]
    ascending: tuple[bool, ...]
    """For each of them, whether small values come first."""
    na_last: bool
    """Whether nulls come last, in either direction."""
    schema: KeySchema
    """The types of the columns."""
    dtypes: tuple[Any, ...]
    """Their pandas dtypes."""

    @property
    def coded(self) -> bool:
        """Whether every row has a code in the order."""
        return self.schema.injective and not isinstance(self.dtypes[0], pd.CategoricalDtype)

    @property
    def nulls_apart(self) -> bool:
        """Whether rows without a key are kept apart from the others."""
        return len(self.by) == 1

    def codes(self, frame: pd.DataFrame) -> tuple[Codes, Nulls | None]:
        """Return each row's code, and which rows have none."""
        codes, null = encode_keys([frame[name] for name in self.by], self.schema)
        return codes if self.ascending[0] else ~codes, null

    def ids(self, frame: pd.DataFrame) -> list[npt.NDArray[np.integer[Any]]] | None:
        """Return non-negative integers that rows can be ordered by, those that count most first; None without any.

        Every column has one of its own, and one for its nulls where it has some.
        """
        if any(column.kind not in _ORDERED for column in self.schema.columns):
            return None
        found: list[npt.NDArray[np.integer[Any]]] = []
        for name, column, ascending, dtype in zip(
            self.by, self.schema.columns, self.ascending, self.dtypes, strict=True
        ):
            if isinstance(dtype, pd.CategoricalDtype):
                return None
            values, null = column_values(frame[name], column)
            codes = ordered_codes(values, column)
            codes = codes if ascending else ~codes
            if null is not None and not null.all():
                codes = np.where(null, codes[~null][0], codes)
            if null is not None:
                found.append((null if self.na_last else ~null).view(np.uint8))
            if null is None or not null.all():
                # Small numbers can be ordered by counting; a copy, since codes may be the column itself.
                found.append(codes - codes.min() if len(codes) else codes)
        return found


def sorted_keys(keys: pd.DataFrame, order: RowOrder) -> pd.DataFrame:
    """Order rows of key columns, as the whole frame will be ordered.

    Raises
    ------
    UnsupportedError
        When the values have no order.
    """
    keys = keys.astype(_known_categories(order))
    try:
        if len(order.by) > 1:  # pandas gives values of several types an order of its own then
            for name in order.by:
                _compare_mixed(keys[name])
        return keys.sort_values(
            list(order.by),
            ascending=list(order.ascending),
            na_position="last" if order.na_last else "first",
            kind="stable",
        )
    except TypeError as error:
        raise _no_order(order.by, error) from error


def _compare_mixed(column: pd.Series[Any]) -> None:
    """Raise TypeError when a column has values of several types that do not compare."""
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in ("mixed", "mixed-integer"):
        np.sort(column.dropna().to_numpy())


def _no_order(names: Sequence[Any], error: TypeError) -> UnsupportedError:
    msg = f"The values of {', '.join(map(repr, names))} have no order: {error}."
    return UnsupportedError(msg, hint="Cast the column to one type first, as with .astype(str).")


def ranks_among(frame: pd.DataFrame, bounds: pd.DataFrame, order: RowOrder) -> npt.NDArray[np.int64]:
    """Place each row among given rows.

    Parameters
    ----------
    frame
        Rows; only the columns of the order are read.
    bounds
        Distinct rows of these columns, in order.
    order
        The order.

    Returns
    -------
    numpy.ndarray
        ``2 * i + 1`` for a row that equals row ``i`` of ``bounds``, ``2 * i``
        for one before it and after row ``i - 1``.

    Examples
    --------
    >>> from safeframe.kernels.keys.schema import common_schema
    >>> bounds = pd.DataFrame({"k": ["b", "d"]})
    >>> schema = common_schema([bounds["k"]], [bounds["k"]], left_names=["k"], right_names=["k"])
    >>> order = RowOrder(
    ...     by=("k",), ascending=(True,), na_last=True, schema=schema, dtypes=(bounds["k"].dtype,)
    ... )
    >>> ranks_among(pd.DataFrame({"k": ["a", "b", "c", "d", "e"]}), bounds, order)
    array([0, 1, 2, 3, 4])
    """
    ranks, bound_ranks = np.zeros(len(frame), np.int64), np.zeros(len(bounds), np.int64)
    for name, column, ascending, dtype in zip(
        order.by, order.schema.columns, order.ascending, order.dtypes, strict=True
    ):
        of_rows, of_bounds, n_ranks = _column_ranks(
            frame[name], bounds[name], column, dtype, ascending=ascending, na_last=order.na_last
        )
        # Lexicographic, and brought back to few ranks after each column.
        ranks, bound_ranks = ranks * n_ranks + of_rows, bound_ranks * n_ranks + of_bounds
        distinct = np.unique(bound_ranks)
        ranks, bound_ranks = _among(ranks, distinct), _among(bound_ranks, distinct)
    return ranks


def rows_in_order(frame: pd.DataFrame, order: RowOrder) -> bool:
    """Return whether rows are in an order already, nulls where it has them.

    Examples
    --------
    >>> from safeframe.kernels.keys.schema import common_schema
    >>> frame = pd.DataFrame({"a": [1, 1, 2], "b": [0.5, None, 0.1]})
    >>> columns = [frame["a"], frame["b"]]
    >>> schema = common_schema(columns, columns, left_names=["a", "b"], right_names=["a", "b"])
    >>> order = RowOrder(
    ...     by=("a", "b"), ascending=(True, True), na_last=True, schema=schema, dtypes=tuple(frame.dtypes)
    ... )
    >>> rows_in_order(frame, order), rows_in_order(frame[::-1], order)
    (True, False)
    """
    if len(frame) > 2 * _FIRST_ROWS and not rows_in_order(frame.iloc[:_FIRST_ROWS], order):
        return False  # as nearly always where they are not, and then the others need no look
    undecided = np.ones(max(0, len(frame) - 1), np.bool_)
    for name, column, ascending, dtype in zip(
        order.by, order.schema.columns, order.ascending, order.dtypes, strict=True
    ):
        if not undecided.any():
            break
        values, null = _comparable(frame[name], column, dtype)
        if null.any():
            values = values.copy()
            values[null] = values[~null][0] if not null.all() else 0
        first, second = (values[:-1], values[1:]) if ascending else (values[1:], values[:-1])
        try:
            falls = np.asarray(second < first, np.bool_)
        except TypeError as error:
            raise _no_order([name], error) from error
        equal = np.asarray(values[1:] == values[:-1], np.bool_) & ~(null[1:] | null[:-1])
        goes, comes = null[:-1] & ~null[1:], ~null[:-1] & null[1:]
        falls = (falls & ~(null[1:] | null[:-1])) | (goes if order.na_last else comes)
        if (undecided & falls).any():
            return False
        undecided &= equal | (null[1:] & null[:-1])
    return True


def _column_ranks(
    rows: pd.Series[Any],
    bounds: pd.Series[Any],
    column: KeyColumn,
    dtype: Any,
    *,
    ascending: bool,
    na_last: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Rank a column's values, and those of the bounds, among the values of the bounds."""
    row_values, row_null = _comparable(rows, column, dtype)
    bound_values, bound_null = _comparable(bounds, column, dtype)
    found = []
    try:
        known = np.unique(bound_values[~bound_null])
        last = 2 * len(known)
        for values, null in ((row_values, row_null), (bound_values, bound_null)):
            ranks = _value_ranks(values, null, known)
            if not ascending:
                ranks = last - ranks
            found.append(np.where(null, last + 3 if na_last else 1, ranks + 2))
    except TypeError as error:
        raise _no_order([rows.name], error) from error
    return found[0], found[1], last + 4


def _comparable(
    series: pd.Series[Any], column: KeyColumn, dtype: Any
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return values that numpy can compare, and which of them are null."""
    if isinstance(dtype, pd.CategoricalDtype):
        places = series.astype(dtype).cat.codes.to_numpy().astype(np.int64)
        return places, places < 0
    if column.kind in _ORDERED:
        values, null = column_values(series, column)
        codes = ordered_codes(values, column)
        return codes, np.zeros(len(codes), np.bool_) if null is None else null
    objects = series.to_numpy(dtype=object)
    return objects, series.isna().to_numpy()


def _value_ranks(
    values: npt.NDArray[Any], null: npt.NDArray[np.bool_], known: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    if values.dtype != object:
        return _among(values, known)
    # Compared in Python, so each distinct value once.
    ids, uniques = pd.factorize(np.where(null, np.array([None], object), values))
    ranks = _among(np.asarray(uniques, object), known)
    return np.where(ids < 0, 0, ranks[ids]) if len(ranks) else np.zeros(len(ids), np.int64)


def _among(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    at = np.searchsorted(known, values, side="left")
    if len(known) == 0:
        return np.zeros(len(values), np.int64)
    equal = known[np.minimum(at, len(known) - 1)] == values
    return np.asarray(2 * at + (equal & (at < len(known))), np.int64)


def _known_categories(order: RowOrder) -> dict[Any, Any]:
    return {
        name: dtype
        for name, dtype in zip(order.by, order.dtypes, strict=True)
        if isinstance(dtype, pd.CategoricalDtype)
    }


def check_orderable(names: Sequence[Any], dtypes: Sequence[Any]) -> None:
    """Refuse types that have no order, and categories that are not known, since their order is not.

    Raises
    ------
    UnsupportedError
        With the column's name.
    """
    for name, dtype in zip(names, dtypes, strict=True):
        if isinstance(dtype, pd.CategoricalDtype) and UNKNOWN in dtype.categories:
            msg = f"The categories of column {name!r}, and with them its order, are not known."
            hint = f"Make them known with ddf.categorize([{name!r}]), or sort by its values: .astype(str)."
            raise UnsupportedError(msg, hint=hint)
        if isinstance(dtype, pd.ArrowDtype) and (is_dictionary(dtype) or not _has_order(dtype)):
            msg = f"Column {name!r} is {dtype}, and Arrow has no order for such values."
            raise UnsupportedError(msg, hint=f"Cast it first, as with ddf.astype({{{name!r}: 'str'}}).")


def _has_order(dtype: pd.ArrowDtype) -> bool:
    if pa.types.is_nested(dtype.pyarrow_dtype):
        return False  # of structs Arrow has one, for some of its functions
    try:
        pc.array_sort_indices(pa.array([], dtype.pyarrow_dtype))
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """How staged rows are sorted."""

    spec: FrameSpec
    """The frame as it is staged."""
    order: RowOrder

    @property
    def columns(self) -> tuple[int, ...]:
        """Numbers of the staged columns that decide."""
        return tuple(self.spec.position(name) for name in self.order.by)

    def positions(self, columns: Sequence[Column]) -> Positions | None:
        """Order rows by those columns, rows of equal keys staying in their order.

        Returns
        -------
        numpy.ndarray or None
            Row numbers in the new order; None when the rows are in order.

        Notes
        -----
        Memory: 24 bytes per row for one column of numbers or times, and 8 for each further one.
        """
        named = zip(self.order.by, columns, strict=True)
        keys = pd.DataFrame({name: as_series(column) for name, column in named}, copy=False)
        ids = self.order.ids(keys)
        if ids is None:
            return sorted_keys(keys, self.order).index.to_numpy()
        order: Positions | None = None
        while ids:
            # From the one that counts least: each stable order leaves those before it among equal rows.
            last = ids.pop()
            places = stable_order(last if order is None else last[order])
            if places is not None:
                order = places if order is None else order[places]
        return order

"""The order in which rows are sorted, by one column or several.

Covers: one unsigned code per row where the order has one (a single column of
numbers or times), and ranks among given values where
it has not (strings, categories, several columns); a partition's keys in their order;
the range of keys, and so the shard, that a row is in.
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
from safeframe.facts.layout import ShardLayout
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.columns.arrow_dictionaries import is_dictionary
from safeframe.kernels.columns.categories import UNKNOWN
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.columns.values import Column, as_series
from safeframe.kernels.keys.arrow_values import arrow_values, in_one_type, nulls_of
from safeframe.kernels.keys.codes import column_values, encode_keys, ordered_codes
from safeframe.kernels.keys.levels import (
    Level,
    arrow_levels,
    descending,
    in_order_by_levels,
    longest_of,
    null_levels,
    order_by_levels,
    word_levels,
    zeroed,
)
from safeframe.kernels.keys.levels import ranks_among as ranks_by_levels
from safeframe.kernels.keys.nulls import Nulls, if_any, send_nulls, without_nulls
from safeframe.kernels.order import Positions, shard_of

_FIRST_ROWS = 2**14
"""Rows whose order is checked first."""

_ORDERED = ("int", "uint", "float", "bool", "datetime", "timedelta", "date", "decimal")


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

    def levels(self, *frames: pd.DataFrame) -> list[list[Level]]:
        """Return what rows of one frame, or of two, are compared by, those levels that count most first.

        The levels of two frames are in common. The second one has the longest strings that decide.

        Raises
        ------
        UnsupportedError
            When the values have no order.
        """
        found: list[list[Level]] = [[] for _ in frames]
        for name, column, ascending, dtype in zip(
            self.by, self.schema.columns, self.ascending, self.dtypes, strict=True
        ):
            parts = [frame[name] for frame in frames]
            try:
                of_parts, nulls = _column_levels(parts, column, dtype)
            except TypeError as error:
                raise _no_order([name], error) from error
            any_null = any(null is not None for null in nulls)
            for levels, own, null, part in zip(found, of_parts, nulls, parts, strict=True):
                if any_null:
                    levels += null_levels(null, len(part), na_last=self.na_last)
                levels += own if ascending else descending(own)
        return found


def _column_levels(
    parts: Sequence[pd.Series[Any]], column: KeyColumn, dtype: Any
) -> tuple[list[list[Level]], list[Nulls | None]]:
    """Return the levels of a column of one frame or two, and its nulls, which are all equal in them."""
    if isinstance(dtype, pd.CategoricalDtype):
        places = [part.astype(dtype).cat.codes.to_numpy().astype(np.int64) for part in parts]
        return [word_levels((place + 1).view(np.uint64)) for place in places], [
            if_any(place < 0) for place in places
        ]
    if column.kind in _ORDERED:
        found = [column_values(part, column) for part in parts]
        return [word_levels(zeroed(ordered_codes(values, column), null)) for values, null in found], [
            null for _, null in found
        ]
    arrays = in_one_type([arrow_values(part) for part in parts])
    if arrays is not None:
        nbytes = longest_of(arrays[-1])
        of_arrays = [arrow_levels(array, nbytes) for array in arrays]
        return of_arrays, [nulls_of(array) for array in arrays]
    objects = pd.concat([part.astype(object) for part in parts], ignore_index=True)
    ids, uniques = pd.factorize(objects.to_numpy(), use_na_sentinel=True)
    ranks = np.empty(len(uniques) + 1, np.uint64)
    ranks[np.argsort(uniques, kind="stable")] = np.arange(len(uniques), dtype=np.uint64)
    ranks[-1] = 0  # of nulls, whose number is -1
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return [word_levels(words) for words in np.split(ranks[ids], ends)], [
        if_any(null) for null in np.split(ids < 0, ends)
    ]


def sorted_keys(keys: pd.DataFrame, order: RowOrder) -> pd.DataFrame:
    """Order rows of key columns, as the whole frame will be ordered.

    Raises
    ------
    UnsupportedError
        When the values have no order.
    """
    keys = keys.astype(_known_categories(order))
    positions = order_by_levels(order.levels(keys)[0], len(keys))
    return keys if positions is None else keys.take(positions)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedKeys:
    """The keys of a partition in their order, without nulls that are kept apart."""

    codes: Codes | None
    """The keys, where the order has codes."""
    values: pd.DataFrame | None
    """The keys, where it has none."""
    rows: int
    """Rows of the partition, those without a key too."""
    increasing: bool
    """Whether the partition has them in this order."""
    row_nbytes: npt.NDArray[np.float64] | None = None
    """Bytes of each key's row, where rows are weighed."""
    null_nbytes: float = 0.0
    """Bytes of the rows without a key."""

    def __len__(self) -> int:
        keys = self.codes if self.values is None else self.values
        return 0 if keys is None else len(keys)


def ordered_keys(
    frame: pd.DataFrame, order: RowOrder, row_nbytes: npt.NDArray[np.float64] | None = None
) -> OrderedKeys:
    """Put the keys of a partition in order, the bytes of their rows with them where these are given."""
    codes: Codes | None = None
    values: pd.DataFrame | None = None
    all_nbytes = 0.0 if row_nbytes is None else float(row_nbytes.sum())
    if order.coded:
        codes, null = order.codes(frame)
        if row_nbytes is not None:
            row_nbytes = without_nulls(row_nbytes, null)
        codes = without_nulls(codes, null)
        increasing = not bool((codes[1:] < codes[:-1]).any())
        if not increasing and row_nbytes is not None:
            in_order = np.argsort(codes, kind="stable")
            codes, row_nbytes = codes[in_order], row_nbytes[in_order]
        elif not increasing:
            codes = np.sort(codes)
    else:
        keys = frame[list(order.by)]
        if order.nulls_apart:
            filled = keys[order.by[0]].notna().to_numpy()
            keys = keys[filled]
            row_nbytes = None if row_nbytes is None else row_nbytes[filled]
        values = sorted_keys(keys.reset_index(drop=True), order)
        row_nbytes = None if row_nbytes is None else row_nbytes[values.index.to_numpy()]
        increasing = bool((np.diff(values.index.to_numpy()) > 0).all())
    return OrderedKeys(
        codes=codes,
        values=values,
        rows=len(frame),
        increasing=increasing,
        row_nbytes=row_nbytes,
        null_nbytes=0.0 if row_nbytes is None else float(all_nbytes - row_nbytes.sum()),
    )


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
    levels, bound_levels = order.levels(frame, bounds)
    return ranks_by_levels(levels, len(frame), bound_levels, len(bounds))


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
    return in_order_by_levels(order.levels(frame)[0], len(frame))


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
        Memory: 24 bytes per row for one column of numbers or times, up to 48 for others.
        """
        named = zip(self.order.by, columns, strict=True)
        keys = pd.DataFrame({name: as_series(column) for name, column in named}, copy=False)
        return order_by_levels(self.order.levels(keys)[0], len(keys))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeRouter:
    """Where rows go, by the codes or by the ranks of their keys."""

    order: RowOrder
    layout: ShardLayout
    bounds: pd.DataFrame | None
    """The keys that shards begin with, or just behind, where keys have no codes."""
    positions: npt.NDArray[np.int64] | None
    """For each shard but the first, the rank among ``bounds`` that it begins with."""

    @property
    def on(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.order.by

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.layout.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        if self.bounds is None or self.positions is None:
            codes, null = self.order.codes(frame)
            shards = shard_of(codes, self.layout.starts)
        else:
            ranks = ranks_among(frame, self.bounds, self.order)
            shards = np.searchsorted(self.positions, np.arange(2 * len(self.bounds) + 1), side="right")[ranks]
            null = frame[self.order.by[0]].isna().to_numpy() if self.order.nulls_apart else None
        # Nulls that the sample did not meet, in data that changed, go with the last keys.
        send_nulls(shards, null, self.layout.n_shards - 1)
        return shards


@dataclass(frozen=True, slots=True, eq=False)
class NullsFirst:
    """A range router whose last shard, that of nulls, is the first, where shards are partitions as they come."""

    router: RangeRouter

    @property
    def on(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.on

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return (self.router.shards(frame, first_row) + 1) % self.n_shards


def range_router(order: RowOrder, layout: ShardLayout, quantiles: KeyQuantiles) -> RangeRouter:
    """Make the router of a layout that was cut by a frame's quantiles."""
    if quantiles.values is None:
        return RangeRouter(order=order, layout=layout, bounds=None, positions=None)
    # A start is 2 i + 1 in front of sampled key i, and 2 i + 2 behind it.
    starts = layout.starts[1:].astype(np.int64)
    keys, place = np.unique((starts - 1) // 2, return_inverse=True)
    bounds = quantiles.values.take(keys).reset_index(drop=True)
    positions = 2 * place + np.where(starts % 2 == 1, 1, 2)
    return RangeRouter(order=order, layout=layout, bounds=bounds, positions=positions)

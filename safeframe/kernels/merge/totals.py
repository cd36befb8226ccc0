"""Totals of a join from the totals of its sides: no row of the result is made.

Within a key every left row stands in as many result rows as there are right
rows. So the sum of a left column is its sum on the left times the right rows;
its least value is what it was.

Sums of integers are made in 64 bits, whatever the width of the column, and wrap
as pandas' do: sums and products modulo 2^64 do not depend on their order. Sums of
floats, and the sums that means are made of, are made in 64-bit floats.

Covers: totals per key of one partition, joining them, totals of the join by key
or as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.merge import How
from safeframe.kernels.merge.total_pieces import check_countable, joined_piece, sum_type, whole_piece

TotalPiece = tuple[int, str]
"""The number of a total, and the function of what it is made of."""

_ROWS = "rows"

MADE_OF = {
    "mean": ("float sum", "count"),
    "product": ("sum",),
    "product of infinite": ("finite", "min", "max"),
}
"""Totals of a side that a total is made of, where they are not the same."""


@dataclass(frozen=True, slots=True)
class SideTotals:
    """What is to be known of one side."""

    on: tuple[Any, ...]
    wanted: tuple[tuple[Any, str], ...]
    """Columns, and ``"sum"``, ``"float sum"``, ``"count"``, ``"min"``, ``"max"`` or ``"finite"`` (the sum of values
    that are) of each."""
    groups: tuple[tuple[Any, Any], ...] = ()
    """Columns that tell a key's rows apart besides, and the type of each in the join."""


@dataclass(frozen=True, slots=True)
class TotalColumn:
    """Where a column of the join comes from."""

    side: str
    """``"left"``, ``"right"`` or ``"key"``."""
    name: Any
    """Its name on that side; of a key, its number."""


@dataclass(frozen=True, slots=True)
class Total:
    """A total of the join."""

    function: str
    """``"sum"`` of integers, ``"float sum"``, ``"count"``, ``"mean"``, ``"min"``, ``"max"`` or ``"size"``;
    ``"product"`` or ``"product of infinite"`` for the sum of two columns' products."""
    column: TotalColumn | None
    """Of which column; None for the number of rows."""
    other: TotalColumn | None = None
    """The second factor of a product, of the other side."""


def side_totals(partition: pd.DataFrame, side: SideTotals) -> pd.DataFrame:
    """Return the totals of each key in a partition.

    Returns
    -------
    pandas.DataFrame
        Keys as columns 0, 1, …; the number of rows, and each total by its column and function.
    """
    by = [_without_categories(partition[name]).rename(number) for number, name in enumerate(side.on)]
    grouped = partition.groupby(by, dropna=False, sort=False)
    totals: dict[Any, pd.Series[Any]] = {_ROWS: grouped.size()}
    for name, function in side.wanted:
        if function in ("min", "max"):
            totals[name, function] = getattr(grouped[name], function)()
        elif function == "count":
            totals[name, function] = grouped[name].count().astype(np.int64)
        else:
            # pandas narrows the sums of narrow integers where they fit: products of them would not.
            values = _summands(partition[name], function)
            totals[name, function] = joined_piece(
                values, values.groupby(by, dropna=False, sort=False), function
            ).astype(values.dtype)
    return _flat(totals).reset_index()


def row_totals(partition: pd.DataFrame, side: SideTotals) -> pd.DataFrame:
    """Return what :func:`side_totals` does, and the groups, with each row by itself."""
    columns: dict[Any, Any] = {
        number: _without_categories(partition[name]) for number, name in enumerate(side.on)
    }
    for number, (name, dtype) in enumerate(side.groups):
        columns[_group(number)] = partition[name].astype(dtype)
    columns[_ROWS] = np.ones(len(partition), np.int64)
    for name, function in side.wanted:
        values = partition[name]
        if function == "count":
            values = values.notna().astype(np.int64)
        elif function not in ("min", "max"):
            values = _summands(values, function)
        columns[_label(name, function)] = values
    return pd.DataFrame(columns)


def join_totals(parts: Sequence[pd.DataFrame], side: SideTotals) -> pd.DataFrame:
    """Join the totals of several partitions."""
    if len(parts) == 1:
        return parts[0]
    whole = pd.concat(parts, ignore_index=True)
    by = list(range(len(side.on)))
    grouped = whole.groupby(by, dropna=False, sort=False)
    totals: dict[Any, pd.Series[Any]] = {_ROWS: grouped[_ROWS].sum()}
    for name, function in side.wanted:
        label = _label(name, function)
        totals[name, function] = joined_piece(whole[label], grouped[label], function)
    return _flat(totals).reset_index()


def total_of(
    left: pd.DataFrame,
    right: pd.DataFrame,
    how: How,
    totals: Sequence[Total],
    by: Sequence[tuple[int, Any]] | None,
    *,
    dropna: bool = True,
    sort: bool = True,
) -> pd.DataFrame:
    """Return totals of the join.

    Parameters
    ----------
    left, right
        The totals of the sides.
    how
        The join.
    totals
        What is wanted.
    by
        Numbers of keys to group by, and their names; None for totals of all rows.
    dropna, sort
        As for :meth:`pandas.DataFrame.groupby`.

    Returns
    -------
    pandas.DataFrame
        A column for each total; one row for each group, or one in all.
    """
    joined = JoinedKeys(left, right, how)
    columns = {piece: joined.piece(piece, totals) for piece in pieces_of(totals)}
    frame = pd.DataFrame(dict(enumerate(columns.values())))
    if by is None:
        found = pd.DataFrame({key: [whole_piece(frame[place], key[1])] for place, key in enumerate(columns)})
    else:
        keys = [joined.key(number).rename(name) for number, name in by]
        grouped = frame.groupby(keys, dropna=dropna, sort=sort)
        found = pd.DataFrame(
            {key: joined_piece(frame[place], grouped[place], key[1]) for place, key in enumerate(columns)}
        )
    return of_pieces(found, totals)


def pieces_of(totals: Sequence[Total]) -> list[TotalPiece]:
    """Name what totals are made of."""
    return [
        (number, function)
        for number, total in enumerate(totals)
        for function in (MADE_OF["mean"] if total.function == "mean" else (total.function,))
    ]


def of_pieces(found: pd.DataFrame, totals: Sequence[Total]) -> pd.DataFrame:
    """Return totals, as columns 0, 1, …, of the pieces that they are made of."""
    out = {}
    for number, total in enumerate(totals):
        if total.function == "mean":
            out[number] = found[number, "float sum"] / found[number, "count"]
        else:
            out[number] = found[number, total.function]
    return pd.DataFrame(out, index=found.index)


class JoinedKeys:
    """The keys of a join, and how many rows of either side each has.

    Parameters
    ----------
    left, right
        The totals of the sides. One of them may have several rows for a key, of a group each.
    how
        The join.
    """

    def __init__(self, left: pd.DataFrame, right: pd.DataFrame, how: How) -> None:
        self._sides = {"left": left, "right": right}
        labels: list[Any] = list(left.columns)
        keys = [label for label in labels if isinstance(label, int)]
        # pandas matches the keys, nulls among them, as it would those of the rows.
        sides = [frame[keys].assign(**{name: np.arange(len(frame))}) for name, frame in self._sides.items()]
        kind: Any = "inner" if how == "cross" else how
        merged = sides[0].merge(sides[1], how=kind, on=keys)
        self._at = {
            name: merged[name].fillna(-1).to_numpy(np.int64) if len(merged) else np.empty(0, np.int64)
            for name in self._sides
        }
        self._keys = merged[keys]
        self._rows = {name: self._taken(name, _ROWS, 0).astype(np.int64) for name in self._sides}

    def key(self, number: int) -> pd.Series[Any]:
        """Return the values of a key."""
        return self._keys[number]

    def group(self, side: str, number: int) -> pd.Series[Any]:
        """Return the values of a group, of a side that has a row for each."""
        return self._sides[side][_group(number)].take(self._at[side]).reset_index(drop=True)

    def piece(self, piece: TotalPiece, totals: Sequence[Total]) -> npt.NDArray[Any]:
        """Return what a total is made of, for each key."""
        number, function = piece
        return self.total(function, totals[number].column, totals[number].other)

    @property
    def n_rows(self) -> npt.NDArray[np.int64]:
        """Result rows of each key.

        Raises
        ------
        OutputTooLargeError
            Where 64 bits do not count those of one.
        """
        rows = self._multiplicities("left"), self._multiplicities("right")
        check_countable(*rows)
        return rows[0] * rows[1]

    def _multiplicities(self, side: str) -> npt.NDArray[np.int64]:
        """Count the result rows that a row of the other side stands in."""
        return np.maximum(self._rows[side], 1)

    def total(
        self, function: str, column: TotalColumn | None, other_column: TotalColumn | None = None
    ) -> npt.NDArray[Any]:
        """Return a total of each key."""
        if column is not None and other_column is not None:
            if function == "product":
                products: npt.NDArray[Any] = self._sum(column) * self._sum(other_column)
                return products
            return self._infinite_product(column, other_column)
        if column is None or function == "size":
            return self.n_rows
        if column.side == "key":
            return self._total_of_key(function, column.name)
        other = "right" if column.side == "left" else "left"
        if function in ("min", "max"):
            return self._taken(column.side, _label(column.name, function), None)
        own = self._taken(column.side, _label(column.name, function), 0)
        times = self._multiplicities(other)
        if function == "count":
            check_countable(own, times)
        # Without a cast numpy would make floats of unsigned and signed integers.
        product: npt.NDArray[Any] = own * times.astype(own.dtype)
        return product

    def _sum(self, column: TotalColumn, function: str = "sum") -> npt.NDArray[Any]:
        return self._taken(column.side, _label(column.name, function), 0)

    def _infinite_product(self, column: TotalColumn, other: TotalColumn) -> npt.NDArray[Any]:
        """Sum products of each key, of which those of zero and infinity are no number, and left out."""
        first, second = self._sum(column, "finite"), self._sum(other, "finite")
        # Finite values may have an infinite sum, and there be no row, or zeros alone, to multiply it by.
        total = np.multiply(first, second, out=np.zeros(len(first)), where=(first != 0) & (second != 0))
        signs = []
        for one in (column, other):
            low, high = (self._taken(one.side, _label(one.name, name), None) for name in ("min", "max"))
            # Whether there is a value below zero, and above; and whether there is an infinite one.
            signs.append(((low < 0, low == -np.inf), (high > 0, high == np.inf)))
        with np.errstate(invalid="ignore"):
            for left_sign, (left_there, left_infinite) in zip((-1, 1), signs[0], strict=True):
                for right_sign, (right_there, right_infinite) in zip((-1, 1), signs[1], strict=True):
                    infinite = (left_infinite & right_there) | (left_there & right_infinite)
                    total = total + np.where(infinite, left_sign * right_sign * np.inf, 0.0)
        return np.asarray(total)

    def _total_of_key(self, function: str, number: int) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self._keys[number].to_numpy()
        there = ~pd.isna(values)
        if function == "count":
            return np.where(there, self.n_rows, 0)
        if function in ("min", "max"):
            return values
        dtype = sum_type(values.dtype, function)
        products: npt.NDArray[Any] = np.where(there, values, 0).astype(dtype) * self.n_rows.astype(dtype)
        return products

    def _taken(self, side: str, name: Any, missing: int | None) -> npt.NDArray[Any]:
        """Take a total of each key from a side; ``missing`` where that has no row, None for a null."""
        values: npt.NDArray[Any] = self._sides[side][name].to_numpy()
        at = self._at[side]
        there = at >= 0
        if there.all():
            return values[at]
        if missing is None:
            return np.asarray(pd.api.extensions.take(values, at, allow_fill=True))
        taken = np.zeros(len(at), values.dtype)
        taken[there] = values[at[there]]
        return taken


def _summands(values: pd.Series[Any], function: str) -> pd.Series[Any]:
    """Return what is added up for a sum, in the type of the sum; zero for a null."""
    there = np.isfinite(values) if function == "finite" else values.notna()
    return values.where(there, 0).astype(sum_type(values.dtype, function))


def _without_categories(keys: pd.Series[Any]) -> pd.Series[Any]:
    """Return categories as the values that they are: partitions have categories of their own."""
    return keys.astype(keys.dtype.categories.dtype) if isinstance(keys.dtype, pd.CategoricalDtype) else keys


def _group(number: int) -> str:
    return f"group {number}"


def _label(name: Any, function: str) -> str:
    return f"{function} {name!r}"


def _flat(totals: dict[Any, pd.Series[Any]]) -> pd.DataFrame:
    named = {name if name == _ROWS else _label(*name): values for name, values in totals.items()}
    return pd.DataFrame(named)

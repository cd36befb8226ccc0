"""Numbers rows of two sides, the same number where their keys are truly equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.facts.keys import Codes, KeyColumn, KeySchema
from safeframe.kernels.keys.arrow_values import (
    KeyValues,
    arrow_hashes,
    arrow_values,
    as_key_column,
    in_one_type,
    nulls_of,
)
from safeframe.kernels.keys.codes import column_values, number_parts, ordered_codes
from safeframe.kernels.keys.levels import equal_values, equal_words
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls, as_value, without_nulls
from safeframe.kernels.order import rank_words

Ids = npt.NDArray[np.int64]


def key_ids(
    left_keys: Sequence[KeyValues], right_keys: Sequence[KeyValues], schema: KeySchema
) -> tuple[Ids, Ids]:
    """Number the keys of two sides.

    Parameters
    ----------
    left_keys, right_keys
        The key columns of both sides, of pandas or of Arrow.
    schema
        Their common type.

    Returns
    -------
    left, right
        Non-negative numbers, equal where :func:`pandas.merge` finds the keys equal; a null equals
        a null. Those of one column of numbers or times are in the order of the keys.

    Notes
    -----
    Rows are equal where their values are, never because their hashes are: strings and the
    like are sorted by hash, and each is compared with the first of its hash. Integers, times
    and the like are shifted to start at zero where their range allows, which costs next to nothing.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> key_ids([pd.Series([7, 9])], [pd.Series([9, 7, 8])], schema)
    (array([0, 2]), array([2, 0, 1]))
    """
    left, right = ([as_key_column(column) for column in keys] for keys in (left_keys, right_keys))
    n_left = len(left[0])
    kinds = {column.kind for column in schema.columns}
    if kinds & {"string", "object"}:
        columns = [_both_sides(*pair) for pair in zip(left, right, schema.columns, strict=True)]
        ids = _by_hash(columns)
    else:
        ids = _by_place(left, right, schema)
    return ids[:n_left], ids[n_left:]


def _by_place(left: Sequence[pd.Series[Any]], right: Sequence[pd.Series[Any]], schema: KeySchema) -> Ids:
    """Number keys whose columns are numbers or times, by place in the product of their ranges."""
    ids, n_ids = np.zeros(1, np.int64), 1
    for left_series, right_series, column in zip(left, right, schema.columns, strict=True):
        one, n_one = _column_ids(left_series, right_series, column)
        if n_ids * n_one >= 2**62:
            ids, n_ids = _renumbered(ids)
        if n_ids * n_one >= 2**62:
            one, n_one = _renumbered(one)
        ids, n_ids = (ids * n_one + one, n_ids * n_one) if n_ids > 1 else (one, n_one)
    return ids


@dataclass(frozen=True, slots=True, eq=False)
class _BothSides:
    """One key column of both sides, left first."""

    values: Codes | pa.Array
    """Numbers that are equal where the values are, nulls among them, or the values in Arrow."""
    null: Nulls | None
    """Which values in Arrow are null."""

    def hashes(self) -> Codes:
        hashes = mix64(self.values) if isinstance(self.values, np.ndarray) else arrow_hashes(self.values)
        return as_value(hashes, self.null)

    def equal(self, others: Ids) -> bool:
        """Return whether each row equals another one, by value."""
        compare = equal_words if isinstance(self.values, np.ndarray) else equal_values
        return compare(self.values, others)

    def numbered(self) -> Ids:
        """Number the values without a hash of ours."""
        if isinstance(self.values, np.ndarray):
            return self.values.view(np.int64)
        indices = self.values.dictionary_encode().indices
        return np.asarray(indices.fill_null(-1).to_numpy(), np.int64) + 1


def _by_hash(columns: Sequence[_BothSides]) -> Ids:
    """Number keys by the order of their hashes, where no two different ones have the same, which is looked at."""
    hashes = columns[0].hashes()
    for column in columns[1:]:
        hashes = mix64(hashes * np.uint64(31) + column.hashes())
    ids, firsts = rank_words(hashes)
    del hashes
    others = firsts[ids]
    if all(column.equal(others) for column in columns):
        return ids
    ids, _ = _renumbered(columns[0].numbered())
    for column in columns[1:]:
        one, n_one = _renumbered(column.numbered())
        ids, _ = _renumbered(ids * n_one + one)
    return ids


def _both_sides(left: pd.Series[Any], right: pd.Series[Any], column: KeyColumn) -> _BothSides:
    if column.kind not in ("string", "object"):
        ids, _ = _column_ids(left, right, column)
        return _BothSides(ids.view(np.uint64), None)
    if any(isinstance(series.dtype, pd.CategoricalDtype) for series in (left, right)):
        return _of_categories(left, right, column)
    arrays = in_one_type([arrow_values(left), arrow_values(right)])
    if arrays is not None:
        both = arrays[0] if len(arrays[1]) == 0 else pa.concat_arrays(arrays)
        return _BothSides(both, nulls_of(both))
    objects = pd.concat([left.astype(object), right.astype(object)], ignore_index=True)
    ids, _ = pd.factorize(objects, use_na_sentinel=True)
    return _BothSides((np.asarray(ids, np.int64) + 1).view(np.uint64), None)


def _of_categories(left: pd.Series[Any], right: pd.Series[Any], column: KeyColumn) -> _BothSides:
    """Number the categories, and give each row the number of its own."""
    sides = (left, right)
    categories = [
        pd.Series(side.cat.categories) if isinstance(side.dtype, pd.CategoricalDtype) else side
        for side in sides
    ]
    found = []
    for side, ids in zip(
        sides, key_ids([categories[0]], [categories[1]], KeySchema(columns=(column,))), strict=True
    ):
        if isinstance(side.dtype, pd.CategoricalDtype):
            found.append(np.append(ids + 1, 0)[side.cat.codes.to_numpy()])
        else:
            found.append(np.where(side.isna().to_numpy(), 0, ids + 1))
    return _BothSides(np.concatenate(found).view(np.uint64), None)


def _column_ids(left: pd.Series[Any], right: pd.Series[Any], column: KeyColumn) -> tuple[Ids, int]:
    """Number the values of one column of both sides, left first; nulls get the last number."""
    if column.kind == "number":
        return _number_ids(left, right, column)
    left_values, left_null = column_values(left, column)
    right_values, right_null = column_values(right, column)
    values = np.concatenate([left_values, right_values])
    null = None
    if left_null is not None or right_null is not None:
        null = np.concatenate(
            [
                np.zeros(len(part), np.bool_) if mask is None else mask
                for part, mask in ((left_values, left_null), (right_values, right_null))
            ]
        )
    if column.kind in ("float", "uint"):
        words = ordered_codes(values, column)
        ids, n_ids = _renumbered((words if null is None else np.where(null, words[:1], words)).view(np.int64))
    else:
        shown = without_nulls(values, null)
        low, high = int(shown.min(initial=np.iinfo(np.int64).max)), int(shown.max(initial=0))
        if len(shown) and high - low < 2**61:
            ids, n_ids = values - low, high - low + 1
        else:
            ids, n_ids = _renumbered(ordered_codes(values, column).view(np.int64))
    if null is not None:
        ids = np.where(null, n_ids, ids)
    return ids, n_ids + 1


def _number_ids(left: pd.Series[Any], right: pd.Series[Any], column: KeyColumn) -> tuple[Ids, int]:
    """Number integers and floats: whole numbers as integers, the others after them."""
    sides = [number_parts(left, column), number_parts(right, column)]
    ids, n_ids = _renumbered(np.concatenate([integral for integral, _, _ in sides]))
    others = np.concatenate(
        [np.zeros(len(integral)) if other is None else other for integral, other, _ in sides]
    )
    other_ids, n_others = _renumbered((others + 0.0).view(np.int64))
    ids = np.where(others == 0.0, ids, n_ids + other_ids)
    null = np.concatenate(
        [np.zeros(len(integral), np.bool_) if mask is None else mask for integral, _, mask in sides]
    )
    n_ids += n_others
    return np.where(null, n_ids, ids), n_ids + 1


def _renumbered(values: npt.NDArray[np.int64]) -> tuple[Ids, int]:
    ids, firsts = rank_words(values.view(np.uint64))
    return ids, len(firsts)

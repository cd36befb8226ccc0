"""Numbers rows of two sides, the same number where their keys are truly equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.codes import column_values, number_parts
from safeframe.kernels.keys.nulls import without_nulls

Ids = npt.NDArray[np.int64]


def key_ids(
    left: Sequence[pd.Series[Any]],
    right: Sequence[pd.Series[Any]],
    schema: KeySchema,
    *,
    in_order: bool = False,
) -> tuple[Ids, Ids]:
    """Number the keys of two sides.

    Parameters
    ----------
    left, right
        The key columns of both sides.
    schema
        Their common type.
    in_order
        Whether numbers follow the order of the keys, where that is one column of numbers or times.

    Returns
    -------
    left, right
        Non-negative numbers, equal where :func:`pandas.merge` finds the keys
        equal; a null equals a null.

    Notes
    -----
    Values are compared, never their hashes. Integers, times and the like are
    shifted to start at zero where their range allows, which costs next to nothing.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> key_ids([pd.Series([7, 9])], [pd.Series([9, 7, 8])], schema)
    (array([0, 2]), array([2, 0, 1]))
    """
    n_left = len(left[0])
    ids: Ids | None = None
    for left_series, right_series, column in zip(left, right, schema.columns, strict=True):
        one, n_one = _column_ids(left_series, right_series, column, in_order=in_order)
        if ids is None:
            ids, n_ids = one, n_one
            continue
        if n_ids * n_one >= 2**62:
            ids, n_ids = _renumbered(ids)
        if n_ids * n_one >= 2**62:
            one, n_one = _renumbered(one)
        ids, n_ids = ids * n_one + one, n_ids * n_one
    assert ids is not None
    return ids[:n_left], ids[n_left:]


def _column_ids(
    left: pd.Series[Any], right: pd.Series[Any], column: KeyColumn, *, in_order: bool
) -> tuple[Ids, int]:
    """Number the values of one column of both sides, left first; nulls get the last number."""
    if column.kind in ("string", "object"):
        return _factorized(pd.concat([_comparable(left), _comparable(right)], ignore_index=True))
    if column.kind == "number":
        return _number_ids(left, right)
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
        ids, n_ids = _renumbered(values, in_order=in_order)  # factorize holds -0.0 and 0.0 to be one value
    else:
        shown = without_nulls(values, null)
        low, high = int(shown.min(initial=np.iinfo(np.int64).max)), int(shown.max(initial=0))
        if len(shown) and high - low < 2**61:
            ids, n_ids = values - low, high - low + 1
        else:
            ids, n_ids = _renumbered(values, in_order=in_order)
    if null is not None:
        ids = np.where(null, n_ids, ids)
    return ids, n_ids + 1


def _number_ids(left: pd.Series[Any], right: pd.Series[Any]) -> tuple[Ids, int]:
    """Number integers and floats: whole numbers as integers, the others after them."""
    sides = [number_parts(left), number_parts(right)]
    ids, n_ids = _renumbered(np.concatenate([integral for integral, _, _ in sides]))
    others = np.concatenate(
        [np.zeros(len(integral)) if other is None else other for integral, other, _ in sides]
    )
    other_ids, n_others = _renumbered(others)
    ids = np.where(others == 0.0, ids, n_ids + other_ids)
    null = np.concatenate(
        [np.zeros(len(integral), np.bool_) if mask is None else mask for integral, _, mask in sides]
    )
    n_ids += n_others
    return np.where(null, n_ids, ids), n_ids + 1


def _comparable(series: pd.Series[Any]) -> pd.Series[Any]:
    """Convert values to a form in which equal ones compare equal: strings, or Python objects."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    return series.astype(object) if series.dtype != object else series


def _factorized(values: pd.Series[Any]) -> tuple[Ids, int]:
    ids, uniques = pd.factorize(values, use_na_sentinel=True)
    ids = np.asarray(ids, np.int64)
    return np.where(ids < 0, len(uniques), ids), len(uniques) + 1


def _renumbered(values: npt.NDArray[Any], *, in_order: bool = False) -> tuple[Ids, int]:
    ids, uniques = pd.factorize(values, use_na_sentinel=False, sort=in_order)
    return np.asarray(ids, np.int64), len(uniques)

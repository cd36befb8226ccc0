"""Rows whose key was met before.

Covers: which rows of some that are in the order of their frame stay, by the rule of null keys; which of them can
matter at all, where there are more rows of the frame elsewhere; numbers of rows.
Does not cover: which keys are equal (``kernels.keys.ids``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.distinct import ROW_BITS, Keep
from safeframe.facts.keys import KeySchema
from safeframe.kernels.keys.ids import Ids, key_ids
from safeframe.kernels.order import Positions, begins_run, stable_order

Marks = npt.NDArray[np.bool_]


def kept_rows(keys: Sequence[pd.Series[Any]], schema: KeySchema, keep: Keep) -> Marks:
    """Return which rows stay, where these are all rows of their keys.

    Parameters
    ----------
    keys
        The key columns.
    schema
        Their types.
    keep
        Which row of a key stays.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> kept_rows([pd.Series([7, 9, 7])], schema, "last").tolist()
    [False, True, True]
    >>> kept_rows([pd.Series([7, 9, 7])], schema, False).tolist()
    [False, True, False]
    """
    order, begins, ends = _runs(keys, schema)
    chosen = begins if keep == "first" else ends if keep == "last" else begins & ends
    return _marked(order, chosen)


def candidates(keys: Sequence[pd.Series[Any]], schema: KeySchema, keep: Keep) -> Marks:
    """Return which rows can matter, where there may be other rows of their keys.

    One of each key; where no row of a key that is met twice stays, two of each, which tell that.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> candidates([pd.Series([7, 7, 9, 7])], schema, False).tolist()
    [True, True, True, False]
    """
    if keep is not False:
        return kept_rows(keys, schema, keep)
    order, begins, _ = _runs(keys, schema)
    second = np.zeros(len(begins), np.bool_)
    second[1:] = begins[:-1]
    return _marked(order, begins | second)


def _runs(keys: Sequence[pd.Series[Any]], schema: KeySchema) -> tuple[Positions | None, Marks, Marks]:
    """Return an order in which rows of a key lie together, in theirs; where each key begins in it, and ends."""
    ids, _ = key_ids(keys, [key.iloc[:0] for key in keys], schema)
    if len(keys) == 1 and keys[0].dtype == object:
        ids = _with_kinds_of_nulls(ids, keys[0])
    order = stable_order(ids)
    begins = begins_run(ids if order is None else ids[order])
    ends = np.ones(len(begins), np.bool_)
    ends[:-1] = begins[1:]
    return order, begins, ends


def _with_kinds_of_nulls(ids: Ids, key: pd.Series[Any]) -> Ids:
    """Tell None, NaN and NA apart in a single column of Python objects, as pandas does there, and nowhere else."""
    null = np.flatnonzero(key.isna().to_numpy())
    if not len(null):
        return ids
    kinds, _ = pd.factorize(np.array([*map(type, key.to_numpy()[null]), None], object)[:-1])
    told = ids.copy()
    told[null] = ids.max() + 1 + kinds
    return told


def _marked(order: Positions | None, chosen: Marks) -> Marks:
    if order is None:
        return chosen
    marks = np.empty(len(chosen), np.bool_)
    marks[order] = chosen
    return marks


def first_row(partition: int) -> int:
    """Return the number of the first row of a partition in its frame."""
    return partition << ROW_BITS


def partitions_of(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the partition of each row, by its number."""
    return rows >> ROW_BITS


def places_of(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each row in its partition, by its number.

    Examples
    --------
    >>> places_of(np.array([first_row(3) + 7])).tolist()
    [7]
    """
    return rows & ((1 << ROW_BITS) - 1)

"""Finds the key values that belong to hash codes, so that a key can be named.

Codes of ordered keys are decoded (``kernels.keys.codes.decode_codes``); a hash is not,
so the value is taken from a row that has the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, KeySchema
from safeframe.kernels.keys.codes import encode_keys

_FIRST_ROWS = 2**16
_TABLE_SHIFT = np.uint64(48)


def label_rows(columns: Sequence[pd.Series[Any]], schema: KeySchema, wanted: Codes) -> dict[int, Any]:
    """Return the key values of codes that occur in a partition.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="string"),))
    >>> names = pd.Series(["a", "b", "a"])
    >>> codes, _ = encode_keys([names], schema)
    >>> list(label_rows([names], schema, codes[1:2]).values())
    ['b']
    """
    codes, null = encode_keys(columns, schema)
    if null is None:
        return key_labels(columns, codes, wanted)
    return key_labels([series[~null] for series in columns], codes[~null], wanted)


def key_labels(columns: Sequence[pd.Series[Any]], codes: Codes, wanted: Codes) -> dict[int, Any]:
    """Return the key values of the wanted codes that rows have.

    Parameters
    ----------
    columns
        The key columns.
    codes
        The code of each row.
    wanted
        Codes to name, ascending.

    Returns
    -------
    dict
        Values by code: tuples for several columns, None for null.

    Notes
    -----
    Rows are looked through in chunks, each larger than the one before, until
    every wanted code was met. Heavy keys are met early and are then no longer
    looked for, so that their many rows cost nothing.
    """
    found_codes: list[Codes] = []
    found_rows: list[npt.NDArray[np.int64]] = []
    start, size = 0, _FIRST_ROWS
    while len(wanted) and start < len(codes):
        chunk = codes[start : start + size]
        table = np.zeros(2**16, np.bool_)  # a filter on 16 bits: few rows pass that are not wanted
        table[wanted >> _TABLE_SHIFT] = True
        rows = np.flatnonzero(table[chunk >> _TABLE_SHIFT])
        distinct, first = np.unique(chunk[rows], return_index=True)
        at = np.minimum(np.searchsorted(wanted, distinct), len(wanted) - 1)
        met = wanted[at] == distinct
        found_codes.append(distinct[met])
        found_rows.append(rows[first[met]] + start)
        wanted = np.delete(wanted, at[met])
        start, size = start + size, 4 * size
    if not found_codes:
        return {}
    rows = np.concatenate(found_rows)
    values = [_values_of_rows(series, rows) for series in columns]
    keys = values[0] if len(values) == 1 else list(zip(*values, strict=True))
    return dict(zip(np.concatenate(found_codes).tolist(), keys, strict=True))


def _values_of_rows(series: pd.Series[Any], rows: npt.NDArray[np.int64]) -> list[Any]:
    taken = series.iloc[rows]
    return list(taken.astype(object).where(taken.notna(), None).tolist())

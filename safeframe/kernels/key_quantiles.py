"""Quantiles of a frame's keys, weighted by rows, from its key statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.errors import UnsupportedError
from safeframe.facts.keys import Codes, KeyStatistics
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.keys.summary import heaviest, smallest_hashes

__all__ = ["key_quantiles"]


def key_quantiles(statistics: KeyStatistics, fractions: Sequence[float]) -> list[Any]:
    """Return the keys at given shares of the rows.

    Parameters
    ----------
    statistics
        Of a single key column.
    fractions
        Shares of the rows that are not null, between 0 and 1.

    Returns
    -------
    list
        For each fraction the smallest key so that at least this share of the
        rows has it or a smaller one. Exact for numbers and times with exact
        statistics; otherwise from the sample of keys and the heaviest keys.
        Empty when all keys are null.

    Raises
    ------
    UnsupportedError
        For keys of several columns, and for values that have no order.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [4, 4, 4, 1, 9, 9, 7, 8]}), npartitions=2)
    >>> key_quantiles(safeframe.key_statistics(frame, "k"), [0.0, 0.5, 1.0])
    [1, 4, 9]
    """
    if len(statistics.on) > 1:
        msg = f"Keys of several columns {list(statistics.on)!r} have no quantiles."
        raise UnsupportedError(msg, hint="Gather the statistics of one column.")
    codes, rows = _weighted(statistics)
    if len(codes) == 0:
        return []
    if statistics.schema.injective:
        ends = np.cumsum(rows)
        return decode_codes(codes[_positions(ends, fractions)], statistics.schema)
    values = [statistics.labels[code] for code in codes.tolist()]
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError as error:
        msg = f"The values of key {statistics.on[0]!r} have no order: {error}."
        raise UnsupportedError(
            msg, hint="Cast the column to one type first, as with .astype(str)."
        ) from error
    ends = np.cumsum(rows[order])
    return [values[order[at]] for at in _positions(ends, fractions).tolist()]


def _weighted(statistics: KeyStatistics) -> tuple[Codes, npt.NDArray[np.float64]]:
    """Return known keys, ascending, with the rows that each stands for."""
    codes, counts, heavy = statistics.codes, statistics.counts, statistics.heavy_codes
    if statistics.exact and (statistics.schema.injective or len(codes) <= options.NAMED_SAMPLE_KEYS):
        return codes, counts.astype(np.float64)
    heavy_rows = statistics.heavy_counts
    if not statistics.schema.injective:
        # Only named keys can be put in order: the heaviest of all, and a sample of the others.
        top = heaviest(heavy, heavy_rows, options.NAMED_HEAVY_KEYS)
        top = top[[code in statistics.labels for code in heavy[top].tolist()]]
        heavy, heavy_rows = heavy[top], heavy_rows[top]
    light = np.flatnonzero(~np.isin(codes, heavy))
    keys = len(light) / statistics.sample_fraction
    if not statistics.schema.injective:
        chosen = smallest_hashes(codes, options.NAMED_SAMPLE_KEYS)
        light = np.intersect1d(light, chosen, assume_unique=True)
    joined = np.concatenate([codes[light], heavy])
    rows = np.concatenate([counts[light] * (keys / max(1, len(light))), heavy_rows])
    order = np.argsort(joined, kind="stable")
    return joined[order], rows[order]


def _positions(ends: npt.NDArray[np.float64], fractions: Sequence[float]) -> npt.NDArray[np.int64]:
    at = np.searchsorted(ends, np.asarray(fractions, np.float64) * ends[-1], side="left")
    return np.asarray(np.minimum(at, len(ends) - 1), np.int64)

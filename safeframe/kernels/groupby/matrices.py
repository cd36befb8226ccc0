"""Covariances and correlations of groups: a matrix for each, below each other, as pandas has them.

Covers: figures of a pair of columns from its merged parts, and the frame of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.groupby.parts import ROWS, Columns, Part
from safeframe.kernels.groupby.spec import Aggregation

Figures = npt.NDArray[np.float64]


def figures_of_pairs(
    aggs: Sequence[Aggregation], parts: Mapping[Part, Columns]
) -> dict[tuple[Any, Any], Figures]:
    """Return the covariance, or the correlation, of each pair of columns in each group, by the two columns."""
    found = {agg.label: _figures(agg, parts) for agg in aggs}
    with_itself = {
        agg.columns[0]: agg.column for agg in aggs if agg.function == "cov" and agg.pairs_with_itself
    }
    if not with_itself:
        return found
    # pandas leaves out infinite values where any value of the group is null. Elsewhere they make NaN.
    present = {name: parts[pair, "present"][0] for name, pair in with_itself.items()}
    complete = np.logical_and.reduce([values == parts[ROWS][0] for values in present.values()])
    infinite = {
        name: complete & (parts[pair, "count"][0] < present[name]) for name, pair in with_itself.items()
    }
    return {
        (one, two): np.where(infinite[one] | infinite[two], np.nan, figures)
        for (one, two), figures in found.items()
    }


def _figures(agg: Aggregation, parts: Mapping[Part, Columns]) -> Figures:
    """Return the figures of a pair of columns in rows that have finite values of both."""
    counts = np.asarray(parts[agg.column, "count"][0], np.float64)
    _, _, one, two, both = (np.asarray(column) for column in parts[agg.column, "joint moments"])
    enough = counts >= max(agg.option("min_periods", None) or 1, 1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if agg.function == "cov":
            return np.where(enough & (counts > 1), both / (counts - 1), np.nan)
        same = len(set(agg.columns)) == 1
        found = np.ones_like(one) if same else np.clip(both / (np.sqrt(one) * np.sqrt(two)), -1.0, 1.0)
        return np.where(enough & (one > 0) & (two > 0), found, np.nan)


def matrices(
    found: Mapping[tuple[Any, Any], Figures], index: pd.Index[Any], meta: pd.DataFrame
) -> pd.DataFrame:
    """Put the figures of all pairs together.

    Parameters
    ----------
    found
        Figures by the two columns, each pair once.
    index
        The groups.
    meta
        The result of no rows.

    Examples
    --------
    >>> meta = pd.DataFrame({"a": [1.0], "b": [2.0], "k": [0]}).groupby("k").corr().iloc[:0]
    >>> one = {("a", "a"): np.ones(1), ("a", "b"): np.full(1, 0.5), ("b", "b"): np.ones(1)}
    >>> matrices(one, pd.Index([7], name="k"), meta)
           a    b
    k
    7 a  1.0  0.5
      b  0.5  1.0
    """
    names = meta.columns
    n = len(names)
    values = np.empty((len(index), n, n))
    for (one, two), figures in found.items():
        row, column = names.get_loc(one), names.get_loc(two)
        values[:, row, column] = values[:, column, row] = figures
    levels: list[Any]
    codes: list[Any]
    if isinstance(index, pd.MultiIndex):
        levels, codes = list(index.levels), [np.repeat(code, n) for code in index.codes]
    else:
        numbers, uniques = np.arange(len(index)), index
        if index.hasnans:
            numbers, uniques = np.where(index.isna(), -1, numbers), index
        levels, codes = [uniques], [np.repeat(numbers, n)]
    levels.append(names)
    codes.append(np.tile(np.arange(n), len(index)))
    rows = pd.MultiIndex(
        levels=levels,
        codes=codes,
        names=meta.index.names,  # keys that are no columns of the user's have other names
        verify_integrity=False,
    )
    frame = pd.DataFrame(values.reshape(-1, n), index=rows, columns=names)
    return frame.astype(dict(meta.dtypes))

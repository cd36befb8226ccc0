"""Takes evenly spaced keys of a partition, its smallest and largest among them, and joins those of all partitions.

The method is that of equi-depth histograms whose bucket ends are merged by
weight: a partition's sample misplaces a key by less than one step of that
partition, so that the error of a rank is at most the sum of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, Counts, PartitionKeys
from safeframe.facts.quantiles import KeyQuantiles
from safeframe.kernels.row_order import RowOrder, sorted_keys

__all__ = ["KeySample", "join_samples", "sample_keys"]

_LIKELY_SIGMAS = 6.0
"""Standard deviations of a sum of independent errors, each anywhere within its step."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeySample:
    """Evenly spaced keys of one partition."""

    codes: Codes | None
    """The keys, ascending, where the order has codes."""
    values: pd.DataFrame | None
    """The keys, in order, where it has none."""
    rows: Counts
    """Rows that each key stands for."""
    rows_total: int
    """Rows of the partition, null keys included."""
    null_rows: int
    """Rows whose key is null."""
    increasing: bool
    """Whether the partition is in order already."""
    first: int
    """Smallest code."""
    last: int
    """Largest code."""


def sample_keys(frame: pd.DataFrame, order: RowOrder, size: int) -> list[KeySample]:
    """Take at most ``size`` keys of a partition, evenly spaced in their order.

    Examples
    --------
    >>> from safeframe.kernels.key_schema import common_schema
    >>> frame = pd.DataFrame({"k": [4, 1, 3, 2]})
    >>> schema = common_schema([frame["k"]], [frame["k"]], left_names=["k"], right_names=["k"])
    >>> order = RowOrder(
    ...     by=("k",), ascending=(True,), na_last=True, schema=schema, dtypes=(frame["k"].dtype,)
    ... )
    >>> sample = sample_keys(frame, order, 2)[0]
    >>> (sample.codes - np.uint64(1 << 63)).tolist(), sample.rows.tolist(), sample.increasing
    ([1, 4], [1, 3], False)
    """
    if order.coded:
        return [_sample_codes(frame, order, size)]
    keys = frame[list(order.by)]
    nulls = 0
    if order.nulls_apart:
        null = keys[order.by[0]].isna()
        nulls = int(null.sum())
        keys = keys[~null] if nulls else keys
    ordered = sorted_keys(keys.reset_index(drop=True), order)
    at, rows = _spaced(len(ordered), size)
    return [
        KeySample(
            codes=None,
            values=ordered.take(at).reset_index(drop=True),
            rows=rows,
            rows_total=len(frame),
            null_rows=nulls,
            increasing=bool((np.diff(ordered.index.to_numpy()) > 0).all()) and nulls == 0,
            first=0,
            last=0,
        )
    ]


def _sample_codes(frame: pd.DataFrame, order: RowOrder, size: int) -> KeySample:
    codes, null = order.codes(frame)
    if null is not None:
        codes = codes[~null]
    increasing = not bool((codes[1:] < codes[:-1]).any())
    if not increasing:
        codes = np.sort(codes)
    at, rows = _spaced(len(codes), size)
    return KeySample(
        codes=codes[at],
        values=None,
        rows=rows,
        rows_total=len(frame),
        null_rows=len(frame) - len(codes),
        increasing=increasing,
        first=int(codes[0]) if len(codes) else 0,
        last=int(codes[-1]) if len(codes) else 0,
    )


def _spaced(n_rows: int, size: int) -> tuple[npt.NDArray[np.int64], Counts]:
    """Give the last row of each stretch, and its rows: the first row alone, and equal stretches."""
    if n_rows == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    n = min(n_rows, size)
    ends = 1 + (np.arange(n, dtype=np.int64) * (n_rows - 1)) // max(n - 1, 1)
    return ends - 1, np.diff(ends, prepend=0)


def join_samples(samples: Sequence[KeySample], order: RowOrder) -> KeyQuantiles:
    """Join the samples of all partitions, given in their order."""
    rows = np.concatenate([sample.rows for sample in samples])
    partition = np.repeat(np.arange(len(samples)), [len(sample.rows) for sample in samples])
    values: pd.DataFrame | None = None
    if order.coded:
        codes = np.concatenate([_codes_of(sample) for sample in samples])
        at = np.argsort(codes, kind="stable")
        codes = codes[at]
        fresh = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
    else:
        keys = pd.concat([_values_of(sample) for sample in samples], ignore_index=True)
        keys = sorted_keys(keys, order)
        at = keys.index.to_numpy()
        keys = keys.reset_index(drop=True)
        fresh = _differs(keys)
        values = keys[fresh].reset_index(drop=True)
        codes = (2 * (np.cumsum(fresh) - 1) + 1).astype(np.uint64)
    rows, partition = rows[at], partition[at]
    key = np.cumsum(fresh) - 1
    firsts = np.flatnonzero(fresh)
    below, error = _below(rows, partition, key, samples)
    return KeyQuantiles(
        codes=codes[fresh],
        below=below,
        below_error=error,
        own_rows=_summed(np.where(_again(key, partition), rows, 1), firsts),
        total_rows=sum(sample.rows_total for sample in samples),
        null_rows=sum(sample.null_rows for sample in samples),
        values=values,
        partitions=_partitions(samples) if order.coded else None,
        partition_rows=np.array([sample.rows_total for sample in samples], np.int64),
    )


def _below(
    rows: Counts, partition: Counts, key: Counts, samples: Sequence[KeySample]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Count the rows below each distinct key, and bound the error.

    A stretch ends with its key: stretches that end below a key lie below it
    whole. Of each partition with keys on both sides one stretch more lies below
    it in part: half of it is added, and half of it is the error.
    """
    n_keys = int(key[-1]) + 1 if len(key) else 0
    ended = np.bincount(key, weights=rows, minlength=n_keys)
    steps = np.array([float(sample.rows.max(initial=1)) - 1.0 for sample in samples])
    by_partition = np.argsort(partition, kind="stable")
    last_at = np.cumsum([len(sample.rows) for sample in samples])
    has_keys = np.array([len(sample.rows) > 0 for sample in samples], np.bool_)
    first_at = last_at - [len(sample.rows) for sample in samples]
    smallest, largest = key[by_partition[first_at[has_keys]]], key[by_partition[last_at[has_keys] - 1]]
    steps = steps[has_keys]
    part, square = np.zeros(n_keys + 1), np.zeros(n_keys + 1)
    for change, at, sign in ((steps, smallest + 1, 1.0), (steps, largest + 1, -1.0)):
        np.add.at(part, at, sign * change)
        np.add.at(square, at, sign * change**2)
    half = np.cumsum(part)[:n_keys] / 2.0
    likely = _LIKELY_SIGMAS * np.sqrt(np.maximum(np.cumsum(square)[:n_keys], 0.0) / 12.0)
    return np.concatenate([[0.0], np.cumsum(ended)[:-1]])[:n_keys] + half, np.minimum(half, likely)


def _again(key: Counts, partition: Counts) -> npt.NDArray[np.bool_]:
    """Say which stretches have no other key than their own: the one before, in the partition, ended with it."""
    by_partition = np.argsort(partition, kind="stable")
    keys, partitions = key[by_partition], partition[by_partition]
    again = np.zeros(len(key), np.bool_)
    again[by_partition[1:][(keys[1:] == keys[:-1]) & (partitions[1:] == partitions[:-1])]] = True
    return again


def _summed(rows: Counts, firsts: npt.NDArray[np.int64]) -> Counts:
    return np.add.reduceat(rows, firsts) if len(firsts) else np.empty(0, np.int64)


def _partitions(samples: Sequence[KeySample]) -> PartitionKeys:
    return PartitionKeys(
        rows=np.array([sample.rows_total for sample in samples], np.int64),
        null_rows=np.array([sample.null_rows for sample in samples], np.int64),
        first=np.array([sample.first for sample in samples], np.uint64),
        last=np.array([sample.last for sample in samples], np.uint64),
        increasing=np.array([sample.increasing for sample in samples], np.bool_),
    )


def _differs(keys: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say of each row of ordered keys whether it differs from the row before; null equals null."""
    different = np.ones(len(keys), np.bool_)
    if len(keys) < 2:
        return different
    different[1:] = False
    for name in keys.columns:
        column: pd.Series[Any] = keys[name]
        null = column.isna().to_numpy()
        values = (
            column.to_numpy() if not null.any() else np.where(null, None, column.astype(object).to_numpy())
        )
        unequal = np.asarray(values[1:] != values[:-1], np.bool_)
        different[1:] |= (unequal & ~(null[1:] & null[:-1])) | (null[1:] != null[:-1])
    return different


def _codes_of(sample: KeySample) -> Codes:
    assert sample.codes is not None
    return sample.codes


def _values_of(sample: KeySample) -> pd.DataFrame:
    assert sample.values is not None
    return sample.values

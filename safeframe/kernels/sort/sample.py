"""Takes evenly spaced keys of a partition, and joins those of many.

Systematic sampling with a random start: of a partition's keys in order every
so-manieth is taken, from a start within the first stretch that its number
decides. The rows below any key are then estimated without bias, each partition
errs by less than one stretch, and independently of the others, so that errors
of many cancel (Hoeffding's inequality bounds what is left). Samples of
neighbours are thinned again as one, which leaves fewer and so errs less.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, PartitionKeys
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.groups import begins_group
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.order import begins_run
from safeframe.kernels.sort.rows import OrderedKeys, RowOrder, sorted_keys

_LIKELY = 3.0
"""Times the root of the sum of squares of independent errors: passed once in some 30 million."""

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeySample:
    """Keys of one or more partitions; the smallest and the largest are always there."""

    codes: Codes | None
    """The keys, ascending, where the order has codes."""
    values: pd.DataFrame | None
    """The keys, in order, where it has none."""
    weights: Weights
    """Rows, or their bytes, that each key stands for; none for the two ends."""
    error_rows: float
    """Bound of the error of a rank."""
    error_square: float
    """Sum of the squares of the independent errors in it."""
    partitions: PartitionKeys
    """Rows and range of each partition."""
    null_weight: float = 0.0
    """Bytes of the rows whose key is null, where rows are weighed."""


def sample_keys(keys: OrderedKeys, size: int) -> KeySample:
    """Take at most ``size`` keys of a partition, evenly spaced in their order or by the bytes of their rows, and both ends.

    Examples
    --------
    >>> from safeframe.kernels.keys.schema import common_schema
    >>> from safeframe.kernels.sort.rows import ordered_keys
    >>> frame = pd.DataFrame({"k": [4, 1, 3, 2]})
    >>> schema = common_schema([frame["k"]], [frame["k"]], left_names=["k"], right_names=["k"])
    >>> order = RowOrder(
    ...     by=("k",), ascending=(True,), na_last=True, schema=schema, dtypes=(frame["k"].dtype,)
    ... )
    >>> sample = sample_keys(ordered_keys(frame, order), 2)
    >>> (sample.codes - np.uint64(1 << 63)).tolist(), sample.weights.tolist()
    ([1, 1, 3, 4], [0.0, 2.0, 2.0, 0.0])
    """
    codes, values = keys.codes, keys.values
    ends = (int(codes[0]), int(codes[-1])) if codes is not None and len(codes) else (0, 0)
    each = len(keys) if keys.row_nbytes is None else keys.row_nbytes
    at, weights, step = _spaced(each, size, _start(codes, values))
    if values is not None:
        at, weights = _each_once(at, weights)
    return KeySample(
        codes=None if codes is None else codes[at],
        values=None if values is None else values.take(at).reset_index(drop=True),
        weights=weights,
        error_rows=step,
        error_square=step**2,
        partitions=PartitionKeys(
            rows=np.array([keys.rows], np.int64),
            null_rows=np.array([keys.rows - len(keys)], np.int64),
            first=np.array([ends[0]], np.uint64),
            last=np.array([ends[1]], np.uint64),
            increasing=np.array([keys.increasing], np.bool_),
        ),
        null_weight=keys.null_nbytes,
    )


def thin(samples: Sequence[KeySample], order: RowOrder, size: int) -> KeySample:
    """Join samples of neighbouring partitions, and leave at most ``size`` keys and both ends."""
    codes, values, weights, _ = _merged(samples, order)
    step = 0.0
    if np.count_nonzero(weights) > size:
        at, weights, step = _spaced(weights, size, _start(codes, values))
        if values is not None:
            at, weights = _each_once(at, weights)
        codes = None if codes is None else codes[at]
        values = None if values is None else values.take(at).reset_index(drop=True)
    return KeySample(
        codes=codes,
        values=values,
        weights=weights,
        error_rows=sum(sample.error_rows for sample in samples) + step,
        error_square=sum(sample.error_square for sample in samples) + step**2,
        partitions=PartitionKeys.joined([sample.partitions for sample in samples]),
        null_weight=sum(sample.null_weight for sample in samples),
    )


def joined_slices(samples: Sequence[KeySample], order: RowOrder, size: int) -> KeySample:
    """Join samples of slices of one partition, given in their order, to one of that partition."""
    joined = thin(samples, order, size)
    return replace(joined, partitions=joined.partitions.as_one())


def _start(codes: Codes | None, values: pd.DataFrame | None) -> float:
    """Choose where in the first stretch to start: by the keys, so that it differs between partitions, not runs."""
    if codes is not None:
        some = codes[[0, len(codes) // 2, -1]] if len(codes) else codes
        return float((mix64(some).sum() >> np.uint64(11)) / 2.0**53)
    assert values is not None
    some_values = values.iloc[[0, len(values) // 2, -1]] if len(values) else values
    return zlib.crc32(repr(some_values.to_numpy().tolist()).encode()) / 2.0**32


def _spaced(rows: Weights | int, size: int, start: float) -> tuple[npt.NDArray[np.int64], Weights, float]:
    """Take rows evenly by weight, with the first and the last one besides, which stand for none.

    Rows are given by their weights, or by their number where each has the weight one.
    """
    n = rows if isinstance(rows, int) else len(rows)
    if n == 0:
        return np.empty(0, np.int64), np.empty(0), 0.0
    if not isinstance(rows, int) and n <= size:
        at = np.concatenate([[0], np.arange(n), [n - 1]])
        return at, np.concatenate([[0.0], rows, [0.0]]), 0.0
    ends = None if isinstance(rows, int) else np.cumsum(rows)
    total = float(n if ends is None else ends[-1])
    taken = min(size, max(1, round(total)))
    step = total / taken
    if taken >= total:
        start = 0.0  # every row is taken
    wanted = (np.arange(taken) + start) * step
    at = wanted.astype(np.int64) if ends is None else np.searchsorted(ends, wanted, side="right")
    at = np.concatenate([[0], np.minimum(at, n - 1), [n - 1]])
    weights = np.concatenate([[0.0], np.full(taken, step), [0.0]])
    return at, weights, 0.0 if step <= 1.0 else step


def _each_once(at: npt.NDArray[np.int64], weights: Weights) -> tuple[npt.NDArray[np.int64], Weights]:
    """Return rows that were taken several times once, with all their weight: a long value would be copied as often."""
    rows, number = np.unique(at, return_inverse=True)
    return rows, np.bincount(number, weights=weights, minlength=len(rows)).astype(np.float64)


def join_samples(samples: Sequence[KeySample], order: RowOrder) -> KeyQuantiles:
    """Join the samples of all partitions, given in their order."""
    codes, values, weights, sample_of = _merged(samples, order)
    if values is not None:
        fresh = begins_group([values[name] for name in values.columns])
        values = values[fresh].reset_index(drop=True)
        key = np.cumsum(fresh) - 1
        distinct = (2 * np.arange(len(values)) + 1).astype(np.uint64)
    else:
        assert codes is not None
        fresh = begins_run(codes)
        key = np.cumsum(fresh) - 1
        distinct = codes[fresh]
    rows = np.bincount(key, weights=weights, minlength=len(distinct)).astype(np.float64)
    partitions = PartitionKeys.joined([sample.partitions for sample in samples])
    return KeyQuantiles(
        codes=distinct,
        rows=rows,
        below=np.cumsum(rows) - rows,
        below_error=_error(key, sample_of, samples, len(distinct)),
        total_rows=int(partitions.rows.sum()),
        null_rows=int(partitions.null_rows.sum()),
        values=values,
        partitions=partitions if order.coded else None,
        partition_rows=partitions.rows,
    )


def by_nbytes(weighed: Sequence[KeySample], order: RowOrder, quantiles: KeyQuantiles) -> KeyQuantiles:
    """Return quantiles that are cut into even bytes, of samples whose weights are those.

    Bytes are counted in rows of as many as the mean row has, of those with or of those without a key.

    Parameters
    ----------
    weighed
        The samples.
    order
        Their order.
    quantiles
        Those of rows.
    """
    joined = join_samples(weighed, order)
    nulls = sum(sample.null_weight for sample in weighed) / max(1, quantiles.null_rows)
    nbytes = max(float(joined.rows.sum()) / max(1, quantiles.key_rows), nulls, 1.0)
    return replace(
        quantiles,
        codes=joined.codes,
        values=joined.values,
        rows=joined.rows / nbytes,
        below=joined.below / nbytes,
        below_error=joined.below_error / nbytes,
        row_nbytes=nbytes,
    )


def _error(
    key: npt.NDArray[np.int64], sample_of: npt.NDArray[np.int64], samples: Sequence[KeySample], n_keys: int
) -> Weights:
    """Bound the error of the rows below each key: samples that end before it, or begin after it, have none."""
    bound, square = np.zeros(n_keys + 1), np.zeros(n_keys + 1)
    by_sample = np.argsort(sample_of, kind="stable")
    ends = np.cumsum([len(sample.weights) for sample in samples])
    full = np.array([len(sample.weights) > 0 for sample in samples], np.bool_)
    begins = ends - [len(sample.weights) for sample in samples]
    smallest, largest = key[by_sample[begins[full]]], key[by_sample[ends[full] - 1]]
    for total, of_each in (
        (bound, [sample.error_rows for sample in samples]),
        (square, [sample.error_square for sample in samples]),
    ):
        np.add.at(total, smallest + 1, np.array(of_each)[full])
        np.add.at(total, largest + 1, -np.array(of_each)[full])
    likely = _LIKELY * np.sqrt(np.maximum(np.cumsum(square)[:n_keys], 0.0))
    return np.minimum(np.maximum(np.cumsum(bound)[:n_keys], 0.0), likely)


def _merged(
    samples: Sequence[KeySample], order: RowOrder
) -> tuple[Codes | None, pd.DataFrame | None, Weights, npt.NDArray[np.int64]]:
    """Put the keys of several samples in one order, with each one's sample."""
    weights = np.concatenate([sample.weights for sample in samples])
    sample_of = np.repeat(np.arange(len(samples)), [len(sample.weights) for sample in samples])
    if order.coded:
        codes = np.concatenate([sample.codes for sample in samples if sample.codes is not None])
        at = np.argsort(codes, kind="stable")
        return codes[at], None, weights[at], sample_of[at]
    found = [sample.values for sample in samples if sample.values is not None]
    # Partitions without rows may have other types: a file of none has no type for text.
    values = pd.concat([some for some in found if len(some)] or found[:1], ignore_index=True)
    values = sorted_keys(values, order)
    at = values.index.to_numpy()
    return None, values.reset_index(drop=True), weights[at], sample_of[at]

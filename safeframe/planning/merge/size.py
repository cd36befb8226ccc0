"""Predicts the rows of a join from the keys of both sides.

Covers: result rows, rows without a partner, the heaviest keys; exact to the
row where both sides' statistics are exact, else with an interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import Codes, Counts, KeyStatistics
from safeframe.facts.merge import How, KeyFanout, MergeEstimate
from safeframe.kernels.keys.mixing import below_fraction
from safeframe.kernels.merge.virtual import result_counts
from safeframe.kernels.order import sorted_union


@dataclass(frozen=True, kw_only=True, slots=True)
class _Interval:
    """A figure and how far it may be off."""

    lower: float
    expected: float
    upper: float

    def estimate(self, exact_rows: int, *, at_most: int | None = None) -> Estimate:
        """Add what is known exactly."""
        bounds = [
            exact_rows + value for value in (int(self.lower), round(self.expected), math.ceil(self.upper))
        ]
        lower, expected, upper = bounds if at_most is None else [min(value, at_most) for value in bounds]
        return Estimate(lower=lower, expected=expected, upper=upper, method="sketch", exact=False)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Aligned:
    """Rows of the same keys on both sides."""

    codes: Codes
    left: Counts
    right: Counts

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Aligned:
        return _Aligned(codes=self.codes[chosen], left=self.left[chosen], right=self.right[chosen])


def estimate_join(
    left: KeyStatistics, right: KeyStatistics, how: How, *, row_nbytes: float, on: tuple[Any, ...]
) -> MergeEstimate:
    """Predict the rows of a join.

    Parameters
    ----------
    left, right
        Key statistics of both sides, of one schema.
    how
        Which rows stay.
    row_nbytes
        Bytes of one result row.
    on
        The key columns, as the left side calls them.

    Returns
    -------
    MergeEstimate
        Exact to the row when both sides' statistics are. The heaviest keys are
        those whose value is known.

    Notes
    -----
    Where keys were sampled, the keys whose rows are known on both sides (the
    heaviest) are added up exactly. The others are estimated from the keys
    whose hash is below the lower of both thresholds: the same keys on both
    sides, each with its exact rows, so that the sum of their products divided
    by the share ``p`` of the hashes is an unbiased estimate of the sum over
    all of them (D. Vengerov et al., "Join size estimation subject to filter
    conditions", VLDB 2015: correlated sampling; E. Cohen and H. Kaplan,
    "Summarizing data using bottom-k sketches", PODC 2007).

    The interval is Bernstein's for that sum: with ``x`` the result rows of a
    key, ``z = options.JOIN_SIZE_SIGMAS``, the variance estimate
    ``V = (1 - p) / p² · Σ x²`` over the sample, and ``b`` the product of the
    largest row counts among the sampled keys of either side, its half-width
    is ``z √V + z² b / (3 p)``. The second term stands for rare large keys that
    a sample may miss. The rows seen in the sample bound it from below.
    """
    null_matched = left.null_rows * right.null_rows
    null_left = 0 if right.null_rows else left.null_rows
    null_right = 0 if left.null_rows else right.null_rows
    aligned = _aligned(left, right)
    known = aligned.where(_known(aligned.codes, left, right))
    exact_inner = _dot(known.left, known.right) + null_matched
    exact_left = int(known.left[known.right == 0].sum()) + null_left
    exact_right = int(known.right[known.left == 0].sum()) + null_right
    if left.exact and right.exact:
        inner, left_only, right_only = map(Estimate.computed, (exact_inner, exact_left, exact_right))
    else:
        fraction = min(left.sample_fraction, right.sample_fraction)
        sampled = below_fraction(aligned.codes, fraction) & ~np.isin(
            aligned.codes, known.codes, assume_unique=True
        )
        light = aligned.where(sampled)
        inner = _inner(light, fraction).estimate(exact_inner)
        left_only = _unmatched(
            light.left, light.right, fraction, left.rows - left.null_rows - int(known.left.sum())
        ).estimate(exact_left, at_most=left.rows)
        right_only = _unmatched(
            light.right, light.left, fraction, right.rows - right.null_rows - int(known.right.sum())
        ).estimate(exact_right, at_most=right.rows)
    return MergeEstimate(
        how=how,
        on=tuple(on),
        rows=_rows(how, inner, left_only, right_only, left.rows, right.rows),
        row_nbytes=row_nbytes,
        left_rows=left.rows,
        right_rows=right.rows,
        left_unmatched_rows=left_only,
        right_unmatched_rows=right_only,
        heaviest=() if how == "cross" else _heaviest(known, how, left, right),
        keys=left.distinct.upper + right.distinct.upper + 2,
    )


def _rows(
    how: How, inner: Estimate, left_only: Estimate, right_only: Estimate, left_rows: int, right_rows: int
) -> Estimate:
    if how == "leftanti":
        return left_only
    if how == "leftsemi":
        return Estimate(
            lower=left_rows - left_only.upper,
            expected=left_rows - left_only.expected,
            upper=left_rows - left_only.lower,
            method=left_only.method,
            exact=left_only.exact,
        )
    parts = [inner]
    if how in ("left", "outer"):
        parts.append(left_only)
    if how in ("right", "outer"):
        parts.append(right_only)
    # Each row of a side that is kept comes at least once.
    kept = max(left_rows if how in ("left", "outer") else 0, right_rows if how in ("right", "outer") else 0)
    return Estimate(
        lower=max(kept, sum(part.lower for part in parts)),
        expected=max(kept, sum(part.expected for part in parts)),
        upper=max(kept, sum(part.upper for part in parts)),
        method=inner.method,
        exact=inner.exact,
    )


# Keys ------------------------------------------------------------------------


def _aligned(left: KeyStatistics, right: KeyStatistics) -> _Aligned:
    """Line up every key of which something is known."""
    sides = [_held(side) for side in (left, right)]
    codes = sorted_union(sides[0][0], sides[1][0])
    rows = []
    for held, counts in sides:
        full = np.zeros(len(codes), np.int64)
        full[np.searchsorted(codes, held)] = counts
        rows.append(full)
    return _Aligned(codes=codes, left=rows[0], right=rows[1])


def _held(side: KeyStatistics) -> tuple[Codes, Counts]:
    """Return the keys of the sample and the heaviest; a count of the sample is exact, and stands."""
    if side.exact:
        return side.codes, side.counts
    new = ~np.isin(side.heavy_codes, side.codes, assume_unique=True)
    codes = np.concatenate([side.codes, side.heavy_codes[new]])
    return codes, np.concatenate([side.counts, side.heavy_counts[new]])


def _known(codes: Codes, left: KeyStatistics, right: KeyStatistics) -> npt.NDArray[np.bool_]:
    """Return which keys' rows are known exactly on both sides, by more than the luck of the sample."""
    known = np.ones(len(codes), np.bool_)
    for side in (left, right):
        if not side.exact:
            known &= np.isin(codes, side.heavy_codes, assume_unique=True) & (side.heavy_error == 0)
    return known


def _dot(left: Counts, right: Counts) -> int:
    """Add up products without overflow."""
    if int(left.sum()) * int(right.max(initial=0)) < 2**63:
        return int(left @ right)
    return int((left.astype(object) * right).sum())


# Sample ----------------------------------------------------------------------


def _inner(light: _Aligned, fraction: float) -> _Interval:
    products = light.left.astype(np.float64) * light.right
    seen = float(products.sum())
    largest = float(light.left.max(initial=0)) * float(light.right.max(initial=0))
    margin = _margin(products, fraction, largest)
    expected = seen / fraction
    return _Interval(lower=max(seen, expected - margin), expected=expected, upper=expected + margin)


def _unmatched(own: Counts, other: Counts, fraction: float, rows: int) -> _Interval:
    """Estimate how many of ``rows`` have no partner, from their share in the sample (a ratio estimate)."""
    alone = other == 0
    seen = float(own[alone].sum())
    share = seen / max(1.0, float(own.sum()))
    margin = _margin(own * (alone - share), fraction, float(own.max(initial=0)))
    expected = share * rows
    return _Interval(
        lower=max(seen, expected - margin), expected=expected, upper=min(expected + margin, max(rows, 0))
    )


def _margin(deviations: npt.NDArray[np.float64], fraction: float, largest: float) -> float:
    """Return the half-width of Bernstein's interval; see :func:`estimate_join`."""
    z = options.JOIN_SIZE_SIGMAS
    variance = (1.0 - fraction) / fraction**2 * float(deviations @ deviations)
    return z * math.sqrt(variance) + z**2 * largest / (3.0 * fraction)


# Heaviest keys ---------------------------------------------------------------


def _heaviest(known: _Aligned, how: How, left: KeyStatistics, right: KeyStatistics) -> tuple[KeyFanout, ...]:
    output = result_counts(known.left.astype(np.float64), known.right.astype(np.float64), how)
    labels = left.labels | right.labels
    keys = [_fanout(None, left.null_rows, right.null_rows, how)]
    named = np.flatnonzero(np.isin(known.codes, np.fromiter(labels, np.uint64, len(labels))))
    top = named[np.argsort(-output[named], kind="stable")[: options.REPORTED_KEYS]]
    keys.extend(
        _fanout(labels[int(known.codes[at])], int(known.left[at]), int(known.right[at]), how)
        for at in top.tolist()
    )
    keys = sorted((key for key in keys if key.output_rows), key=lambda key: -key.output_rows)
    return tuple(keys[: options.REPORTED_KEYS])


def _fanout(key: Any, left_rows: int, right_rows: int, how: How) -> KeyFanout:
    # Python's integers: a product of the heaviest keys may be beyond 64 bits.
    output = int(result_counts(np.array([left_rows], object), np.array([right_rows], object), how)[0])
    return KeyFanout(key=key, left_rows=left_rows, right_rows=right_rows, output_rows=output)

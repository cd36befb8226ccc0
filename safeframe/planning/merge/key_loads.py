"""Rows per key on both sides of a join, lined up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Codes, Counts, KeySchema, KeyStatistics
from safeframe.facts.merge import How
from safeframe.kernels.keys.mixing import below_fraction
from safeframe.kernels.merge.virtual import result_counts
from safeframe.kernels.order import begins_run, sorted_union

Loads = npt.NDArray[np.float64]
"""Rows per key, as floats: a sampled key stands for others too."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyLoads:
    """Rows per key on both sides and in the result, in code order.

    Rows are floats: those of a sampled key are those of the keys it stands for.
    """

    codes: Codes
    """Known keys, ascending."""
    left: Loads
    right: Loads
    output: Loads
    weight: Loads
    """Keys that each key stands for, itself among them."""
    null_left: int
    """Left rows whose key is null."""
    null_right: int
    """Right rows whose key is null."""
    null_output: int
    """Result rows whose key is null."""
    several: npt.NDArray[np.bool_] | None = None
    """Which codes stand for all keys from there to the next code; None when each is one key."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the figures are of this very key, and of no others."""
        return np.equal(self.weight, 1.0)

    @property
    def exact(self) -> bool:
        """Whether no key is missing."""
        return bool(self.known.all())


def key_loads(left: KeyStatistics, right: KeyStatistics, how: How) -> KeyLoads:
    """Line up two sides' rows per key.

    Where both sides are exact, every key is there with its own figures.
    Otherwise the heaviest keys of either side are, and besides them the keys
    of the common sample, each with its rows times the keys that it stands for.
    """
    fraction = min(left.sample_fraction, right.sample_fraction)
    heavy = np.empty(0, np.uint64)
    # Counts with an error are those of keys too light to be counted once more.
    if not (left.exact and right.exact) and not (left.heavy_error or right.heavy_error):
        heavy = sorted_union(left.heavy_codes, right.heavy_codes)
    sampled = [side.codes[below_fraction(side.codes, fraction)] for side in (left, right)]
    codes = sorted_union(*sampled, heavy)
    known = np.isin(codes, heavy) | (fraction >= 1.0)
    weight = np.where(known, 1.0, 1.0 / fraction)
    left_rows, right_rows = (_rows_of(side, codes) for side in (left, right))
    output = result_counts(left_rows, right_rows, how) * weight
    return KeyLoads(
        codes=codes,
        left=left_rows * weight,
        right=right_rows * weight,
        output=output,
        weight=weight,
        null_left=left.null_rows,
        null_right=right.null_rows,
        null_output=int(
            result_counts(np.array([float(left.null_rows)]), np.array([float(right.null_rows)]), how)[0]
        ),
    )


def loads_in_order(loads: KeyLoads, schema: KeySchema) -> KeyLoads:
    """Join keys whose order among themselves their codes do not say: those between two of the schema's bounds."""
    if schema.injective or not schema.ordered or len(loads.codes) == 0:
        return loads
    ranks = loads.codes >> np.uint64(schema.hash_bits)
    firsts = np.flatnonzero(begins_run(ranks))
    return replace(
        loads,
        codes=ranks[firsts] << np.uint64(schema.hash_bits),
        left=np.add.reduceat(loads.left, firsts),
        right=np.add.reduceat(loads.right, firsts),
        output=np.add.reduceat(loads.output, firsts),
        weight=np.maximum.reduceat(loads.weight, firsts),
        several=ranks[firsts] % np.uint64(2) == 0,
    )


def _rows_of(side: KeyStatistics, codes: Codes) -> Loads:
    rows = _look_up(side.codes, side.counts, codes)
    return rows if side.exact else np.maximum(rows, _look_up(side.heavy_codes, side.heavy_counts, codes))


def _look_up(known: Codes, counts: Counts, codes: Codes) -> Loads:
    if len(known) == 0:
        return np.zeros(len(codes))
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, counts[at], 0).astype(np.float64)

"""What a shuffle by key has to know of the keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe.facts.keys import Codes, Counts, KeyStatistics

__all__ = ["ShuffleKeys"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShuffleKeys:
    """Rows per key, for the size of output partitions."""

    codes: Codes
    """All keys, or the heaviest where there are too many to count."""
    counts: Counts
    """Rows of each."""
    exact: bool
    """Whether these are all keys."""
    rows: int
    """Rows of the frame, those without a key among them."""
    null_rows: int
    """Rows without a key."""
    heaviest_key: str
    """The heaviest key as text; empty when its value is not known."""
    summary_nbytes: int
    """Bytes of a summary while keys were counted; 0 where that was done before."""

    @classmethod
    def of(cls, keys: KeyStatistics) -> ShuffleKeys:
        """Take from key statistics what a shuffle has to know."""
        codes, counts = (keys.codes, keys.counts) if keys.exact else (keys.heavy_codes, keys.heavy_counts)
        label = ""
        if len(counts):
            top = int(codes[int(np.argmax(counts))])
            label = repr(keys.labels[top]) if top in keys.labels else ""
        return cls(
            codes=codes,
            counts=counts,
            exact=keys.exact,
            rows=keys.rows,
            null_rows=keys.null_rows,
            heaviest_key=label,
            summary_nbytes=keys.nbytes if keys.exact else keys.nbytes_bound,
        )

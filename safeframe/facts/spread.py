"""Sizes of many partitions in few numbers, for what shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Counts
from safeframe.units import format_count, format_nbytes

_KEPT = 33
"""Sizes that are kept: the ends, the median, and steps of a thirty-second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How large the partitions of a frame are, from the smallest to the largest.

    A plan travels with its collection, so that it keeps a few sizes of however
    many partitions there are.

    Examples
    --------
    >>> sizes = Spread.of("left", np.array([30, 10, 20]))
    >>> sizes.partitions, sizes.nbytes
    (3, (10, 20, 30))
    >>> print(sizes)
    left: 3 partitions of 10 B to 30 B, half of them above 20 B
    """

    name: str
    """What the partitions are of, as in ``left``."""
    partitions: int
    """Number of partitions."""
    nbytes: tuple[int, ...]
    """Bytes of partitions, ascending: all of them, or 33 at even steps from the smallest to the largest."""
    measured: int | None = None
    """Partitions whose sizes these are, where those of the others cannot be known before they are made; None for all."""

    @classmethod
    def of(
        cls,
        name: str,
        nbytes: npt.NDArray[Any],
        times: Counts | None = None,
        *,
        partitions: int | None = None,
    ) -> Spread:
        """Return the spread of the partitions of these bytes.

        Parameters
        ----------
        name
            What the partitions are of.
        nbytes
            Bytes of each partition, in any order.
        times
            Partitions that have each of these sizes; None for one.
        partitions
            All partitions, where only some were measured; None for those that have these sizes.
        """
        order = np.argsort(nbytes, kind="stable")
        ends = np.cumsum(np.ones(len(order), np.int64) if times is None else times[order])
        n = int(ends[-1]) if len(ends) else 0
        places = np.linspace(0, n - 1, min(n, _KEPT)).round().astype(np.int64)
        kept = np.asarray(nbytes)[order][np.searchsorted(ends, places, side="right")]
        return cls(
            name=name,
            partitions=n if partitions is None else partitions,
            nbytes=tuple(int(size) for size in kept),
            measured=None if partitions in (None, n) else n,
        )

    @property
    def count(self) -> str:
        """The number of partitions in words, and how many of them these sizes are of.

        Examples
        --------
        >>> Spread.of("bag", np.array([10, 20]), partitions=100).count
        '100, 2 of them measured'
        """
        known = "" if self.measured is None else f", {format_count(self.measured)} of them measured"
        return f"{format_count(self.partitions)}{known}"

    @property
    def largest_nbytes(self) -> int:
        """Bytes of the largest partition."""
        return self.nbytes[-1] if self.nbytes else 0

    @property
    def smallest_nbytes(self) -> int:
        """Bytes of the smallest partition."""
        return self.nbytes[0] if self.nbytes else 0

    @property
    def median_nbytes(self) -> int:
        """Bytes of the partition in the middle."""
        return self.nbytes[len(self.nbytes) // 2] if self.nbytes else 0

    def __str__(self) -> str:
        noun = "partition" if self.partitions == 1 else "partitions"
        known = "" if self.measured is None else f", {format_count(self.measured)} of them measured,"
        return (
            f"{self.name}: {format_count(self.partitions)} {noun}{known} of {format_nbytes(self.smallest_nbytes)} to "
            f"{format_nbytes(self.largest_nbytes)}, half of them above {format_nbytes(self.median_nbytes)}"
        )

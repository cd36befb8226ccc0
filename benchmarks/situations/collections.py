"""The 2017 report's other two: an array cut into other chunks, and a bag grouped, both made in the workers.

Covers: seeded parts of either, at growing sizes; what all elements, or all items of
each key, add up to.
Does not cover: running anything on them (:mod:`benchmarks.engines_collections`), or
comparing what came out (:mod:`benchmarks.check_collections`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.situations.stamp import CLUSTER_ENGINES, stamped

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.situations.tables import Array

__all__ = ["COLLECTIONS", "CollectionDataset", "CollectionSituation", "CollectionTruth"]

_SEED = 2017
_ROW_CYCLE, _COLUMN_CYCLE = 101, 103
_ITEM_HIGH = 2**20
_INT_NBYTES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionSituation:
    """An array or a bag, and what is made of it.

    Examples
    --------
    >>> COLLECTIONS["o2_256"].nbytes, COLLECTIONS["o3_512"].nbytes
    (34359738368, 6442434560)
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    family: str
    """The table of results that it is shown in."""
    task: str
    """``rechunk``, from columns to rows, or ``group``, by the remainder of an int."""
    parts: int
    """Chunks of the array, or partitions of the bag, which has as many keys."""
    part_items: int
    """Elements of a chunk, or items of a partition."""
    scale: float = 1.0
    """Share of the full size."""

    writes = False
    """Nothing is written."""
    engines = CLUSTER_ENGINES
    """Those that run functions in workers."""

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one element, or of one item as a Python int in a list."""
        return 8 if self.task == "rechunk" else _INT_NBYTES

    @property
    def nbytes(self) -> int:
        """Bytes of it in memory."""
        return self.parts * self.part_items * self.output_row_nbytes

    @property
    def side(self) -> int:
        """Rows, and columns, of the array."""
        return self.parts**2

    def scaled(self, scale: float) -> CollectionSituation:
        """Shrink it: an array in all of its sides, a bag in the items of its partitions."""
        if self.task == "rechunk":
            parts = max(4, round(self.parts * scale**0.25))
            return replace(self, parts=parts, part_items=parts**3, scale=self.scale * scale)
        return replace(self, part_items=max(1, round(self.part_items * scale)), scale=self.scale * scale)

    def part(self, number: int) -> Array:
        """Make one chunk, or the items of one partition."""
        rng = np.random.default_rng((_SEED, number))
        if self.task == "rechunk":
            return rng.random((self.side, self.parts))
        return rng.integers(0, _ITEM_HIGH, self.part_items)

    def weighted(self, values: Array, row: int, column: int) -> float:
        """Return a sum that tells elements which are at another place than they should be."""
        rows = (row + np.arange(len(values))) % _ROW_CYCLE + 1.0
        columns = (column + np.arange(values.shape[1])) % _COLUMN_CYCLE + 1.0
        return float(rows @ (values @ columns))

    def materialise(self, directory: str | os.PathLike[str]) -> CollectionDataset:
        """Learn what is true of it; workers make the parts."""
        root, truth = stamped(self, directory, lambda root: asdict(self._truth()))
        return CollectionDataset(self, root, CollectionTruth(**truth))

    def _truth(self) -> CollectionTruth:
        if self.task == "rechunk":
            sums = [0.0, 0.0]
            for number in range(self.parts):
                chunk = self.part(number)
                sums[0] += float(chunk.sum())
                sums[1] += self.weighted(chunk, 0, number * self.parts)
            return CollectionTruth(rows=self.side**2, counts=[], sums=sums)
        counts, totals = np.zeros(self.parts, np.int64), np.zeros(self.parts, np.int64)
        for number in range(self.parts):
            items = self.part(number)
            keys = items % self.parts
            counts += np.bincount(keys, minlength=self.parts)
            totals += np.bincount(keys, items, minlength=self.parts).astype(np.int64)
        return CollectionTruth(rows=int(counts.sum()), counts=counts.tolist(), sums=totals.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionTruth:
    """What all elements, or all items, add up to."""

    rows: int
    """Elements or items."""
    counts: list[int]
    """Items of each key; empty of an array."""
    sums: Sequence[float]
    """Of an array the sum, and the weighted sum; of a bag the sum of each key's items."""


@dataclass(frozen=True, slots=True)
class CollectionDataset:
    """A situation, and what is true of it."""

    situation: CollectionSituation
    """What it is."""
    directory: Path
    """Where its stamp lies."""
    truth: CollectionTruth
    """What it adds up to."""

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started."""
        return self.situation.nbytes


def _array(s: int) -> CollectionSituation:
    title = f"float64, {s}² × {s}², made in the workers in chunks of {s} columns, cut into chunks of {s} rows, summed"
    return CollectionSituation(
        name=f"o2_{s}", title=title, family="o2", task="rechunk", parts=s, part_items=s**3
    )


def _bag(n: int) -> CollectionSituation:
    title = f"{n} partitions of 314 572 ints, made in the workers, grouped by x % {n}, every item looked at"
    return CollectionSituation(
        name=f"o3_{n}", title=title, family="o3", task="bag", parts=n, part_items=314_572
    )


COLLECTIONS: dict[str, CollectionSituation] = {
    situation.name: situation
    for situation in (*map(_array, (64, 112, 128, 160, 256)), *map(_bag, (8, 64, 512)))
}
"""All of them, by name."""

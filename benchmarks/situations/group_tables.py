"""Frames whose rows are grouped: columns of ids as db-benchmark makes them, and files that several questions share.

Covers: files of one frame, and how many of its keys occur.
Does not cover: what is asked of them (:mod:`benchmarks.situations.group_questions`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.situations.stamp import stamped
from benchmarks.situations.tables import Column, Table

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from benchmarks.situations.tables import Array

__all__ = ["BenchmarkTable", "DecimalColumn", "GroupTables", "IdColumn", "benchmark_tables"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdColumn(Column):
    """A column of ids with as many digits each.

    Examples
    --------
    >>> IdColumn(name="id1", kind="text", digits=3).stored(np.array([7, 100])).to_pylist()
    ['id007', 'id100']
    """

    digits: int
    """Of each."""

    def stored(self, numbers: Array) -> pa.Array:
        """See :meth:`Column.stored`."""
        digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=self.digits, padding="0")
        return pc.binary_join_element_wise("id", digits, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class DecimalColumn(Column):
    """A column of floats of six decimals."""

    def stored(self, numbers: Array) -> pa.Array:
        """See :meth:`Column.stored`."""
        return pa.array(np.round(numbers, 6))


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkTable(Table):
    """A table of which a column of ids has as many values as the key, at any scale."""

    like_key: str
    """The column."""

    def scaled(self, scale: float, *, keys: bool) -> BenchmarkTable:
        """See :meth:`Table.scaled`."""
        table = Table.scaled(self, scale, keys=keys)
        columns = tuple(
            replace(column, high=column.low + table.keys) if column.name == self.like_key else column
            for column in self.columns
        )
        return replace(self, rows_per_file=table.rows_per_file, keys=table.keys, columns=columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTables:
    """The files that one or more questions are asked of."""

    name: str
    """Directory, but for its scale."""
    table: Table
    """The frame."""
    key: str = "k"
    """The column that has the table's keys."""
    key_low: int = 0
    """The smallest of them."""
    keys_scale: bool = True
    """Whether a smaller frame has fewer keys, or fewer rows of each."""
    seed: int = 2026
    """First number of every file's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the key first."""
        return (self.key, *(column.name for column in self.table.columns))

    def scaled(self, scale: float) -> GroupTables:
        """Shrink the rows of each file."""
        return replace(self, table=self.table.scaled(scale, keys=self.keys_scale), scale=self.scale * scale)

    def materialise(self, directory: str | os.PathLike[str]) -> tuple[Path, int]:
        """Write the files below a directory, unless they are there already; return where, and how many keys occur."""
        root, truth = stamped(self, directory, lambda root: {"keys": self._write(root)})
        return root, int(truth["keys"])

    def _write(self, root: Path) -> int:
        (root / "frame").mkdir()
        seen = np.zeros(self.table.keys, dtype=bool)
        for number in range(self.table.files):
            keys, values = self.table.part(number, (self.seed, 0))
            seen[keys] = True
            stored = {self.key: keys + self.key_low, **self.table.stored(values)}
            pq.write_table(pa.table(stored), root / "frame" / f"part-{number:04d}.parquet")
        return int(seen.sum())


# db-benchmark's K: values of the small ids, and rows of each value of the large ones.
_K = 100


def benchmark_tables(name: str, files: int) -> GroupTables:
    """Return db-benchmark's G1 with K = 100 and no nulls, of 1 M rows a file."""
    large = files * 1_000_000 // _K
    return GroupTables(
        name=name,
        table=BenchmarkTable(
            files=files,
            rows_per_file=1_000_000,
            keys=large,
            columns=(
                *(IdColumn(name=name, kind="text", low=1, high=_K + 1, digits=3) for name in ("id1", "id2")),
                IdColumn(name="id3", kind="text", low=1, high=large + 1, digits=10),
                *(Column(name=name, kind="int64", low=1, high=_K + 1) for name in ("id4", "id5")),
                Column(name="v1", kind="int64", low=1, high=6),
                Column(name="v2", kind="int64", low=1, high=16),
                DecimalColumn(name="v3", kind="float64", low=0, high=100),
            ),
            like_key="id3",
        ),
        key="id6",
        key_low=1,
        seed=108,
    )

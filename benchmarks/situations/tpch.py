"""Joins of TPC-H's tables: decimals, dates and strings, one row group a file.

Covers: the tables, written by tpchgen-cli; the rows of their joins, from the rows per key of either side.
Does not cover: TPC-H's queries, or comparing what came out (:mod:`benchmarks.check_hashes`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.situations.joins import Truth
from benchmarks.situations.stamp import ALL_ENGINES, stamped

if TYPE_CHECKING:
    import os

__all__ = ["TPCH", "TpchDataset", "TpchSituation", "TpchTables", "find_generator"]

_ROW_GROUP = "1GB"  # of any size: a file is one row group
_LINE_NBYTES = 220


@dataclass(frozen=True, kw_only=True, slots=True)
class TpchTables:
    """TPC-H's tables at a size."""

    name: str = "tpch_sf3"
    """The directory of its files."""
    factor: float = 3.0
    """TPC-H's scale factor at full size."""
    parts: tuple[tuple[str, int], ...] = (("lineitem", 24), ("orders", 6), ("partsupp", 4))
    """Tables, and the files of each."""
    scale: float = 1.0
    """Share of the full size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TpchSituation:
    """A join of the lines of orders.

    Examples
    --------
    >>> TPCH["tpch_sf3_orders"].scaled(0.1).tables.scale
    0.1
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    right: str
    """The table that the lines are joined with."""
    left_on: tuple[str, ...]
    """Keys of the lines."""
    right_on: tuple[str, ...]
    """Keys of the other table, in the same order."""
    how: Literal["left", "inner"]
    """The join."""
    tables: TpchTables = TpchTables()
    """Where its tables are from."""
    left: str = "lineitem"
    """The table of lines."""
    task: Literal["tpch"] = "tpch"
    """The join is written."""
    family: str = "tpch"
    """The table of results that it is shown in."""
    nbytes: int | None = None
    """Bytes to which seconds are related: none."""
    writes: bool = True
    """The result is files."""
    engines: tuple[str, ...] = ALL_ENGINES
    """Those that can take part."""
    output_row_nbytes: int = _LINE_NBYTES
    """Bytes of one row of the result in memory, about."""

    @property
    def scale(self) -> float:
        """Share of the full size."""
        return self.tables.scale

    def scaled(self, scale: float) -> TpchSituation:
        """Shrink its tables, in as many files."""
        return replace(self, tables=replace(self.tables, scale=self.scale * scale))

    def materialise(self, directory: str | os.PathLike[str]) -> TpchDataset:
        """Write the tables below a directory, unless they are there already.

        Parameters
        ----------
        directory
            Where all situations' data lie; both joins have one directory in it.
        """
        root, truth = stamped(self.tables, directory, lambda root: _write(self.tables, root))
        rows = int(truth[self.name])
        return TpchDataset(self, root, Truth(rows=rows, matched_rows=rows, heaviest_rows=0, sums={}))


@dataclass(frozen=True, slots=True)
class TpchDataset:
    """A situation's tables on disk."""

    situation: TpchSituation
    """What they are."""
    directory: Path
    """Where they lie."""
    truth: Truth
    """The rows of their join."""

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started."""
        return self.truth.rows * self.situation.output_row_nbytes

    @property
    def left(self) -> Path:
        """Directory of the lines' files."""
        return self.directory / self.situation.left

    @property
    def right(self) -> Path:
        """Directory of the other table's files."""
        return self.directory / self.situation.right


def find_generator() -> str | None:
    """Find TPC-H's generator; None where it is not installed."""
    return shutil.which("tpchgen-cli") or shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent))


def _write(tables: TpchTables, root: Path) -> dict[str, Any]:
    generator = find_generator()
    if generator is None:
        msg = 'tpchgen-cli is not installed; it is in the "bench" extra.'
        raise FileNotFoundError(msg)
    for table, parts in tables.parts:
        # One table at a time on one thread: a row group is held whole.
        subprocess.run(
            [
                generator, "parquet", "--quiet", "--no-progress", "--num-threads=1",
                f"--scale-factor={tables.factor * tables.scale:g}", f"--tables={table}", f"--parts={parts}",
                f"--row-group-bytes={_ROW_GROUP}", f"--output-dir={root}",
            ],
            check=True,
        )  # fmt: skip
    return {situation.name: _count_rows(situation, root) for situation in TPCH.values()}


def _count_rows(situation: TpchSituation, root: Path) -> int:
    # Lines have one order and one supplier of their part, but for the smallest tables, whose suppliers repeat.
    # Not imported by workers, which make rows of other situations.
    from benchmarks.check_hashes import JoinedSides, count_rows

    return count_rows(
        JoinedSides(
            left=root / situation.left,
            right=root / situation.right,
            left_on=situation.left_on,
            right_on=situation.right_on,
            how=situation.how,
        )
    )


TPCH: dict[str, TpchSituation] = {
    situation.name: situation
    for situation in (
        TpchSituation(
            name="tpch_sf3_orders",
            title="TPC-H at scale factor 3: 18 M lines in 24 files join 4.5 M orders in 6, written as parquet",
            right="orders",
            left_on=("l_orderkey",),
            right_on=("o_orderkey",),
            how="inner",
        ),
        TpchSituation(
            name="tpch_sf3_partsupp",
            title="TPC-H at scale factor 3: 18 M lines left join partsupp on two keys, written as parquet",
            right="partsupp",
            left_on=("l_partkey", "l_suppkey"),
            right_on=("ps_partkey", "ps_suppkey"),
            how="left",
        ),
    )
}
"""Joins of TPC-H's tables, by name."""

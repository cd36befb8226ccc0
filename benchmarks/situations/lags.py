"""One frame whose rows get columns from rows before them, known before anything makes them.

Covers: the question's features, on its left table and on one with a group that is most
of it; what every key's rows add up to, with lags in the order of the files.
Does not cover: running anything on them (:mod:`benchmarks.engines_lags`), or comparing
what came out (:mod:`benchmarks.check_lags`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.situations.joins import QUESTION_LEFT
from benchmarks.situations.stamp import ALL_ENGINES, stamped

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from benchmarks.situations.tables import Array, Table

__all__ = ["LAGS", "LagDataset", "LagSituation", "LagTruth"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LagSituation:
    """A frame and the lags that are made of it.

    Examples
    --------
    >>> LAGS["q2"].table.rows, LAGS["q2"].made
    (100000000, ('log_0', 'log_1', 'log_2', 'log_3'))
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    family: str
    """The table of results that it is shown in."""
    table: Table
    """The frame."""
    key: str = "col1"
    """The column that makes a group."""
    value: str = "col3"
    """The column that is shifted, of which the logarithm is taken."""
    lags: tuple[int, ...] = (0, 1, 2, 3)
    """By how many rows."""
    key_low: int = 90_000
    """The smallest key."""
    task: str = "lag"
    """What is done."""
    seed: int = 2017
    """First number of every part's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def made(self) -> tuple[str, ...]:
        """Names of the new columns."""
        return tuple(f"log_{lag}" for lag in self.lags)

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one result row in memory; every column is eight bytes wide."""
        return 8 * (1 + len(self.table.columns) + len(self.lags))

    @property
    def nbytes(self) -> int:
        """Bytes of the frame in memory, before columns are added."""
        return self.table.rows * 8 * (1 + len(self.table.columns))

    @property
    def engines(self) -> tuple[str, ...]:
        """Those that can take part."""
        return ALL_ENGINES

    @property
    def writes(self) -> bool:
        """Whether the result is files."""
        return True

    def scaled(self, scale: float) -> LagSituation:
        """Shrink rows and keys by the same share, so that rows of a key stay."""
        return replace(self, table=self.table.scaled(scale, keys=True), scale=self.scale * scale)

    def part(self, number: int) -> dict[str, Array]:
        """Make one part: its columns, the key first."""
        keys, columns = self.table.part(number, (self.seed, 0))
        return {self.key: keys + self.key_low, **columns}

    def materialise(self, directory: str | os.PathLike[str]) -> LagDataset:
        """Write the files below a directory, and what is true of them, unless they are there already."""
        root, truth = stamped(self, directory, lambda root: asdict(_made(self, root)))
        return LagDataset(self, root, LagTruth(**truth))


@dataclass(frozen=True, kw_only=True, slots=True)
class LagTruth:
    """What is true of a result as a whole; what is true of each key is in a file."""

    rows: int
    """Its rows."""
    largest_group_rows: int
    """Rows of its largest group."""


@dataclass(frozen=True, slots=True)
class LagDataset:
    """A situation's data, on disk."""

    situation: LagSituation
    """What they are."""
    directory: Path
    """Where they lie."""
    truth: LagTruth
    """What is true of the result."""

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started: what is spilled and what is written."""
        return self.situation.nbytes + self.truth.rows * self.situation.output_row_nbytes

    @property
    def files(self) -> Path:
        """Directory of the frame's files."""
        return self.directory / "frame"

    @property
    def expected(self) -> Path:
        """File of what every key's rows add up to."""
        return self.directory / "expected.parquet"


def _made(situation: LagSituation, root: Path) -> LagTruth:
    """Write the files, and follow pandas' own shifts from one to the next."""
    (root / "frame").mkdir()
    key, value = situation.key, situation.value
    totals: pd.DataFrame | None = None
    carried: pd.DataFrame | None = None
    for number in range(situation.table.files):
        part = pd.DataFrame(situation.part(number))
        pq.write_table(pa.table(dict(part.items())), root / "frame" / f"part-{number:04d}.parquet")
        rows = part if carried is None else pd.concat([carried, part], ignore_index=True)
        groups = rows.groupby(key, sort=False)
        for lag, name in zip(situation.lags, situation.made, strict=True):
            rows[name] = np.log(groups[value].shift(lag))
        carried = rows[rows.index.isin(groups.tail(max(situation.lags)).index)][[*part.columns]]
        found = _added(rows.iloc[len(rows) - len(part) :], situation)
        totals = found if totals is None else totals.add(found, fill_value=0.0)
    assert totals is not None
    pq.write_table(pa.Table.from_pandas(totals.reset_index()), root / "expected.parquet")
    return LagTruth(rows=situation.table.rows, largest_group_rows=int(totals["n"].max()))


def _added(rows: pd.DataFrame, situation: LagSituation) -> pd.DataFrame:
    """Add up each key's rows: columns, new columns, their values that are there, and their products with a column."""
    columns = [column.name for column in situation.table.columns]
    figures: dict[str, Any] = {
        f"s_{name}": rows[name].astype("float64") for name in (*columns, *situation.made)
    }
    figures |= {f"n_{name}": rows[name].notna().astype("int64") for name in situation.made}
    figures |= {f"p_{name}": rows[name] * rows[columns[0]] for name in situation.made}
    figures["n"] = pd.Series(1, index=rows.index)
    return pd.DataFrame(figures).groupby(rows[situation.key]).sum()


_HEAVY = replace(
    QUESTION_LEFT, rows_per_file=QUESTION_LEFT.rows_per_file * 7 // 10, keys=10_001, hot_fraction=6 / 7
)

LAGS: dict[str, LagSituation] = {
    situation.name: situation
    for situation in (
        LagSituation(
            name="q2",
            title="100 M rows in 100 parquet files, log of a column 0 to 3 rows before within 10 000 keys, written",
            family="q2",
            table=QUESTION_LEFT,
        ),
        LagSituation(
            name="q2_heavy",
            title="70 M rows in 100 parquet files, the same columns, one key has 60 M rows and 10 000 have 1000",
            family="q2_heavy",
            table=_HEAVY,
        ),
    )
}
"""Every such frame, by name."""

"""One frame that is to be ordered by a column, known before anything orders it.

Covers: the frame shuffle of the 2017 report, made in the workers, at growing sizes;
the same frame as parquet files; the question's left table, to be indexed and
balanced. What the ordered rows add up to.
Does not cover: running anything on them (:mod:`benchmarks.engines_frames`), or
comparing what came out (:mod:`benchmarks.check_order`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.situations.joins import QUESTION_LEFT
from benchmarks.situations.stamp import ALL_ENGINES, CLUSTER_ENGINES, stamped
from benchmarks.situations.tables import Column, Table
from benchmarks.totals import Totals

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.situations.tables import Array

__all__ = ["FRAMES", "FrameDataset", "FrameSituation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSituation:
    """A frame and the order that it gets.

    Examples
    --------
    >>> FRAMES["o1_512"].nbytes, FRAMES["o1_512"].scaled(0.01).table.rows_per_file
    (6451200000, 1575)
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    family: str
    """The table of results that it is shown in."""
    table: Table
    """The frame; a part of it is one partition, or one file."""
    key: str
    """The column that it is ordered by."""
    task: Literal["order", "sort", "rebalance"]
    """Whether every ordered row is looked at in memory, or they are written; or
    written and balanced."""
    key_low: int = 0
    """The smallest key."""
    seed: int = 2017
    """First number of every part's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def output_columns(self) -> tuple[str, ...]:
        """Columns of the result, the key first."""
        return (self.key, *(column.name for column in self.table.columns))

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one row in memory; every column is eight bytes wide."""
        return 8 * len(self.output_columns)

    @property
    def nbytes(self) -> int:
        """Bytes of the frame in memory."""
        return self.table.rows * self.output_row_nbytes

    @property
    def writes(self) -> bool:
        """Whether frame and result are files."""
        return self.task != "order"

    @property
    def engines(self) -> tuple[str, ...]:
        """Those that can take part: without files only those that run functions in workers."""
        return ALL_ENGINES if self.writes else CLUSTER_ENGINES

    def scaled(self, scale: float) -> FrameSituation:
        """Shrink it without changing its shape: fewer rows in as many parts, of the same keys."""
        return replace(self, table=self.table.scaled(scale, keys=False), scale=self.scale * scale)

    def part(self, number: int) -> dict[str, Array]:
        """Make one part: its columns, the key first."""
        keys, columns = self.table.part(number, (self.seed, 0))
        return {self.key: keys + self.key_low, **columns}

    def frame(self, number: int) -> pd.DataFrame:
        """Make one part as a frame; what runs in a worker."""
        return pd.DataFrame(self.part(number))

    def materialise(self, directory: str | os.PathLike[str]) -> FrameDataset:
        """Write the files below a directory, and what is true of them, unless they are there already.

        Parameters
        ----------
        directory
            Where all situations' data lie; each has a directory of its own in it.
        """
        root, truth = stamped(self, directory, lambda root: asdict(reduce(add, _parts(self, root))))
        return FrameDataset(self, root, Totals(**truth))


@dataclass(frozen=True, slots=True)
class FrameDataset:
    """A situation's data, on disk or to be made."""

    situation: FrameSituation
    """What they are."""
    directory: Path
    """Where they lie."""
    truth: Totals
    """What all rows add up to."""

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started: what is spilled and what is written."""
        return self.truth.rows * self.situation.output_row_nbytes * (2 if self.situation.writes else 1)

    @property
    def files(self) -> Path:
        """Directory of the frame's files; there is none when workers make the frame."""
        return self.directory / "frame"


def _parts(situation: FrameSituation, root: Path) -> Iterator[Totals]:
    files = root / "frame"
    if situation.writes:
        files.mkdir()
    for number in range(situation.table.files):
        columns = situation.part(number)
        if situation.writes:
            stored = {situation.key: columns[situation.key], **situation.table.stored(columns)}
            pq.write_table(pa.table(stored), files / f"part-{number:04d}.parquet")
        yield Totals.of(columns, situation.key)


_REPORT_FRAME = Table(
    files=512,
    rows_per_file=157_500,
    keys=2**20,
    columns=tuple(Column(name=f"c{i}", kind="int64", high=2**20) for i in range(1, 10)),
)

FRAMES: dict[str, FrameSituation] = {
    situation.name: situation
    for situation in (
        *(
            FrameSituation(
                name=f"o1_{n}",
                title=f"{n} partitions of 157 500 rows × 10 int64, made in the workers, "
                f"ordered by one column into {n}",
                family="o1",
                table=replace(_REPORT_FRAME, files=n),
                key="c0",
                task="order",
            )
            for n in (64, 128, 256, 512, 2048)
        ),
        FrameSituation(
            name="sort_parquet",
            title="512 parquet files, 157 500 rows × 10 int64 each, ordered by one column into parquet files",
            family="sort_parquet",
            table=_REPORT_FRAME,
            key="c0",
            task="sort",
        ),
        FrameSituation(
            name="q1",
            title="100 M rows in 100 parquet files, indexed by a column of 10 000 keys, balanced, written",
            family="q1",
            table=QUESTION_LEFT,
            key="col1",
            key_low=90_000,
            task="rebalance",
        ),
    )
}
"""Every frame, by name."""

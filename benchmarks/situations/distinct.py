"""One frame of which a part of the keys repeats, known before anything drops rows.

Covers: identifiers of 16 characters of which a tenth is there twice, often in another file,
and columns that tell the two rows apart; how many are distinct, and what the rows that came first
add up to.
Does not cover: running anything on them (:mod:`benchmarks.engines_distinct`), or comparing
what came out (:mod:`benchmarks.check_distinct`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.situations.stamp import ALL_ENGINES, stamped

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["DISTINCT", "DistinctDataset", "DistinctSituation", "DistinctTruth"]

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctSituation:
    """A frame whose rows of repeated keys are dropped.

    Examples
    --------
    >>> DISTINCT["g3"].rows, DISTINCT["g3"].scaled(0.01).rows
    (50000000, 500000)
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    family: str
    """The table of results that it is shown in."""
    files: int = 50
    """Parquet files."""
    rows_per_file: int = 1_000_000
    """Rows of each."""
    repeated: float = 0.1
    """Share of the rows whose key was there before."""
    payload: int = 8
    """Columns of 64 bits besides the key."""
    task: str = "drop_duplicates"
    """What is done."""
    seed: int = 2017
    """First number of every part's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return self.files * self.rows_per_file

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns besides the key."""
        return tuple(f"c{number}" for number in range(self.payload))

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one row in memory: a key of 16 characters and its offset, and the columns."""
        return 24 + 8 * self.payload

    @property
    def nbytes(self) -> int:
        """Bytes of the frame in memory."""
        return self.rows * self.output_row_nbytes

    @property
    def engines(self) -> tuple[str, ...]:
        """Those that can take part."""
        return ALL_ENGINES

    @property
    def writes(self) -> bool:
        """Whether the result is files."""
        return True

    def scaled(self, scale: float) -> DistinctSituation:
        """Shrink it without changing its shape: fewer rows in as many files."""
        rows = max(10, round(self.rows_per_file * scale))
        return replace(self, rows_per_file=rows, scale=self.scale * scale)

    def numbers(self, number: int) -> npt.NDArray[np.int64]:
        """Return the number of each row's key: its own row's, or that of one before it, in any file."""
        rng = np.random.default_rng((self.seed, number))
        own = np.arange(number * self.rows_per_file, (number + 1) * self.rows_per_file)
        again = np.flatnonzero((rng.random(self.rows_per_file) < self.repeated) & (own > 0))
        # The earlier row may repeat one itself, whose key is then there three times.
        own[again] = (rng.random(len(again)) * own[again]).astype(np.int64)
        return own

    def part(self, number: int) -> pa.Table:
        """Make one file's rows."""
        rng = np.random.default_rng((self.seed, number, 1))
        columns = {name: rng.integers(0, 2**40, self.rows_per_file) for name in self.columns[1:]}
        rows = np.arange(number * self.rows_per_file, (number + 1) * self.rows_per_file)
        return pa.table({"id": _words(self.numbers(number)), "c0": rows, **columns})

    def materialise(self, directory: str | os.PathLike[str]) -> DistinctDataset:
        """Write the files below a directory, and what is true of them, unless they are there already."""
        # Tasks of one family have the same frame.
        data = replace(self, name=self.family, title="", task="drop_duplicates")
        root, truth = stamped(data, directory, lambda root: asdict(_made(data, root)))
        return DistinctDataset(self, root, DistinctTruth(**truth))


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctTruth:
    """What is true of the rows that came first."""

    rows: int
    """How many there are, which is the number of distinct keys."""
    first_rows: int
    """The sum of their numbers in the frame."""
    most: int
    """Rows of the key that has most."""


@dataclass(frozen=True, slots=True)
class DistinctDataset:
    """A situation's data, on disk."""

    situation: DistinctSituation
    """What they are."""
    directory: Path
    """Where they lie."""
    truth: DistinctTruth
    """What is true of the result."""

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started: what is spilled and what is written."""
        return 2 * self.situation.nbytes

    @property
    def files(self) -> Path:
        """Directory of the frame's files."""
        return self.directory / "frame"


def _made(situation: DistinctSituation, root: Path) -> DistinctTruth:
    (root / "frame").mkdir()
    seen = np.zeros(situation.rows, np.bool_)
    times = np.zeros(situation.rows, np.int32)
    rows = total = 0
    for number in range(situation.files):
        keys = situation.numbers(number)
        _, places = np.unique(keys, return_index=True)
        first = places[~seen[keys[places]]]
        seen[keys] = True
        np.add.at(times, keys, 1)
        rows += len(first)
        total += int((first + number * situation.rows_per_file).sum())
        pq.write_table(situation.part(number), root / "frame" / f"part-{number:04d}.parquet")
    return DistinctTruth(rows=rows, first_rows=total, most=int(times.max()))


def _words(numbers: npt.NDArray[np.int64]) -> pa.Array:
    """Return each number as 16 characters that look like those of any other."""
    words = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # odd: no two become one
    digits = words[:, None] >> (np.uint64(4) * np.arange(16, dtype=np.uint64))
    text = _HEX[(digits & np.uint64(15)).astype(np.intp)]
    offsets = np.arange(0, 16 * (len(numbers) + 1), 16, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


DISTINCT: dict[str, DistinctSituation] = {
    situation.name: situation
    for situation in (
        DistinctSituation(
            name="g3",
            title="50 M rows in 50 parquet files, identifiers of 16 characters of which a tenth repeats and 8 columns: "
            "their number, and the rows that come first, written",
            family="g3",
        ),
        DistinctSituation(
            name="g3_counts",
            title="50 M rows in 50 parquet files: how often each identifier of 16 characters occurs, the most frequent first, written",
            family="g3",
            task="value_counts",
        ),
    )
}
"""Every such frame, by name."""

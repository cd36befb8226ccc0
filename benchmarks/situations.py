"""Named situations: tables on disk whose join is known before anything joins them.

Covers: seeded tables as parquet files (one generator per file, so that runs compare
and files can be made in any order), the same shapes at any scale, the figures that
the join of them must give.
Does not cover: running anything on them (:mod:`benchmarks.engines`), or comparing
what came out (:mod:`benchmarks.check`).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SITUATIONS", "Column", "Dataset", "Situation", "Table", "Truth"]

_STAMP = "stamp.json"
_STAMP_FORMAT = 1
# Coprime with any sensible number of keys, so that multiples of it visit every key once.
_KEY_STRIDE = 7_368_787


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of uniform random values."""

    name: str
    """Its name."""
    kind: Literal["int64", "float64"]
    """Its type."""
    low: int = 0
    """Smallest value."""
    high: int = 10_000
    """No value reaches this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One side of a join: files of equal rows."""

    files: int
    """Parquet files."""
    rows_per_file: int
    """Rows in each."""
    keys: int
    """Distinct keys it draws from, upwards of the situation's lowest."""
    columns: tuple[Column, ...]
    """Columns besides the key."""
    unique: bool = False
    """Whether each key comes once, instead of at random."""
    hot_fraction: float = 0.0
    """Share of each file's rows that have one and the same key."""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.files * self.rows_per_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """Two tables and what is asked of them.

    Examples
    --------
    >>> SITUATIONS["q3"].left.rows, SITUATIONS["q3"].scaled(0.001).left.rows
    (10000000, 10000)
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    left: Table
    """The left side."""
    right: Table
    """The right side."""
    on: str
    """The key's name on both sides."""
    key_low: int = 0
    """The smallest key."""
    how: Literal["left", "inner"] = "left"
    """The join."""
    task: Literal["merge", "estimate"] = "merge"
    """Whether the join is written, or its rows are only foretold."""
    seed: int = 2017
    """First number of every file's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def output_columns(self) -> tuple[str, ...]:
        """Columns of the result, in order."""
        return (self.on, *(c.name for c in self.left.columns), *(c.name for c in self.right.columns))

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one row of the result in memory; every column is eight bytes wide."""
        return 8 * len(self.output_columns)

    def scaled(self, scale: float) -> Situation:
        """Shrink it without changing its shape.

        Rows and keys shrink alike, so that rows per key, fan-out and skew stay,
        and the output shrinks by the same factor.
        """
        return replace(
            self,
            left=_scaled_table(self.left, scale),
            right=_scaled_table(self.right, scale),
            scale=self.scale * scale,
        )

    def materialise(self, directory: str | os.PathLike[str]) -> Dataset:
        """Write the tables below a directory, unless they are there already.

        Parameters
        ----------
        directory
            Where all situations' data lie; each has a directory of its own in it.
        """
        root = Path(directory) / f"{self.name}-{self.scale:g}"
        wanted = {"format": _STAMP_FORMAT, "situation": json.loads(json.dumps(asdict(self)))}
        stamp = root / _STAMP
        if stamp.exists():
            found = json.loads(stamp.read_text())
            truth = found.pop("truth")
            if found == wanted:
                return Dataset(self, root, Truth(**truth))
        shutil.rmtree(root, ignore_errors=True)
        truth = _write(self, root)
        # The stamp comes last and at once, so that what an interrupted run left is made anew.
        fresh = stamp.with_suffix(".tmp")
        fresh.write_text(json.dumps({**wanted, "truth": asdict(truth)}, indent=1))
        fresh.replace(stamp)
        return Dataset(self, root, truth)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What the join must give, from the inputs alone."""

    rows: int
    """Rows of the result: the sum over keys of left rows times right rows."""
    matched_rows: int
    """Those of them that have a right side."""
    heaviest_key: int
    """The key with the most rows in the result."""
    heaviest_rows: int
    """How many those are."""
    sums: dict[str, float]
    """Per column of the result, the sum of its values."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A situation's tables on disk."""

    situation: Situation
    """What they are."""
    directory: Path
    """Where they lie."""
    truth: Truth
    """What their join gives."""

    @property
    def left(self) -> Path:
        """Directory of the left side's files."""
        return self.directory / "left"

    @property
    def right(self) -> Path:
        """Directory of the right side's files."""
        return self.directory / "right"


def _scaled_table(table: Table, scale: float) -> Table:
    return replace(
        table,
        rows_per_file=max(1, round(table.rows_per_file * scale)),
        keys=max(1, round(table.keys * scale)),
    )


def _write(situation: Situation, root: Path) -> Truth:
    n_keys = max(situation.left.keys, situation.right.keys)
    totals = []
    for side, table in enumerate((situation.left, situation.right)):
        directory = root / ("left", "right")[side]
        directory.mkdir(parents=True)
        count = np.zeros(n_keys, dtype="int64")
        sums = {column.name: np.zeros(n_keys) for column in table.columns}
        for number, (keys, values) in enumerate(_files(situation, side, table)):
            count += np.bincount(keys, minlength=n_keys)
            for name, total in sums.items():
                total += np.bincount(keys, weights=values[name], minlength=n_keys)
            frame = pa.table({situation.on: keys + situation.key_low, **values})
            pq.write_table(frame, directory / f"part-{number:04d}.parquet")
        totals.append((count, sums))
    return _truth(situation, totals)


def _files(
    situation: Situation, side: int, table: Table
) -> Iterator[tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]]:
    n = table.rows_per_file
    for number in range(table.files):
        rng = np.random.default_rng([situation.seed, side, number])
        if table.unique:
            keys = (np.arange(number * n, (number + 1) * n, dtype="int64") * _KEY_STRIDE) % table.keys
        else:
            keys = rng.integers(0, table.keys, n, dtype="int64")
        if table.hot_fraction:
            keys[: round(n * table.hot_fraction)] = table.keys // 2
            keys = rng.permutation(keys)
        yield keys, {column.name: _values(rng, column, n) for column in table.columns}


def _values(rng: np.random.Generator, column: Column, n: int) -> np.ndarray[Any, Any]:
    if column.kind == "int64":
        return rng.integers(column.low, column.high, n, dtype="int64")
    return rng.uniform(column.low, column.high, n)


def _truth(situation: Situation, totals: list[tuple[Any, dict[str, Any]]]) -> Truth:
    (left, left_sums), (right, right_sums) = totals
    repeats = np.maximum(right, 1) if situation.how == "left" else right
    rows = left * repeats
    keys = np.arange(len(rows), dtype="int64") + situation.key_low
    heaviest = int(rows.argmax())
    return Truth(
        rows=int(rows.sum()),
        matched_rows=int((left * right).sum()),
        heaviest_key=int(keys[heaviest]),
        heaviest_rows=int(rows[heaviest]),
        sums={
            situation.on: float((keys * rows).sum()),
            **{name: float((total * repeats).sum()) for name, total in left_sums.items()},
            **{name: float((total * left).sum()) for name, total in right_sums.items()},
        },
    )


_Q_LEFT = Table(
    files=100,
    rows_per_file=1_000_000,
    keys=10_000,
    columns=(
        Column(name="col2", kind="int64", low=101, high=20_000),
        Column(name="col3", kind="float64"),
    ),
)
_Q_RIGHT = Table(
    files=10, rows_per_file=1_000_000, keys=10_000, columns=(Column(name="col4", kind="float64"),)
)
_Q3 = Situation(
    name="q3",
    title="10 M rows left join 100 k rows, each key ten times on the right, written as parquet",
    left=replace(_Q_LEFT, files=10),
    right=replace(_Q_RIGHT, files=4, rows_per_file=25_000),
    on="col1",
    key_low=90_000,
)

SITUATIONS: dict[str, Situation] = {
    situation.name: situation
    for situation in (
        Situation(
            name="q0",
            title="rows of the whole question foretold: 100 M rows left join 10 M rows",
            left=_Q_LEFT,
            right=_Q_RIGHT,
            on="col1",
            key_low=90_000,
            task="estimate",
        ),
        _Q3,
        replace(
            _Q3,
            name="q3_hot",
            title="as q3, and one key has half of all left rows",
            left=replace(_Q3.left, hot_fraction=0.5),
        ),
        Situation(
            name="b1",
            title="100 M rows left join 10 M unique keys, nine tenths match, written as parquet",
            left=Table(
                files=100,
                rows_per_file=1_000_000,
                keys=11_111_111,
                columns=(Column(name="a", kind="int64"), Column(name="b", kind="float64")),
            ),
            right=Table(
                files=10,
                rows_per_file=1_000_000,
                keys=10_000_000,
                columns=(Column(name="r1", kind="int64"), Column(name="r2", kind="float64")),
                unique=True,
            ),
            on="k",
        ),
    )
}
"""Every situation, by name."""

"""Joins of two tables on disk, known before anything joins them.

Covers: both tables as parquet files, the same shapes at any scale, the figures that
the join of them must give.
Does not cover: running anything on them (:mod:`benchmarks.engines_joins`), or
comparing what came out (:mod:`benchmarks.check`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.situations.keys import CompositeKey, Key, NumberKey
from benchmarks.situations.stamp import ALL_ENGINES, TRIAL_ENGINES, stamped
from benchmarks.situations.tables import Column, Table

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["JOINS", "QUESTION_LEFT", "Dataset", "Situation", "Truth"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """Two tables and what is made of them.

    Examples
    --------
    >>> JOINS["q3"].left.rows, JOINS["q3"].scaled(0.001).left.rows
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
    key: Key
    """The key, the same on both sides."""
    how: Literal["left", "inner", "outer"] = "left"
    """The join."""
    task: Literal["merge", "estimate", "group", "question", "script"] = "merge"
    """Whether the join is written, its rows are only predicted, or a column of it is averaged by key;
    or it is written after both sides were put in order, and the left one got its features, by a recipe or by
    a function of the author's."""
    trial: bool = False
    """Whether it is also done by hand in pyarrow, without a library for joins."""
    disk_row_nbytes: float | None = None
    """Bytes of disk that a row of the result may take; None for all that it has in memory."""
    seed: int = 2017
    """First number of every file's seed."""
    scale: float = 1.0
    """Share of the full size."""

    @property
    def output_columns(self) -> tuple[str, ...]:
        """Columns of the result, in order."""
        return (
            *self.key.columns,
            *(c.name for c in self.left.columns),
            *(c.name for c in self.right.columns),
        )

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one row of the result in memory, about; but for strings, every column is eight bytes wide."""
        return 8 * len(self.output_columns)

    @property
    def family(self) -> str:
        """The table of results that it is shown in."""
        return self.name

    @property
    def nbytes(self) -> int | None:
        """Bytes to which seconds are related; a join's cost is in its output, so none."""
        return None

    @property
    def writes(self) -> bool:
        """Whether the result is files."""
        return self.task in ("merge", "question", "script")

    @property
    def engines(self) -> tuple[str, ...]:
        """Those that can take part."""
        return (*ALL_ENGINES, *TRIAL_ENGINES) if self.trial else ALL_ENGINES

    def scaled(self, scale: float) -> Situation:
        """Shrink it without changing its shape.

        Rows and keys shrink by the same share, so that rows per key, fan-out and skew stay,
        and the output shrinks by the same factor.
        """
        return replace(
            self,
            left=self.left.scaled(scale, keys=True),
            right=self.right.scaled(scale, keys=True),
            scale=self.scale * scale,
        )

    def materialise(self, directory: str | os.PathLike[str]) -> Dataset:
        """Write the tables below a directory, unless they are there already.

        Parameters
        ----------
        directory
            Where all situations' data lie; each has a directory of its own in it.
        """
        root, truth = stamped(self, directory, lambda root: asdict(_write(self, root)))
        return Dataset(self, root, Truth(**truth))


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What the join must give, from the inputs alone."""

    rows: int
    """Rows of the result: the sum over keys of left rows times right rows."""
    matched_rows: int
    """Those of them that have a right side."""
    heaviest_rows: int
    """Those of the key that has the most."""
    sums: dict[str, float]
    """Per column of the result that is no key, the sum of its values."""


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
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started."""
        row_nbytes = self.situation.disk_row_nbytes or self.situation.output_row_nbytes
        return int(self.truth.rows * row_nbytes) if self.situation.writes else 0

    @property
    def left(self) -> Path:
        """Directory of the left side's files."""
        return self.directory / "left"

    @property
    def right(self) -> Path:
        """Directory of the right side's files."""
        return self.directory / "right"


def _write(situation: Situation, root: Path) -> Truth:
    # A tenth more: a shifted table's keys begin later.
    n_keys = -(-max(situation.left.keys, situation.right.keys) * 11 // 10)
    totals = []
    for side, table in enumerate((situation.left, situation.right)):
        directory = root / ("left", "right")[side]
        directory.mkdir(parents=True)
        count = np.zeros(n_keys, dtype="int64")
        sums = {column.name: np.zeros(n_keys) for column in table.columns}
        for number in range(table.files):
            keys, values = table.part(number, (situation.seed, side))
            count += np.bincount(keys, minlength=n_keys)
            for name, total in sums.items():
                total += np.bincount(keys, weights=values[name], minlength=n_keys)
            frame = pa.table({**situation.key.values(keys), **table.stored(values)})
            pq.write_table(frame, directory / f"part-{number:04d}.parquet")
        totals.append((count, sums))
    return _truth(situation, totals)


def _truth(situation: Situation, totals: list[tuple[Any, dict[str, Any]]]) -> Truth:
    (left, left_sums), (right, right_sums) = totals
    repeats = right if situation.how == "inner" else np.maximum(right, 1)
    others = np.maximum(left, 1) if situation.how == "outer" else left
    # A key on neither side has no row.
    rows = others * repeats * ((left > 0) | (right > 0))
    return Truth(
        rows=int(rows.sum()),
        matched_rows=int((left * right).sum()),
        heaviest_rows=int(rows.max()),
        sums={
            **{name: float((total * repeats).sum()) for name, total in left_sums.items()},
            **{name: float((total * others).sum()) for name, total in right_sums.items()},
        },
    )


QUESTION_LEFT = Table(
    files=100,
    rows_per_file=1_000_000,
    keys=10_000,
    columns=(
        Column(name="col2", kind="int64", low=101, high=20_000),
        Column(name="col3", kind="float64"),
    ),
)
"""The left table of the question: 100 M rows."""
_Q_RIGHT = Table(
    files=10, rows_per_file=1_000_000, keys=10_000, columns=(Column(name="col4", kind="float64"),)
)
_QUESTION_KEY = NumberKey(name="col1", low=90_000)
_Q4 = Situation(
    name="q4",
    title="the whole question: 100 M rows with four features left join 10 M rows, 10¹¹ rows as parquet",
    left=replace(
        QUESTION_LEFT,
        columns=(*QUESTION_LEFT.columns, *(Column(name=f"lag_{lag}", kind="float64") for lag in range(4))),
    ),
    right=_Q_RIGHT,
    key=_QUESTION_KEY,
    trial=True,
    disk_row_nbytes=0.2,
)
_Q3 = Situation(
    name="q3",
    title="10 M rows left join 100 k rows, each key ten times on the right, written as parquet",
    left=replace(QUESTION_LEFT, files=10),
    right=replace(_Q_RIGHT, files=4, rows_per_file=25_000),
    key=_QUESTION_KEY,
)

_Q4_MEAN = replace(
    _Q4,
    name="q4_mean",
    title="the mean of the right column by key, of the whole question's 10¹¹ rows",
    task="group",
    trial=False,
    disk_row_nbytes=None,
)

JOINS: dict[str, Situation] = {
    situation.name: situation
    for situation in (
        Situation(
            name="q0",
            title="predicted rows of the whole question: 100 M rows left join 10 M rows",
            left=QUESTION_LEFT,
            right=_Q_RIGHT,
            key=_QUESTION_KEY,
            task="estimate",
        ),
        _Q4,
        replace(
            _Q4.scaled(0.01),
            name="q4_hundredth",
            title="a hundredth of the whole question's keys, next to pyarrow's writer by hand",
            scale=1.0,
        ),
        _Q4_MEAN,
        replace(
            _Q4_MEAN.scaled(0.01),
            name="q4_mean_hundredth",
            title="the mean of the right column by key, of a hundredth of the whole question's keys",
            scale=1.0,
        ),
        _Q3,
        replace(
            _Q3,
            name="question",
            title="the question's three steps at the size of q3: index and balance, four lag features, merge",
            task="question",
        ),
        Situation(
            name="question_script",
            title="the question's own script at a tenth, call by call, with the author's function: 10⁹ rows as parquet",
            task="script",
            left=replace(QUESTION_LEFT, rows_per_file=100_000),
            right=replace(_Q_RIGHT, rows_per_file=100_000),
            key=_QUESTION_KEY,
            disk_row_nbytes=2.0,
        ),
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
            key=NumberKey(name="k"),
        ),
        Situation(
            name="zipf",
            title="50 M rows inner join 50 M rows, both Zipf 1.1 and differently skewed, written as parquet",
            left=Table(
                files=50,
                rows_per_file=1_000_000,
                keys=10_000_000,
                columns=(Column(name="a", kind="int64"),),
                zipf_offset=0.0,
                first_rank=(7_368_787, 0),
            ),
            right=Table(
                files=50,
                rows_per_file=1_000_000,
                keys=10_000_000,
                columns=(Column(name="b", kind="int64"),),
                # The most frequent key has 100,000 rows: what each left row of it is multiplied by.
                zipf_offset=71.0,
                first_rank=(3_333_331, 5_000_011),
            ),
            key=NumberKey(name="k"),
            how="inner",
        ),
        Situation(
            name="composite",
            title="20 M rows left join 20 M rows on a string and a number, nulls in both, written as parquet",
            left=Table(
                files=20,
                rows_per_file=1_000_000,
                keys=10_000_000,
                columns=(Column(name="a", kind="int64"),),
            ),
            right=Table(
                files=20,
                rows_per_file=1_000_000,
                keys=10_000_000,
                columns=(Column(name="b", kind="float64"),),
            ),
            key=CompositeKey(string="s", number_column="n", numbers=1_000, null_string=5, null_number=13),
        ),
    )
}
"""Every join, by name."""

"""The tables of the question "Dask running out of memory even when partitions are way less than worker memory".

Covers: making them at any scale, on disk or as dataframes that are made when read.

The left table has 100 files of a million rows and the right one 10 such files.
Both have a key ``col1`` of 10,000 values, so that a key has about 10,000 rows on
the left and 1,000 on the right, and their join has about 10¹¹ rows. A smaller
scale has as many keys and fewer rows of each: the join shrinks with the square.

The left table has the question's four features, ``log(col3)`` of the row itself
and of the three rows before it with the same key, here within a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd

KEY = "col1"
FULL_SCALE = 1.0
_SEED = 2456
_KEYS = (90_000, 100_000)
_FULL_FILE_ROWS = 1_000_000
_INTEGERS = ("col1", "col2")
_LAGS = 4
_FEATURES = tuple(f"log_col3_lag_{lag}" for lag in range(_LAGS))


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionTable:
    """One of the two tables, at some scale.

    Examples
    --------
    >>> left, right = question_tables(1.0)
    >>> left.rows, right.rows
    (100000000, 10000000)
    """

    name: str
    """``"left"`` or ``"right"``."""
    columns: tuple[str, ...]
    """Its columns, the key first."""
    files: int
    """Files, and partitions."""
    file_rows: int
    """Rows of each."""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.files * self.file_rows

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in memory."""
        return self.rows * 8 * len(self.columns)

    @property
    def meta(self) -> pd.DataFrame:
        """A frame without rows, of the table's types."""
        types = {name: "int64" if name in _INTEGERS else "float64" for name in self.columns}
        return pd.DataFrame({name: pd.Series([], dtype=types[name]) for name in self.columns})

    def part(self, number: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Make the rows of one file: the same ones each time.

        Parameters
        ----------
        number
            Which file.
        columns
            Columns to make; None for all. The key alone is made without the others.
        """
        wanted = list(self.columns if columns is None else columns)
        rng = np.random.default_rng([_SEED, ord(self.name[0]), number])
        frame = pd.DataFrame({KEY: rng.integers(*_KEYS, self.file_rows, dtype="int64")})
        if wanted == [KEY]:
            return frame
        if self.name == "right":
            frame["col4"] = rng.uniform(0, 10_000, self.file_rows)
            return frame[wanted]
        frame["col2"] = rng.integers(101, 20_000, self.file_rows, dtype="int64")
        frame["col3"] = rng.uniform(0, 10_000, self.file_rows)
        if set(wanted) & set(_FEATURES):
            by_key = np.log(frame["col3"]).groupby(frame[KEY], sort=False)
            for lag, feature in enumerate(_FEATURES):
                frame[feature] = by_key.shift(lag)
        return frame[wanted]

    def unwritten(self) -> dd.DataFrame:
        """Return the table as a dataframe whose partitions are made when they are read."""
        frame: dd.DataFrame = dd.from_map(self.part, range(self.files), meta=self.meta)
        return frame


def question_tables(scale: float) -> tuple[QuestionTable, QuestionTable]:
    """Return both tables.

    Parameters
    ----------
    scale
        1.0 for the tables of the question; rows of either side grow with it.

    Returns
    -------
    tuple of QuestionTable
        Left and right.
    """
    return (
        _table("left", (KEY, "col2", "col3", *_FEATURES), full_files=100, fewest_files=8, scale=scale),
        _table("right", (KEY, "col4"), full_files=10, fewest_files=2, scale=scale),
    )


def _table(
    name: str, columns: tuple[str, ...], *, full_files: int, fewest_files: int, scale: float
) -> QuestionTable:
    rows = max(1, round(full_files * _FULL_FILE_ROWS * scale))
    files = min(rows, max(fewest_files, round(full_files * scale)))
    return QuestionTable(name=name, columns=columns, files=files, file_rows=max(1, round(rows / files)))


def write_part(table: QuestionTable, number: int, directory: str) -> int:
    """Write one file of a table, and give its rows."""
    frame = table.part(number)
    path = Path(directory) / f"part-{number:04d}.parquet"
    frame.to_parquet(path, index=False)
    return len(frame)

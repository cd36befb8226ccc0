"""Whether what an engine ordered is the frame that it was given, in order.

Covers: totals of every partition or file against those of the rows that were
generated; order within and between partitions; divisions; how even partitions are.
Does not cover: the order of rows of equal keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.parquet as pq

from benchmarks.situations.tables import Column
from benchmarks.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.situations import FrameDataset, FrameSituation

__all__ = ["OrderCheck", "check_ordered_files", "check_partitions"]

_BATCH_VALUES = 2**23
# What issue 3 asks of balanced partitions.
_BALANCE = 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCheck:
    """What was found in ordered partitions."""

    rows: int
    """Rows."""
    expected_rows: int
    """Rows that there were before."""
    wrong_columns: tuple[str, ...]
    """Columns whose sums are not those of the rows that were generated."""
    unordered: int
    """Partitions that are not in order, within or behind the one before."""
    divisions: Literal["right", "wrong", "unknown", "none"]
    """Whether every key lies within its partition's divisions; none for engines without."""
    files: int
    """Partitions, or files."""
    largest_file_rows: int
    """Rows of the one with the most."""
    disk_nbytes: int
    """Bytes of all files; 0 where none are written."""
    balance_asked: bool = False
    """Whether partitions were to be balanced."""

    @property
    def correct(self) -> bool:
        """Whether it is the frame, in order."""
        return (
            self.rows == self.expected_rows
            and not self.wrong_columns
            and not self.unordered
            and self.divisions != "wrong"
        )

    @property
    def imbalance(self) -> float:
        """The largest partition's rows, as a multiple of the mean's."""
        return self.largest_file_rows * self.files / self.rows if self.rows else 1.0

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """What else was requested and is not there, in words."""
        found = ["divisions unknown"] if self.divisions == "unknown" else []
        if self.balance_asked and self.imbalance > _BALANCE:
            found.append(f"largest partition {self.imbalance:.2f} × the mean")
        return tuple(found)


def check_partitions(
    dataset: FrameDataset, partitions: Sequence[Totals], divisions: Sequence[Any] | None, *, nbytes: int = 0
) -> OrderCheck:
    """Compare partitions with what was generated.

    Parameters
    ----------
    dataset
        What was to be ordered.
    partitions
        What each adds up to, in their order.
    divisions
        Their divisions; empty when the engine has none, None when it does not know them.
    nbytes
        Bytes of their files.
    """
    total = reduce(add, partitions) if partitions else None
    rows = [part.rows for part in partitions]
    truth = dataset.truth
    return OrderCheck(
        rows=sum(rows),
        expected_rows=truth.rows,
        wrong_columns=total.wrong_columns(truth) if total else tuple(truth.sums),
        unordered=_count_unordered([part for part in partitions if part.rows]),
        divisions=_judge_divisions(partitions, divisions),
        files=len(partitions),
        largest_file_rows=max(rows, default=0),
        disk_nbytes=nbytes,
        balance_asked=dataset.situation.task == "rebalance" and divisions != (),
    )


def check_ordered_files(dataset: FrameDataset, output: Path, divisions: Sequence[Any] | None) -> OrderCheck:
    """Read every file that an engine wrote, and compare; see :func:`check_partitions`."""
    files = sorted(output.rglob("*.parquet"), key=_place)
    partitions = [_file_totals(file, dataset.situation) for file in files]
    nbytes = sum(file.stat().st_size for file in files)
    return check_partitions(dataset, partitions, divisions, nbytes=nbytes)


def _place(file: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", file.name))


def _file_totals(file: Path, situation: FrameSituation) -> Totals:
    columns = (Column(name=situation.key, kind="int64"), *situation.table.columns)
    names = list(situation.output_columns)
    with pq.ParquetFile(file) as opened:
        batches = opened.iter_batches(max(1, _BATCH_VALUES // len(names)), columns=names)
        pieces = [
            Totals.of(
                {column.name: column.numbers(batch.column(column.name)) for column in columns}, names[0]
            )
            for batch in batches
        ]
        if not pieces:
            return Totals.of({column.name: np.empty(0, column.dtype) for column in columns}, names[0])
    return reduce(add, pieces)


def _count_unordered(filled: Sequence[Totals]) -> int:
    unordered = [not part.ordered for part in filled]
    for number, (before, part) in enumerate(pairwise(filled), start=1):
        assert before.high is not None
        assert part.low is not None
        unordered[number] |= before.high > part.low
    return sum(unordered)


def _judge_divisions(
    partitions: Sequence[Totals], divisions: Sequence[Any] | None
) -> Literal["right", "wrong", "unknown", "none"]:
    if divisions is None:
        return "unknown"
    if not divisions:
        return "none"
    if len(divisions) != len(partitions) + 1:
        return "wrong"
    last = len(partitions) - 1
    for number, part in enumerate(partitions):
        if part.low is None or part.high is None:
            continue
        lower, upper = divisions[number], divisions[number + 1]
        # Only the last partition holds its upper division too.
        if part.low < lower or part.high > upper or (part.high == upper and number != last):
            return "wrong"
    return "right"

"""One frame whose rows are grouped, and what each group has to give.

Covers: many groups, at two sizes; the group-by task of db-benchmark; a group that is most of the frame. The answer,
as DuckDB finds it in the inputs.
Does not cover: running anything on them (:mod:`benchmarks.engines_groups`), or comparing
what came out (:mod:`benchmarks.check_groups`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from benchmarks.situations.group_questions import BENCHMARK_QUESTIONS, GroupQuestion, source_of
from benchmarks.situations.group_tables import GroupTables, benchmark_tables
from benchmarks.situations.stamp import ALL_ENGINES, VARIANT_ENGINES, stamped
from benchmarks.situations.tables import Column, Table

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["GROUPED", "GroupDataset", "GroupSituation", "GroupTruth"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSituation:
    """A frame and a question about its groups; the answer is written as parquet.

    Examples
    --------
    >>> GROUPED["g1"].nbytes, GROUPED["g1_24gb"].nbytes, GROUPED["g2_q3"].question.by
    (2400000000, 24000000000, ('id3',))
    """

    name: str
    """Its name on the command line and in results."""
    title: str
    """What it is, in a line."""
    family: str
    """The table of results that it is shown in."""
    tables: GroupTables
    """The frame."""
    question: GroupQuestion
    """What is asked."""
    one_size: bool = False
    """Whether others of its family have the same frame, so that seconds are not related to bytes."""
    in_blocks: bool = False
    """Whether the answer has too many rows to be compared one by one, and is by blocks of keys."""
    engines: tuple[str, ...] = ALL_ENGINES
    """Those that can take part."""
    writes: bool = True
    """The result is files."""

    @property
    def scale(self) -> float:
        """Share of the full size."""
        return self.tables.scale

    @property
    def task(self) -> str:
        """What is done."""
        return self.question.task

    @property
    def frame_nbytes(self) -> int:
        """Bytes of the frame in memory, about; but for strings, every column is eight bytes wide."""
        return 8 * self.tables.table.rows * len(self.tables.columns)

    @property
    def nbytes(self) -> int | None:
        """Bytes to which seconds are related."""
        return None if self.one_size else self.frame_nbytes

    @property
    def output_row_nbytes(self) -> int:
        """Bytes of one row of the result in memory, about."""
        return 8 * (len(self.question.by) + len(self.question.figures))

    def scaled(self, scale: float) -> GroupSituation:
        """Shrink the frame without changing its shape."""
        return replace(self, tables=self.tables.scaled(scale))

    def materialise(self, directory: str | os.PathLike[str]) -> GroupDataset:
        """Write the files below a directory, and the answer, unless they are there already.

        Parameters
        ----------
        directory
            Where all situations' data lie; questions of the same files have one directory of them.
        """
        tables, keys = self.tables.materialise(directory)
        if self.in_blocks:
            return GroupDataset(self, tables, None, GroupTruth(rows=keys))
        root, truth = stamped(self, directory, lambda root: {"rows": self._answer(tables / "frame", root)})
        return GroupDataset(self, tables, root / _EXPECTED, GroupTruth(**truth))

    def _answer(self, files: Path, root: Path) -> int:
        import duckdb  # workers, which import this module, need none

        path = root / _EXPECTED
        options = {"memory_limit": "3GB", "threads": 2, "temp_directory": str(root / "duckdb")}
        with duckdb.connect(config={**options, "preserve_insertion_order": False}) as connection:
            connection.execute(
                f"COPY ({self.question.sql(source_of(files))}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
            )
        return int(pq.read_metadata(path).num_rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTruth:
    """What is true of an answer as a whole."""

    rows: int
    """Its rows."""


@dataclass(frozen=True, slots=True)
class GroupDataset:
    """A situation's data, on disk."""

    situation: GroupSituation
    """What they are."""
    directory: Path
    """Where the frame's files lie."""
    expected: Path | None
    """File of the answer; None where it is compared by blocks of keys."""
    truth: GroupTruth
    """What is true of the answer."""

    @property
    def files(self) -> Path:
        """Directory of the frame's files."""
        return self.directory / "frame"

    @property
    def needed_nbytes(self) -> int:
        """Bytes of free disk without which no engine is started: what is spilled and what is written."""
        return self.situation.frame_nbytes + self.truth.rows * self.situation.output_row_nbytes


_EXPECTED = "expected.parquet"
_G1 = GroupSituation(
    name="g1",
    title="sum, mean and count of two columns of 100 M rows by 50 M keys, written as parquet",
    family="g1",
    tables=GroupTables(
        name="g1_frame",
        table=Table(
            files=100,
            rows_per_file=1_000_000,
            keys=50_000_000,
            columns=(Column(name="a", kind="float64"), Column(name="b", kind="int64")),
        ),
    ),
    question=GroupQuestion(
        by=("k",),
        values=tuple((column, function) for column in "ab" for function in ("sum", "mean", "count")),
    ),
    engines=(*ALL_ENGINES, *VARIANT_ENGINES),
)


def _benchmark(family: str, size: str, files: int, asked: int) -> list[GroupSituation]:
    tables = benchmark_tables(f"{family}_frame", files)
    return [
        GroupSituation(
            name=f"{family}_{name}",
            title=f"db-benchmark's group-by task of {size} rows: {title}",
            family=family,
            tables=tables,
            question=question,
            one_size=True,
        )
        for name, (title, question) in list(BENCHMARK_QUESTIONS.items())[:asked]
    ]


GROUPED: dict[str, GroupSituation] = {
    situation.name: situation
    for situation in (
        _G1,
        replace(
            _G1,
            name="g1_24gb",
            title="sum, mean and count of two columns of 1000 M rows by 500 M keys, written as parquet",
            tables=replace(
                _G1.tables,
                name="g1_24gb_frame",
                table=replace(_G1.tables.table, files=1_000, keys=500_000_000),
            ),
            in_blocks=True,
            engines=ALL_ENGINES,
        ),
        *_benchmark("g2", "10 M", 10, 10),
        *_benchmark("g2_1e8", "100 M", 100, 5),
        GroupSituation(
            name="g4",
            title="median and 0.99 quantile of 100 M rows in 10 000 groups, one of which has 60 M rows",
            family="g4",
            tables=GroupTables(
                name="g4_frame",
                table=Table(
                    files=100,
                    rows_per_file=1_000_000,
                    keys=10_000,
                    columns=(Column(name="v", kind="float64"),),
                    hot_fraction=0.6,
                ),
                keys_scale=False,
            ),
            question=GroupQuestion(by=("k",), values=(("v", ""),), task="quantiles"),
        ),
    )
}
"""Every such frame and question, by name."""

"""What ``safeframe demo`` does, step by step.

Covers: making the tables, telling the numbers, running the merge, and telling
what it really took.
"""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask.dataframe as dd
import pyarrow.parquet as pq
from distributed import Client, LocalCluster
from rich.console import Console
from rich.table import Table
from rich.text import Text

from safeframe.demo.question import FULL_SCALE, KEY, QuestionTable, question_tables, write_part
from safeframe.errors import OutputExplosionWarning, ValidationError
from safeframe.facts.plan import Plan
from safeframe.facts.plan.summary import plan_rich
from safeframe.progress.tasks import computed, named_tasks
from safeframe.recipes.merge import merge, plan_merge
from safeframe.report.measure import Measurement, measure
from safeframe.sizing.directory import free_nbytes
from safeframe.units import format_count, format_nbytes, format_seconds

_MORE = "safeframe demo --json has all steps and reasons"
_MARK = ".safeframe-demo"
_ABOUT = "Made by `safeframe demo`, which may remove this directory.\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the demonstration ends with."""

    plan: Plan
    """Of the tables at the scale that ran."""
    measured: Measurement
    """What the workers took."""
    rows_out: int
    """Rows in the files of the result."""
    result: Path
    """Where they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """The question at some scale, on a cluster of small workers."""

    scale: float
    """1.0 for the tables of the question."""
    directory: Path
    """Where tables and result go."""
    keep: bool
    """Whether the tables stay; the result always does."""
    workers: int
    """Worker processes, of one thread each."""
    memory_nbytes: int
    """Memory limit of each, in bytes."""
    console: Console
    """Where it is shown."""

    def run(self) -> Outcome:
        """Show it all.

        Raises
        ------
        SafeframeError
            When the merge cannot be run, with both numbers.
        """
        left, right = question_tables(self.scale)
        self._say(_intro())
        with _place(self.directory, keep=self.keep) as inputs, self._cluster():
            self._predict_whole_question()
            self._make_tables(inputs, (left, right))
            frames = (dd.read_parquet(str(inputs / left.name)), dd.read_parquet(str(inputs / right.name)))
            begin = time.perf_counter()
            plan = plan_merge(frames[0], frames[1], how="left", on=KEY)
            self._head(
                f"The plan at scale {self.scale:g}, made in {format_seconds(time.perf_counter() - begin)}"
            )
            self.console.print(plan_rich(plan, _MORE), soft_wrap=True)
            measured, result = self._merge(frames, plan)
        rows_out = sum(pq.read_metadata(path).num_rows for path in sorted(result.glob("*.parquet")))
        outcome = Outcome(plan=plan, measured=measured, rows_out=rows_out, result=result)
        self._summary(outcome)
        return outcome

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        self._say(
            f"Starting a local cluster of {self.workers} workers with {format_nbytes(self.memory_nbytes)} each ..."
        )
        with (
            LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                memory_limit=self.memory_nbytes,
                dashboard_address=":0",
                local_directory=str(self.directory),
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster),
        ):
            yield

    def _predict_whole_question(self) -> None:
        """Plan the merge of the full tables, whose rows are made as they are counted and never written."""
        tables = question_tables(FULL_SCALE)
        begin = time.perf_counter()
        plan = plan_merge(tables[0].unwritten(), tables[1].unwritten(), how="left", on=KEY)
        seconds = time.perf_counter() - begin
        self._head(f"The whole question, predicted in {format_seconds(seconds)}")
        self._say(
            f"{_described(tables[0])}\n{_described(tables[1])}\n"
            "Their keys were generated as with --scale 1 and counted; these tables are not on disk."
        )
        self.console.print(plan_rich(plan, ""), soft_wrap=True)
        self._say(
            f"What the author of the question could not know: {format_count(int(plan.output_rows))} rows, "
            f"{format_nbytes(int(plan.output_nbytes))} in memory."
        )

    def _make_tables(self, inputs: Path, tables: tuple[QuestionTable, QuestionTable]) -> None:
        self._head(f"Running it at scale {self.scale:g}")
        self._say("\n".join(_described(table) for table in tables))
        for table in tables:
            (inputs / table.name).mkdir()
        parts = (
            (table, number, str(inputs / table.name)) for table in tables for number in range(table.files)
        )
        computed("making the tables", named_tasks("make-tables", write_part, parts))

    def _merge(self, frames: tuple[dd.DataFrame, dd.DataFrame], plan: Plan) -> tuple[Measurement, Path]:
        result = self.directory / "result"
        free = free_nbytes(str(self.directory))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OutputExplosionWarning)
            # A result that the disk could not hold is refused now, with its size.
            merged = merge(frames[0], frames[1], how="left", on=KEY, max_output=free)
        for warning in caught:
            if issubclass(warning.category, OutputExplosionWarning):
                self._head("The warning that it issues")
                self._say(str(warning.message))
        self._head("The merge")
        with measure(plan) as measured:
            merged.to_parquet(str(result))
        return measured, result

    def _summary(self, outcome: Outcome) -> None:
        measured, plan = outcome.measured, outcome.plan
        projected = plan.projected_worker_nbytes
        kept = measured.peak_worker_nbytes <= projected
        table = Table(title="Projected against measured", title_justify="left")
        table.add_column("worker")
        for name in ("projected", "measured", "of it"):
            table.add_column(name, justify="right")
        for worker, peak in sorted(measured.peaks.items()):
            table.add_row(worker, format_nbytes(projected), format_nbytes(peak), f"{peak / projected:.0%}")
        self.console.print()
        self.console.print(table)
        lines = {
            "memory": f"peak {format_nbytes(measured.peak_worker_nbytes)} of {format_nbytes(projected)} projected and "
            f"{format_nbytes(self.memory_nbytes)} allowed: {'kept' if kept else 'NOT kept'}",
            "rows in": format_count(measured.rows_in),
            "rows out": f"{format_count(outcome.rows_out)}, {format_count(int(plan.output_rows))} predicted",
            "seconds": f"{measured.seconds:.1f}",
            "result": str(outcome.result),
        }
        if measured.lost_workers:
            lines["lost"] = f"{len(measured.lost_workers)} workers were lost during the run"
        self._say("\n".join(f"{label:<9} {text}" for label, text in lines.items()))

    def _head(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


@contextmanager
def _place(directory: Path, *, keep: bool) -> Iterator[Path]:
    """Return an empty directory for the tables, and remove it afterwards unless it is to be kept."""
    mark = directory / _MARK
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        msg = f"The directory {str(directory)!r} holds something that `safeframe demo` did not make."
        raise ValidationError(msg, hint="Name an empty or a new directory with --directory.")
    directory.mkdir(parents=True, exist_ok=True)
    mark.write_text(_ABOUT)
    inputs = directory / "tables"
    for old in (inputs, directory / "result"):
        shutil.rmtree(old, ignore_errors=True)
    inputs.mkdir()
    try:
        yield inputs
    finally:
        if not keep:
            shutil.rmtree(inputs, ignore_errors=True)


def _described(table: QuestionTable) -> str:
    return (
        f"{table.name + ':':<6} {format_count(table.rows)} rows of {len(table.columns)} columns in {table.files} files, "
        f"{format_nbytes(table.nbytes)} in memory"
    )


def _intro() -> str:
    return (
        'The question: "Dask running out of memory even when partitions are way less than worker memory".\n'
        "A table with four lag features is merged with another one on col1, how='left'.\n"
        "No partition is large, and the merge still runs out of memory."
    )

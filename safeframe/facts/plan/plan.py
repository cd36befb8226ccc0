"""A plan: what will run, why, and what it will cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from safeframe import options
from safeframe.errors import MemoryBudgetError, OutputTooLargeError, StagingFullError
from safeframe.facts.budget import Budget
from safeframe.facts.distinct import CountRun, DistinctRun
from safeframe.facts.estimate import Estimate, Width, about, format_interval
from safeframe.facts.files import SourceFiles
from safeframe.facts.groupby import GroupRun
from safeframe.facts.merge import MergeRun, P2PMerge, SlicedWrite, WritePlan
from safeframe.facts.plan.html import plan_html
from safeframe.facts.plan.plot import plot_plan
from safeframe.facts.plan.run import Run
from safeframe.facts.plan.summary import plan_repr, plan_rich, plan_summary
from safeframe.facts.plan.text import plan_text
from safeframe.facts.spread import Spread
from safeframe.facts.step import Candidate, Cost, Step
from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a recipe will do, in numbers; made before anything runs.

    A plan never raises because something is too large: :attr:`fits` is then False, and
    :meth:`validate` raises, as does computing the result.
    """

    recipe: str
    """The recipe, as in ``merge``."""
    strategy: str
    """The chosen strategy."""
    reasons: tuple[str, ...]
    """Why it was chosen."""
    rejected: tuple[Candidate, ...]
    """The other strategies, and why each was rejected."""
    steps: tuple[Step, ...]
    """The kinds of tasks, in the order in which they run."""
    budget: Budget
    """What one worker may use."""
    output_rows: Estimate
    """Rows of the result."""
    output_nbytes: Estimate
    """Bytes of the result in memory."""
    output_partitions: int
    """Partitions of the result."""
    partition_nbytes: int
    """Target for output partitions, in bytes of memory."""
    largest_partition_nbytes: int
    """Upper bound of the largest output partition, in bytes."""
    row_nbytes: float
    """Bytes of one result row that the plan uses: a bound if they are known from a sample."""
    staging_nbytes: int
    """Bytes written to the staging directory; 0 when nothing is staged."""
    staging_free_nbytes: int | None
    """Free bytes of the staging directory; None when nothing is staged, or when it is unknown, as for an object
    store."""
    staging_directory: str | None
    """The directory or URL where rows are staged; None when nothing is staged."""
    run: Run = field(repr=False)
    """What the engine runs: one class for each recipe."""
    output_width: Width | None = None
    """Interval of the bytes per row; None if all types have a fixed width."""
    counting: Step | None = None
    """What counting the keys took, which is over when there is a plan; None if no keys were counted for it."""
    advice: str = ""
    """What else can be done if the plan does not fit; empty if there is nothing in particular."""
    cost: Cost | None = None
    """What its strategy moves; None if strategies of the recipe are chosen by their order."""
    sources: SourceFiles | None = field(default=None, repr=False)
    """The files that its numbers were read from; None if there are none that can be checked for changes."""
    partitions_before: tuple[Spread, ...] = ()
    """Sizes of the inputs' partitions, as rows are moved; empty if they are not known one by one."""
    partitions_after: Spread | None = None
    """Sizes of the result's partitions; None if only their bound is known."""

    @property
    def largest_possible_nbytes(self) -> int:
        """Largest output partition if its rows are as wide as the sample allows, in bytes."""
        width = self.output_width
        if width is None or width.exact:
            return self.largest_partition_nbytes
        return math.ceil(self.largest_partition_nbytes * max(1.0, width.most / max(self.row_nbytes, 1e-9)))

    @property
    def input_rows(self) -> int:
        """Number of rows of all inputs."""
        match self.run:
            case MergeRun(estimate=estimate):
                return estimate.left_rows + estimate.right_rows
            case GroupRun(input_rows=rows):
                return rows
            case DistinctRun(rows=rows):
                return rows
            case CountRun(columns=columns):
                return columns[0].rows
            case _:
                return int(self.output_rows)

    @property
    def task_peak_nbytes(self) -> int:
        """Upper bound of the memory of the largest task, in bytes."""
        return max((step.task_peak_nbytes for step in (*self._counted, *self.steps)), default=0)

    @property
    def _counted(self) -> tuple[Step, ...]:
        return () if self.counting is None else (self.counting,)

    @property
    def projected_worker_nbytes(self) -> int:
        """Upper bound of a worker's peak memory, in bytes."""
        return self.budget.projected_worker_nbytes(self.task_peak_nbytes)

    @property
    def written(self) -> Plan:
        """The plan of ``to_parquet``: that of the compact encoding if the result is written so, otherwise :attr:`streamed`."""
        match self.run:
            case MergeRun(write=WritePlan() as write):
                return replace(
                    self,
                    steps=write.steps,
                    output_partitions=write.files,
                    staging_nbytes=write.staging_nbytes,
                    staging_directory=write.staging_directory,
                    staging_free_nbytes=write.staging_free_nbytes,
                )
            case _:
                return self.streamed

    @property
    def streamed(self) -> Plan:
        """The plan of writing the result row by row, with nothing whole in memory where that is possible."""
        match self.run:
            case MergeRun(sliced=SlicedWrite() as write):
                return replace(
                    self,
                    strategy=write.strategy,
                    reasons=(write.reason,),
                    steps=write.steps,
                    output_partitions=write.files,
                    largest_partition_nbytes=math.ceil(write.largest_rows * self.row_nbytes),
                    staging_nbytes=write.staging_nbytes,
                    staging_directory=write.way.directory if write.staging_nbytes else None,
                    staging_free_nbytes=write.staging_free_nbytes if write.staging_nbytes else None,
                    run=replace(self.run, way=write.way, sliced=None),
                    cost=write.cost,
                )
        return self.in_stretches

    @property
    def in_stretches(self) -> Plan:
        """The plan of writing each partition of the result to a file, in stretches where that is possible."""
        if all(step.written is None for step in self.steps):
            return self
        return replace(self, steps=tuple(step.written or step for step in self.steps))

    def with_write(self, write: WritePlan) -> Plan:
        """Return the plan of a merge with other files."""
        assert isinstance(self.run, MergeRun), "other results are written row by row"
        return replace(self, run=replace(self.run, write=write))

    @property
    def over_budget(self) -> tuple[Step, ...]:
        """Steps whose tasks need more memory than a worker may use, largest first."""
        allowed = self.budget.allowed_nbytes
        over = [
            step
            for step in self.steps
            if self.budget.projected_worker_nbytes(step.task_peak_nbytes) > allowed
        ]
        return tuple(sorted(over, key=lambda step: -step.task_peak_nbytes))

    @property
    def fits(self) -> bool:
        """Whether each step fits the worker's memory and the free disk, and a dask graph can hold the tasks."""
        return not self.over_budget and not self._staging_full and not self.too_many_partitions

    @property
    def too_many_partitions(self) -> bool:
        """Whether the result has more partitions than a dask graph can hold."""
        return self.output_partitions > options.MAX_GRAPH_PARTITIONS

    @property
    def _staging_full(self) -> bool:
        return self.staging_free_nbytes is not None and self.staging_nbytes > self.staging_free_nbytes

    def validate(self) -> None:
        """Raise when the plan does not fit.

        Raises
        ------
        MemoryBudgetError
            When a step's projected peak is above what a worker may use.
        StagingFullError
            When the staging directory has less room than the exchange needs.
        OutputTooLargeError
            When the result has more partitions than a dask graph can hold.
        """
        self.check_partitions()
        if self.over_budget:
            worst = self.over_budget[0]
            projected = self.budget.projected_worker_nbytes(worst.task_peak_nbytes)
            allowed = self.budget.allowed_nbytes
            steps = "; ".join(
                f"{step.kind} needs {format_nbytes(self.budget.projected_worker_nbytes(step.task_peak_nbytes))}"
                f" ({step.reason})"
                for step in self.over_budget
            )
            msg = (
                f"{self.recipe} is projected to need {format_nbytes(projected)} of memory per worker, and "
                f"{format_nbytes(allowed)} is allowed ({format_nbytes(self.budget.reserved_nbytes)} of it is "
                f"used before any data): {steps}."
            )
            page, advice = worst.page, self.advice
            if page is not None and 2 * options.PAGE_COPIES * page.nbytes > worst.task_peak_nbytes:
                msg += (
                    f" There is {page}, which is decoded whole, in {options.PAGE_COPIES:g} copies; a task may use "
                    f"{format_nbytes(max(0, self.budget.task_nbytes))}."
                )
                advice = (
                    "Write the file again with smaller pages (data_page_size=) or row groups of fewer rows "
                    f"(row_group_size=). {advice}"
                ).rstrip()
            hint = f"Give each worker {math.ceil(projected / 2**20)} MiB or more"
            if allowed > self.budget.projected_worker_nbytes(0):
                hint += (
                    f"{self._fewer_threads(worst)}, read smaller partitions (blocksize= or split_row_groups=), or request "
                    "a smaller partition_size=."
                )
                if self.streamed is not self and not self.streamed.over_budget:
                    hint = f"Write it with safeframe.to_parquet, which holds no whole partition. {hint}"
                hint = f"{advice} {hint}".lstrip()
            else:
                hint += ": what it uses before any data leaves nothing for partitions of any size."
            raise MemoryBudgetError(msg, hint=hint, projected_nbytes=projected, allowed_nbytes=allowed)
        if self._staging_full:
            free = self.staging_free_nbytes or 0
            msg = (
                f"{self.recipe} stages {format_nbytes(self.staging_nbytes)}, but {self.staging_directory} has "
                f"{format_nbytes(free)} free."
            )
            hint = "Free some disk, or name a directory with more room in staging=."
            raise StagingFullError(msg, hint=hint, needed_nbytes=self.staging_nbytes, free_nbytes=free)

    def _fewer_threads(self, worst: Step) -> str:
        """Return how many threads would do, where fewer would."""
        budget = self.budget
        left = budget.allowed_nbytes - budget.reserved_nbytes - budget.transport_nbytes
        threads = min(left // max(worst.task_peak_nbytes, 1), budget.threads_per_worker - 1)
        if threads < 1:
            return ""
        return (
            f", or {threads} {'thread' if threads == 1 else 'threads'} instead of {budget.threads_per_worker}"
        )

    def check_partitions(self) -> None:
        """Raise when the result has more partitions than a dask graph can hold.

        Raises
        ------
        OutputTooLargeError
            With the number of partitions, and what makes fewer.
        """
        if not self.too_many_partitions:
            return
        most = options.MAX_GRAPH_PARTITIONS
        msg = (
            f"The {self.recipe} makes {format_count(self.output_partitions)} partitions of up to "
            f"{format_nbytes(self.largest_partition_nbytes)}, {about(self.output_rows)}"
            f"{format_count(self.output_rows.expected)} rows and {format_interval(self.output_nbytes)} in all, "
            f"and a dask graph can hold {format_count(most)}."
        )
        hints = []
        write = self.run.write if isinstance(self.run, MergeRun) else ""
        if (
            isinstance(write, WritePlan)
            and self.output_partitions <= options.MAX_COLLECTION_PARTITIONS
            and write.files <= most
        ):
            hints.append(
                f"Write it with safeframe.to_parquet: {format_count(write.files)} files, "
                f"{format_nbytes(write.file_nbytes)} in all, are written in the compact encoding, without its rows."
            )
        larger = math.ceil(self.output_nbytes.expected / most)
        if options.OUTPUT_COPIES * larger <= self.budget.task_nbytes:
            hints.append(f"Request larger partitions: partition_size= above {format_nbytes(larger)}.")
        hints.append("Aggregate or deduplicate the input first.")
        hint = " ".join(hints)
        raise OutputTooLargeError(
            msg,
            hint=hint,
            output_partitions=self.output_partitions,
            max_output_partitions=most,
            output_rows=self.output_rows.expected,
        )

    def __str__(self) -> str:
        return plan_summary(self)

    def __repr__(self) -> str:
        return plan_repr(self)

    def _repr_html_(self) -> str:
        return plan_html(self)

    def __rich__(self) -> Any:
        return plan_rich(self)

    def details(self) -> str:
        """Return all of the plan as text: each figure, step and reason.

        Returns
        -------
        str
            One fact a line; ``print(plan)`` has the ten that matter most.
        """
        return plan_text(self)

    def plot(self, figure: Any = None) -> Any:
        """Plot the memory of each step, the sizes of partitions and the heaviest keys, each with its limit.

        Parameters
        ----------
        figure
            The matplotlib figure to draw in, which should be empty; None for a new one.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        UnsupportedError
            When matplotlib is not installed.

        Notes
        -----
        Memory is that of one worker, with as many tasks of a step as it has threads: what it uses before any data
        is drawn apart. Partitions are compared with what one task may use, and with the plan's target. Keys are
        drawn for merges that counted them.
        """
        return plot_plan(self, figure)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON."""
        plain = {
            name: _as_json(getattr(self, name))
            for name in (f.name for f in fields(self))
            if name not in ("run", "sources")
        }
        plain |= _merge_figures(self.run)
        plain["projected_worker_nbytes"] = self.projected_worker_nbytes
        plain["fits"] = self.fits
        return plain


def _merge_figures(run: Run) -> dict[str, Any]:
    """Return what a merge's plan says beyond other plans; the same names, with nothing, for those."""
    if not isinstance(run, MergeRun):
        return {
            "merge": None, "build_side": None, "table": None, "p2p": None, "write_refused": "", "written_nbytes": None,
        }  # fmt: skip
    return {
        "merge": _as_json(run.estimate),
        "build_side": run.build_side,
        "table": _as_json(run.table),
        "p2p": _as_json(run.way.settings) if isinstance(run.way, P2PMerge) else None,
        "write_refused": run.write if isinstance(run.write, str) else "",
        "written_nbytes": run.write.file_nbytes if isinstance(run.write, WritePlan) else None,
    }


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _as_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)

"""What filtering partitions takes: whole, or slice by slice where their rows go to files."""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe import options
from safeframe.facts.distinct import DistinctFacts, OutputSlices
from safeframe.facts.plan import Step
from safeframe.planning.exchange import needs_few_columns, slice_nbytes_of
from safeframe.planning.memory import cell_peak_nbytes, cell_reason
from safeframe.units import format_count, format_nbytes


def largest_rows(facts: DistinctFacts) -> int:
    """Return the rows of the largest partition."""
    return int(facts.partition_rows.max(initial=0))


def input_row_nbytes(facts: DistinctFacts) -> float:
    """Return the bytes of a row of the partitions that are filtered."""
    return (facts.profile.width + facts.profile.index_width).bounding


def output_slices(facts: DistinctFacts) -> OutputSlices | None:
    """Choose how partitions are read whose rows go to files; None where they are made whole."""
    source, task_nbytes = facts.profile.source, max(facts.budget.task_nbytes, 0)
    nbytes = slice_nbytes_of(task_nbytes)
    if source.whole or facts.wanted != "rows" or largest_rows(facts) * input_row_nbytes(facts) <= nbytes:
        return None
    return OutputSlices(nbytes=nbytes, by_columns=needs_few_columns(source.reader_nbytes, task_nbytes))


def written_step(step: Step, facts: DistinctFacts) -> Step:
    """Describe writing the rows of a partition that stay, slice by slice."""
    slices, source = output_slices(facts), facts.profile.source
    if slices is None:
        return step
    rows = largest_rows(facts)
    slice_rows = math.ceil(slices.nbytes / max(input_row_nbytes(facts), 1.0))
    pages = source.few_columns_nbytes if slices.by_columns else source.reader_nbytes
    taken = cell_peak_nbytes(
        input_rows=slice_rows, input_nbytes=slices.nbytes, output_rows=slice_rows, output_nbytes=slices.nbytes
    )
    numbers = options.DISTINCT_PLACE_NBYTES * rows
    return replace(
        step,
        written=replace(
            step,
            task_peak_nbytes=pages + slices.nbytes + taken + numbers,
            reason=(
                f"pages of {format_nbytes(pages)}, a slice of {format_nbytes(slices.nbytes)} × "
                f"{options.FETCH_COPIES + options.OUTPUT_COPIES + 1:g}, {options.ROW_INDEX_NBYTES + options.POSITION_NBYTES} B "
                f"for each of its {format_count(slice_rows)} rows, and {options.DISTINCT_PLACE_NBYTES} B for each of "
                f"{format_count(rows)} rows of the partition"
            ),
        ),
    )


def output_step(facts: DistinctFacts, *, numbered: bool) -> Step:
    """Describe filtering a partition, whose keys may have to be numbered first."""
    rows = largest_rows(facts)
    nbytes, made = int(rows * input_row_nbytes(facts)), int(rows * facts.output_width.bounding)
    figures = {"input_rows": rows, "input_nbytes": nbytes, "output_rows": rows, "output_nbytes": made}
    more = options.DISTINCT_ROW_NBYTES * rows + int(rows * facts.key_row_nbytes) if numbered else 0
    reason = cell_reason(**figures, copies=options.FETCH_COPIES)
    if numbered:
        reason += f", and its keys, numbered: {format_nbytes(more)}"
    kinds = {"rows": "filter partitions", "marks": "mark rows", "count": "count keys of partitions"}
    return Step(
        kind=kinds[facts.wanted],
        tasks=len(facts.partition_rows),
        task_peak_nbytes=cell_peak_nbytes(**figures) + more,
        reason=reason,
    )

"""What counting keys took: it is over when there is a plan, which it never makes too large."""

from __future__ import annotations

from collections.abc import Sequence

from safeframe import options
from safeframe.facts.keys import KeyCounting
from safeframe.facts.step import Step
from safeframe.planning.memory import key_count_peak_nbytes
from safeframe.units import format_count, format_nbytes


def counting_step(sides: Sequence[KeyCounting | None]) -> Step | None:
    """Return the step that counted the keys of some frames; None where no keys were counted.

    Examples
    --------
    >>> counted = KeyCounting(tasks=8, slice_rows=1000, slice_nbytes=24_000, summary_nbytes=16_000)
    >>> step = counting_step([counted, None])
    >>> step.tasks, step.task_peak_nbytes
    (8, 246000)
    """
    counted = [side for side in sides if side is not None]
    if not counted:
        return None
    largest = max(counted, key=_peak_nbytes)
    return Step(
        kind="count keys",
        tasks=sum(side.tasks for side in counted),
        task_peak_nbytes=_peak_nbytes(largest),
        reason=(
            f"key columns of {format_nbytes(largest.slice_nbytes)} × "
            f"{options.KEY_SLICE_COPIES:g}, {options.KEY_ROW_NBYTES} B for each of {format_count(largest.slice_rows)} "
            f"rows, and summaries of {format_nbytes(largest.summary_nbytes)} × {options.KEY_SUMMARY_COPIES:g}; "
            "done before this plan"
        ),
    )


def _peak_nbytes(counted: KeyCounting) -> int:
    return key_count_peak_nbytes(
        slice_rows=counted.slice_rows,
        slice_nbytes=counted.slice_nbytes,
        summary_nbytes=counted.summary_nbytes,
    )

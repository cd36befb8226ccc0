"""A measurement as a notebook shows it.

Covers: ``measurement._repr_html_()``.
Does not cover: plots and text (``measure``), how tables and bars are made (``safeframe.facts.html``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeframe.facts import html
from safeframe.units import format_count, format_nbytes, format_seconds

if TYPE_CHECKING:
    from safeframe.report.measure import Measurement

_WORKERS = 20


def measurement_html(measured: Measurement) -> str:
    """Return what workers used at their peak, beside what plans projected and workers are allowed."""
    projected, allowed = measured.projected_worker_nbytes, measured.allowed_worker_nbytes
    rows: list[tuple[object, object]] = [
        ("peak", f"{format_nbytes(measured.peak_worker_nbytes)} in the fullest worker")
    ]
    if projected is not None and allowed is not None:
        kept = measured.peak_worker_nbytes <= projected
        verdict = html.marked("within the projection" if kept else "ABOVE the projection", good=kept)
        rows.append(
            (
                "projected",
                html.joined(
                    f"{format_nbytes(projected)}, of which {measured.utilization_fraction:.0%} was used: ",
                    verdict,
                ),
            )
        )
        rows.append(("allowed", f"{format_nbytes(allowed)} per worker"))
    if measured.plans:
        rows.append(("rows", f"{format_count(measured.rows_in)} in, {format_count(measured.rows_out)} out"))
    rows.append(("time", format_seconds(measured.seconds)))
    if measured.lost_workers:
        lost = f"{len(measured.lost_workers)} workers; the memory they used is not known"
        rows.append(("lost", html.marked(lost, good=False)))
    return html.page(
        "Measured memory",
        html.facts_table("What the run used", rows),
        *([_workers(measured)] if measured.peaks else []),
    )


def _workers(measured: Measurement) -> html.Markup:
    limit = measured.projected_worker_nbytes or measured.peak_worker_nbytes
    fullest = sorted(measured.peaks.items(), key=lambda pair: -pair[1])
    rows = [
        (worker, html.bar(peak / max(1, limit), f"{format_nbytes(peak)} of {format_nbytes(limit)}"))
        for worker, peak in fullest[:_WORKERS]
    ]
    what = "what was projected" if measured.projected_worker_nbytes else "the fullest one"
    more = f", the {_WORKERS} fullest of {format_count(len(fullest))}" if len(fullest) > _WORKERS else ""
    return html.table(f"Peak of each worker beside {what}{more}", {"worker": False, "peak": False}, rows)

"""Estimates and key statistics as a notebook shows them.

Covers: ``_repr_html_`` of what :func:`safeframe.estimate`, :func:`safeframe.estimate_merge` and
:func:`safeframe.key_statistics` return.
Does not cover: plans (``plan.html``), how tables and colours are made (``html``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from safeframe.facts import html
from safeframe.facts.estimate import format_interval, format_rows
from safeframe.units import format_count, format_key, format_names, format_nbytes, shortened

if TYPE_CHECKING:
    from safeframe.facts.frame import FrameEstimate
    from safeframe.facts.keys import KeyStatistics
    from safeframe.facts.merge import KeyFanout, MergeEstimate

_HEAVIEST = 5
_COLUMNS = 100
_NAME_LENGTH = 60


def frame_html(estimate: FrameEstimate) -> str:
    """Return rows and bytes of a frame, and the bytes of its columns."""
    empty = int((estimate.partition_rows == 0).sum())
    rows = (
        ("rows", format_rows(estimate.rows)),
        ("size", f"{format_interval(estimate.nbytes)} in memory, {estimate.row_nbytes:.4g} B a row"),
        ("partitions", f"{format_count(len(estimate.partition_rows))}, {format_count(empty)} of them empty"),
        (
            "largest",
            (
                f"{format_interval(estimate.largest_partition)} in {format_count(estimate.partition_rows.max(initial=0))} "
                f"rows, {estimate.skew:.3g} times the mean"
            ),
        ),
    )
    columns = estimate.profile.columns
    shown = [
        (
            shortened(str(column.name), _NAME_LENGTH),
            column.dtype,
            f"{column.row_nbytes:.4g} B",
            "exact" if column.exact else "sampled",
        )
        for column in columns[:_COLUMNS]
    ]
    more = f", the first {_COLUMNS} of them" if len(columns) > _COLUMNS else ""
    headings = {"column": False, "type": False, "a row": True, "known": False}
    return html.page(
        "Size of a frame",
        html.facts_table("What is known of it", rows),
        html.folded(
            f"{format_count(len(columns))} columns", html.table(f"Bytes of columns{more}", headings, shown)
        ),
    )


def merge_html(estimate: MergeEstimate) -> str:
    """Return rows and bytes of a join, and the keys that make most of them."""
    on = f" on {format_names(estimate.on)}" if estimate.on else ""
    rows = (
        ("rows", format_rows(estimate.rows)),
        ("size", f"{format_interval(estimate.nbytes)} in memory"),
        (
            "from",
            f"{format_count(estimate.left_rows)} left and {format_count(estimate.right_rows)} right rows",
        ),
        ("fan-out", f"{estimate.fanout:,.1f} rows for each row of the larger side"),
        (
            "no match",
            f"{format_rows(estimate.left_unmatched_rows)} left rows, {format_rows(estimate.right_unmatched_rows)} right rows",
        ),
    )
    tables = [heaviest_keys(estimate.heaviest)] if estimate.heaviest else []
    return html.page(
        f"Size of a {estimate.how} merge{on}", html.facts_table("What is known of the result", rows), *tables
    )


def heaviest_keys(keys: tuple[KeyFanout, ...]) -> html.Markup:
    """Return the keys with most rows in a join as a table."""
    rows = [
        (
            format_key(key.key),
            format_count(key.left_rows),
            format_count(key.right_rows),
            format_count(key.output_rows),
        )
        for key in keys[:_HEAVIEST]
    ]
    columns = {"key": False, "left rows": True, "right rows": True, "rows in the result": True}
    return html.table("The heaviest keys", columns, rows)


def keys_html(keys: KeyStatistics) -> str:
    """Return how many keys there are, and the heaviest."""
    rows = [(label, fact) for label, fact in key_facts(keys)]
    heaviest = [
        (key, format_count(count), f"{count / max(1, keys.rows):.1%}")
        for key, count in keys.heaviest(_HEAVIEST)
    ]
    columns = {"key": False, "rows": True, "of all rows": True}
    tables = [html.table("The heaviest keys", columns, heaviest)] if heaviest else []
    title = f"Keys of {format_names(keys.on)}"
    return html.page(title, html.facts_table("What is known of them", rows), *tables)


def key_facts(keys: KeyStatistics) -> Iterable[tuple[str, str]]:
    """Return what key statistics come to, each with its label."""
    yield "rows", f"{format_count(keys.rows)} in {format_count(len(keys.partitions.rows))} partitions"
    yield "null", format_count(keys.null_rows)
    yield "distinct", format_rows(keys.distinct)
    if keys.minimum is not None:
        yield "range", f"{format_key(keys.minimum)} to {format_key(keys.maximum)}"
    yield "counted", how_counted(keys)
    yield "size", f"{format_nbytes(keys.nbytes)} of statistics"


def how_counted(keys: KeyStatistics) -> str:
    """Return how much of the keys is known, in words."""
    if keys.exact:
        return "every key"
    if keys.sample_fraction == 0.0:
        return "no key: rows of partitions are known, and nothing else"
    error = f" to within {format_count(keys.heavy_error)} rows" if keys.heavy_error else ""
    return f"{keys.sample_fraction:.2%} of the keys, and the heaviest{error}"

"""One picture of the five jobs that README shows: seconds, and memory of the largest process.

It is written as SVG by hand, so that the same results give the same bytes, text stays
text, and it follows the reader's light or dark page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from benchmarks.showcase import ENGINE_NAMES, JOBS, OURS, Comparison
from benchmarks.summaries import FINISHED, Summary
from safeframe.units import format_nbytes, format_seconds

__all__ = ["glance_svg"]

_WIDTH, _TOP, _ROW = 900, 84, 46
_TIME = (210.0, 540.0, 1.0, 1000.0)
"""Left, right, and the seconds at either end."""
_MEMORY = (640.0, 850.0, float(256 << 20), float(4 << 30))
_LIMIT_NBYTES = 1 << 30
_STYLE = """
.page { fill: #ffffff; }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f; }
.small { font-size: 12px; fill: #57606a; } .head { font-weight: 600; }
.grid { stroke: #d0d7de; } .limit { stroke: #57606a; stroke-dasharray: 4 3; }
.safeframe { fill: #1a6f9c; stroke: #1a6f9c; } .dask { fill: #c2571a; stroke: #c2571a; }
.other { fill: #6f42c1; stroke: #6f42c1; } .link { stroke-width: 2; opacity: .35; } .cross { stroke-width: 3; fill: none; }
text.safeframe, text.dask, text.other { stroke: none; }
@media (prefers-color-scheme: dark) {
  .page { fill: #14181e; } text { fill: #e6edf3; } .small { fill: #9da7b1; } .grid { stroke: #3d444d; } .limit { stroke: #9da7b1; }
  .safeframe { fill: #58b4e5; stroke: #58b4e5; } .dask { fill: #f0883e; stroke: #f0883e; }
  .other { fill: #b794f6; stroke: #b794f6; }
}
"""


def glance_svg(comparisons: Mapping[str, Comparison]) -> str:
    """Draw the jobs, a line each: safeframe, dask, and the fastest of the others.

    Parameters
    ----------
    comparisons
        Of all situations, by name.

    Returns
    -------
    str
        An SVG document.
    """
    height = _TOP + _ROW * len(JOBS) + 40
    bottom = _TOP + _ROW * len(JOBS) - 8
    body = [
        _text(16, 24, "Five jobs", "head"),
        _text(_TIME[0], 24, "seconds", "head"),
        _text(_MEMORY[0], 24, "memory of the largest process", "head"),
        *_legend(),
    ]
    for seconds in (1, 10, 100, 1000):
        x = _place(seconds, _TIME)
        body += [
            _line(x, _TOP - 14, x, bottom, "grid"),
            _text(x, bottom + 18, f"{seconds:,}", "small", "middle"),
        ]
    for nbytes in (256 << 20, 1 << 30, 4 << 30):
        x = _place(nbytes, _MEMORY)
        kind = "limit" if nbytes == _LIMIT_NBYTES else "grid"
        body += [
            _line(x, _TOP - 14, x, bottom, kind),
            _text(x, bottom + 18, format_nbytes(nbytes), "small", "middle"),
        ]
    body.append(_text(_place(_LIMIT_NBYTES, _MEMORY), bottom + 33, "limit of a worker", "small", "middle"))
    for number, job in enumerate(JOBS):
        one = comparisons[job.situation]
        body.append(_text(16, _TOP + _ROW * number + 14, job.short))
        body += _job(one, _shown(one), _TOP + _ROW * number + 10)
    described = "; ".join(_described(comparisons[job.situation], job.short) for job in JOBS)
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
                'aria-labelledby="glance-title glance-text">'
            ),
            '<title id="glance-title">Time and memory of safeframe, dask and the best other engine</title>',
            f'<desc id="glance-text">{escape(described)}.</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}" rx="8"/>',
            *body,
            "</svg>",
            "",
        )
    )


def _shown(one: Comparison) -> dict[str, Summary]:
    """Return what is drawn: safeframe, dask, and the fastest of the other engines; by the class of its mark."""
    others = [
        one.summaries[name]
        for name in one.peers
        if not name.startswith("dask") and one.ratio(name) is not None
    ]
    shown = {OURS: one.ours}
    if "dask" in one.summaries:
        shown["dask"] = one.summaries["dask"]
    if others:
        shown["other"] = min(others, key=lambda summary: summary.seconds or 0.0)
    return shown


def _job(one: Comparison, shown: Mapping[str, Summary], y: float) -> Iterable[str]:
    finished = {kind: each for kind, each in shown.items() if each.outcome == FINISHED and each.seconds}
    times = {kind: _place(each.seconds or 1, _TIME) for kind, each in finished.items()}
    texts = {kind: format_seconds(each.seconds or 0) for kind, each in finished.items()}
    stopped = "dask" in shown and shown["dask"].outcome == "timeout"
    if stopped:
        given = one.timeout_seconds("dask")
        times["dask"], texts["dask"] = _place(given, _TIME), f"> {format_seconds(given)}"
    peaks = {kind: _place(each.resident_peak_nbytes, _MEMORY) for kind, each in finished.items()}
    for places in (times, peaks):
        if len(places) > 1:
            yield _line(min(places.values()), y, max(places.values()), y, "link grid")
    for places, said in (
        (times, texts),
        (peaks, {kind: format_nbytes(each.resident_peak_nbytes) for kind, each in finished.items()}),
    ):
        for kind, x in places.items():
            yield _cross(x, y) if places is times and kind == "dask" and stopped else _mark(kind, x, y)
        ordered = sorted(places, key=places.__getitem__)
        for number, kind in enumerate(ordered):
            at, anchor = (-9, "end") if number == 0 else (9, "start")
            # Texts are outside of the outer marks, and above one between them.
            if 0 < number < len(ordered) - 1:
                yield _text(places[kind], y - 10, said[kind], f"small {kind}", "middle")
            else:
                yield _text(places[kind] + at, y + 4, said[kind], f"small {kind}", anchor)
    if "dask" in shown and "dask" not in times:
        yield _text(_TIME[1] + 4, y + 18, f"dask: {shown['dask'].outcome}", "small dask", "end")


def _legend() -> Iterable[str]:
    x = _TIME[0]
    for kind, said in (
        (OURS, "safeframe, 4 workers"),
        ("dask", "dask, the same (✗ stopped, no result)"),
        ("other", "DuckDB or Polars, one process"),
    ):
        yield _mark(kind, x + 6, 42)
        yield _text(x + 17, 46, said, "small")
        x += 40 + 6.6 * len(said)


def _mark(kind: str, x: float, y: float) -> str:
    match kind:
        case "safeframe":
            return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        case "dask":
            return f'<path class="{kind}" d="M {x:.1f} {y - 6:.1f} l 6 11 h -12 z"/>'
        case _:
            return f'<rect class="{kind}" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'


def _cross(x: float, y: float) -> str:
    return f'<path class="dask cross" d="M {x - 5:.1f} {y - 5:.1f} l 10 10 m 0 -10 l -10 10"/>'


def _place(value: float, axis: tuple[float, float, float, float]) -> float:
    left, right, low, high = axis
    return left + (right - left) * math.log(value / low) / math.log(high / low)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _described(one: Comparison, title: str) -> str:
    said = [
        f"{ENGINE_NAMES[each.engine]} {format_seconds(each.seconds)} and {format_nbytes(each.resident_peak_nbytes)}"
        if each.outcome == FINISHED and each.seconds
        else f"{ENGINE_NAMES[each.engine]} no result"
        for each in _shown(one).values()
    ]
    return f"{title}: {', '.join(said)}"

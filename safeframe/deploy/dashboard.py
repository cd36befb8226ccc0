"""A page of the scheduler's dashboard: each worker's memory beside what the plans projected.

``safeframe.LocalCluster`` has the page. Another scheduler serves it when this module is among the routes that it
reads when it starts, in ``distributed.scheduler.http.routes``.

Covers: the page, and the highest memory of each worker since the last plan began.
Does not cover: what is sent when a plan begins (``safeframe.engine.announced``).
"""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

from distributed import SchedulerPlugin
from tornado import web
from tornado.ioloop import PeriodicCallback

from safeframe import options
from safeframe._dask.cluster import has_plugin, resident_nbytes_of_workers, serve_page
from safeframe.engine.announced import TOPIC
from safeframe.units import format_count, format_nbytes

PATH = "safeframe"


class MemoryWatch(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped
    """Keeps the highest memory of each worker since the last plan began, of what workers report anyway."""

    name = "safeframe-dashboard"

    def __init__(self) -> None:
        self.idempotent = True
        self.peaks: dict[str, int] = {}
        self._scheduler: Any = None
        self._looking: PeriodicCallback | None = None

    async def start(self, scheduler: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.start`."""
        self.watch(scheduler)
        serve_page(scheduler, f"/{PATH}", PlansPage, {"dask_server": scheduler, "watch": self})

    def watch(self, scheduler: Any) -> None:
        """Begin to look at the workers of a scheduler."""
        self._scheduler = scheduler
        self._looking = PeriodicCallback(self._look, options.DASHBOARD_LOOK_SECONDS * 1000)
        self._looking.start()

    def _look(self) -> None:
        for address, (_, _, nbytes) in resident_nbytes_of_workers(self._scheduler).items():
            self.peaks[address] = max(nbytes, self.peaks.get(address, 0))

    def log_event(self, topic: str, msg: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.log_event`: with each plan the peaks begin anew."""
        if topic == TOPIC:
            self.peaks.clear()

    async def close(self) -> None:
        """See :meth:`distributed.SchedulerPlugin.close`."""
        if self._looking is not None:
            self._looking.stop()


class PlansPage(web.RequestHandler):
    """The page."""

    def initialize(
        self, dask_server: Any = None, extra: dict[str, Any] | None = None, watch: MemoryWatch | None = None
    ) -> None:
        """See :meth:`tornado.web.RequestHandler.initialize`."""
        self.scheduler = dask_server
        self.peaks = _watch_of(dask_server, watch).peaks

    def get(self) -> None:
        """Write the page as of now."""
        plans: list[tuple[float, dict[str, Any]]] = []
        for at, plan in self.scheduler.get_events(TOPIC):
            if plans and plans[-1][1] == plan:
                plans.pop()  # a graph is made, and its plan told, as often as a collection is computed
            plans.append((at, plan))
        workers = [
            (name, limit, now, max(now, self.peaks.get(address, 0)))
            for address, (name, limit, now) in resident_nbytes_of_workers(self.scheduler).items()
        ]
        self.write(page_of(plans[-options.DASHBOARD_PLANS :][::-1], sorted(workers), time.time()))


_watches: dict[str, MemoryWatch] = {}
"""Of schedulers whose page came with their routes, by their ids."""


def _watch_of(scheduler: Any, given: MemoryWatch | None) -> MemoryWatch:
    """Return who watches a scheduler; somebody new where the page is the first sign of us there."""
    if given is not None:
        return given
    if scheduler.id not in _watches or not has_plugin(scheduler, MemoryWatch.name):
        watch = _watches[scheduler.id] = MemoryWatch()
        scheduler.add_plugin(watch, name=watch.name)
        watch.watch(scheduler)
    return _watches[scheduler.id]


routes: list[tuple[str, type, dict[str, Any]]] = [(PATH, PlansPage, {})]
"""What distributed reads of a module among ``distributed.scheduler.http.routes``."""


def page_of(
    plans: Sequence[tuple[float, dict[str, Any]]], workers: Sequence[tuple[str, int, int, int]], now: float
) -> str:
    """Return the page.

    Parameters
    ----------
    plans
        Those that began last, the newest first, each with the time when it did.
    workers
        Name, limit (0 for none), memory now and at its highest, of each.
    now
        The time.
    """
    projected = plans[0][1]["projected_nbytes"] if plans else 0
    return _PAGE.format(
        seconds=options.DASHBOARD_REFRESH_SECONDS,
        heading=_heading(plans, now),
        workers="".join(_worker(worker, projected) for worker in workers)
        or '<tr><td colspan="7">No worker is connected.</td></tr>',
        plans="".join(_plan(at, plan, now) for at, plan in plans)
        or '<tr><td colspan="6">No plan has begun since this scheduler was started.</td></tr>',
    )


def _heading(plans: Sequence[tuple[float, dict[str, Any]]], now: float) -> str:
    if not plans:
        return "Memory of the workers; a projection is shown when a recipe runs."
    at, plan = plans[0]
    return (
        f"<b>{html.escape(plan['recipe'])}</b> by strategy <b>{html.escape(plan['strategy'])}</b>, begun {_ago(now - at)} "
        f"ago: projected <b>{format_nbytes(plan['projected_nbytes'])}</b> of {format_nbytes(plan['allowed_nbytes'])} "
        f"at a worker's peak, {format_count(plan['output_rows'])} rows."
    )


def _worker(worker: tuple[str, int, int, int], projected: int) -> str:
    name, limit, now, peak = worker
    whole = max(limit, projected, peak, 1)
    over = ' class="over"' if projected and peak > projected else ""
    marks = f'<i class="peak" style="left:{100 * peak / whole:.1f}%"></i>'
    if projected:
        marks += f'<i class="projected" style="left:{100 * projected / whole:.1f}%"></i>'
    bar = f'<div class="bar" aria-hidden="true"><b style="width:{100 * now / whole:.1f}%"></b>{marks}</div>'
    share = f"{peak / projected:.0%}" if projected else "–"
    cells = [
        format_nbytes(projected) if projected else "–",
        format_nbytes(now),
        format_nbytes(peak),
        share,
    ]
    return (
        f'<tr{over}><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + f"<td>{format_nbytes(limit) if limit else 'none'}</td><td>{bar}</td></tr>"
    )


def _plan(at: float, plan: dict[str, Any], now: float) -> str:
    steps = "".join(
        f"<li>{html.escape(str(kind))}: {format_count(tasks)} tasks, {format_nbytes(nbytes)}</li>"
        for kind, tasks, nbytes in plan["steps"]
    )
    return (
        f'<tr><th scope="row">{html.escape(plan["recipe"])}</th><td>{html.escape(plan["strategy"])}</td>'
        f"<td>{_ago(now - at)} ago</td><td>{format_nbytes(plan['projected_nbytes'])}</td>"
        f"<td>{format_count(plan['output_rows'])} rows, {format_nbytes(plan['output_nbytes'])}</td>"
        f"<td><ul>{steps}</ul></td></tr>"
    )


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>safeframe: projected and measured memory</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{seconds}">
<style>
:root {{ color-scheme: light dark; --line: #8884; --used: #4c78a8; --mark: #e45756; }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; }} h2 {{ font-size: 1.05rem; margin-top: 2rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }}
th:first-child, td:last-child, th:last-child, caption {{ text-align: left; }}
td:last-child {{ width: 40%; min-width: 10rem; white-space: normal; }}
ul {{ margin: 0; padding-left: 1rem; }}
.bar {{ position: relative; height: 1.1rem; background: var(--line); border-radius: 3px; }}
.bar b {{ position: absolute; inset: 0 auto 0 0; background: var(--used); border-radius: 3px; }}
.bar i {{ position: absolute; top: -2px; bottom: -2px; width: 2px; transform: translateX(-2px); }}
.bar .peak {{ background: currentColor; }} .bar .projected {{ background: var(--mark); width: 3px; }}
.over th, .over td {{ font-weight: bold; color: var(--mark); }}
.key span {{ display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; vertical-align: -1px; }}
</style></head><body>
<p><a href="status">dask's dashboard</a></p>
<h1>Projected and measured memory</h1>
<p>{heading}</p>
<div class="wide"><table>
<thead><tr><th scope="col">worker</th><th scope="col">projected</th><th scope="col">now</th>
<th scope="col">highest since then</th><th scope="col">of the projection</th><th scope="col">limit</th>
<th scope="col">0 to the limit</th></tr></thead>
<tbody>{workers}</tbody></table></div>
<p class="key"><span style="background:var(--used)"></span>now
<span style="background:currentColor;width:2px"></span>highest
<span style="background:var(--mark);width:3px"></span>projected</p>
<h2>Plans that began last</h2>
<div class="wide"><table>
<thead><tr><th scope="col">recipe</th><th scope="col">strategy</th><th scope="col">begun</th>
<th scope="col">projected</th><th scope="col">result</th><th scope="col">steps, with a worker's projected peak</th>
</tr></thead><tbody>{plans}</tbody></table></div>
</body></html>
"""

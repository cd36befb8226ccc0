"""Progress of what a user computes with dask's own calls: ``compute``, ``persist``, dask's ``to_parquet``.

A recipe's graph is made within the call. What is to be shown is noted there, and shown once the tasks run:

- a cluster's, while ``Client.get`` waits for the results;
- a local scheduler's, between the calls by which dask tells that it begins and that it is done;
- of ``persist`` and ``Client.compute`` on a cluster, which return at once, by a thread that ends with the tasks. A
  terminal has a prompt by then that bars would be drawn over; it shows none of these.

Nothing is noted where nobody looks, or where a graph is made for something else, as by ``optimize``.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask.callbacks import Callback

from safeframe import config, options
from safeframe._dask.calls import DaskCall, around_results, call_in_progress
from safeframe._dask.cluster import client_of_compute, failed_groups, group_counts, inside_worker
from safeframe.engine.planned.bars import PlanBars, Steps
from safeframe.facts.plan import Plan
from safeframe.progress.board import progress
from safeframe.progress.tasks import LocalTasks, TaskBars, followed
from safeframe.progress.views import TerminalView, view_of

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_calls: dict[int, _FollowedCall] = {}
"""By thread: the call that it is in, or was in last, as long as no tasks of it are known to run."""


class _NotDoneError(Exception):
    """Tasks failed, or nothing is known of them any more: their bars are not at their end."""


class _FollowedCall:
    """A call of the user's, and the steps of recipes that it runs."""

    def __init__(self, call: DaskCall, asked: bool | None) -> None:
        self.call = call
        self._asked = asked
        self._thread = threading.get_ident()
        self._made: list[tuple[str, list[tuple[str, int]], Plan | None]] = []
        with _lock:
            _calls[self._thread] = self

    def add(self, recipe: str, steps: Steps, plan: Plan | None) -> None:
        """Note some steps of a recipe; they may be known already."""
        self._made.append((recipe, steps(), plan))

    def names(self) -> set[str]:
        """Return the names of all steps."""
        return {name for _, steps, _ in self._made for name, _ in steps}

    def runs(self) -> None:
        """Note that its tasks run: the thread's next call is another."""
        with _lock:
            if _calls.get(self._thread) is self:
                del _calls[self._thread]

    @contextmanager
    def bars(self, *, apart: bool = False) -> Iterator[TaskBars]:
        """Show its bars while the block runs; see :func:`safeframe.progress.board.progress`."""
        with contextlib.suppress(_NotDoneError), progress(self._asked, apart=apart) as board:
            bars = PlanBars(board, once_seen=True)
            for recipe, steps, plan in self._made:
                bars.add(recipe, steps.copy, plan)
            yield bars.tasks


def follow_call(recipe: str, steps: Steps, plan: Plan | None) -> None:
    """Show the steps of a recipe, whose graph is being made, if it is made for a call that computes."""
    try:
        call = call_in_progress()
        if call is None or inside_worker():
            return
        with _lock:
            known = _calls.get(threading.get_ident())
        made = known if known is not None and known.call == call else _begun(call)
        if made is not None:
            made.add(recipe, steps, plan)
    except Exception as error:  # noqa: BLE001  no result depends on it
        logger.debug("A call is not followed: %r", error)


def _begun(call: DaskCall) -> _FollowedCall | None:
    asked = config.progress()
    view = view_of(asked)
    client = client_of_compute()
    if view is None or (client is not None and client.asynchronous):
        return None
    if call.waits:
        made = _FollowedCall(call, asked)
        _local_runs.register()  # a call may name a local scheduler whatever client there is
        if client is not None:
            around_results(client, call, functools.partial(_while_it_waits, made))
        return made
    if client is None or isinstance(view, TerminalView):
        return None
    made = _FollowedCall(call, asked)
    thread = threading.Thread(
        target=_until_done, args=(made, client), name="safeframe-progress-call", daemon=True
    )
    thread.start()
    return made


def _while_it_waits(made: _FollowedCall, gathering: Callable[[], Any]) -> Any:
    """Wait for the results of a cluster."""
    made.runs()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(followed(stack.enter_context(made.bars())))
        except Exception as error:  # noqa: BLE001  no result depends on it
            logger.debug("A call is not followed: %r", error)
        return gathering()


def _until_done(made: _FollowedCall, client: Any) -> None:
    """Show tasks of a cluster that nobody waits for, once they are there."""
    began, counts = time.monotonic(), _asked(client, made, group_counts)
    while not counts and time.monotonic() - began < options.PROGRESS_WAIT_SECONDS and counts is not None:
        time.sleep(options.PROGRESS_POLL_SECONDS)
        counts = _asked(client, made, group_counts)
    made.runs()
    if not counts:
        return
    with made.bars(apart=True) as bars:
        while counts:
            bars.seen(counts)
            if all(done == total for done, total in counts.values()):
                break
            time.sleep(options.PROGRESS_POLL_SECONDS)
            counts = _asked(client, made, group_counts)
        if counts is None or _asked(client, made, failed_groups):
            raise _NotDoneError


def _asked(client: Any, made: _FollowedCall, question: Callable[..., Any]) -> Any:
    """Ask a scheduler about the tasks of a call; None where it does not answer."""
    try:
        return client.run_on_scheduler(question, names=made.names())
    except Exception as error:  # noqa: BLE001  it is gone, or has no safeframe
        logger.debug("The scheduler does not say how far it is: %r", error)
        return None


class _LocalRuns(Callback):  # type: ignore[misc]  # dask is untyped
    """Calls that run with a scheduler in this process.

    Once registered it stays so: dask calls back with the set of what is registered out of reach.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[int, tuple[contextlib.ExitStack, LocalTasks]] = {}

    def _start(self, dsk: Mapping[Hashable, Any]) -> None:
        with _lock:
            made = _calls.get(threading.get_ident())
        # Another one may run within a call, as when files are looked at.
        if made is None or made.names().isdisjoint(key[0] for key in dsk if isinstance(key, tuple)):
            return
        made.runs()
        stack = contextlib.ExitStack()
        try:
            tasks = LocalTasks(stack.enter_context(made.bars()))
        except Exception as error:  # noqa: BLE001  no result depends on it
            logger.debug("A call is not followed: %r", error)
            return
        tasks.begin(dsk)
        self._running[threading.get_ident()] = stack, tasks

    def _posttask(self, key: Hashable, *args: Any) -> None:
        running = self._running.get(threading.get_ident())
        if running is not None:
            running[1].done(key)

    def _finish(self, dsk: Mapping[Hashable, Any], state: Any, failed: bool) -> None:
        running = self._running.pop(threading.get_ident(), None)
        if running is not None:
            with running[0]:
                if failed:
                    raise _NotDoneError


_local_runs = _LocalRuns()

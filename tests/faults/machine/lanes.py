"""Runs many trials, some side by side: most of a trial is waiting, for a worker to come back or a store to be asked again.

A lane is a process with a cluster and an object store of its own. Seeds are handed out one by one, in order, to the lane
that is free, so that faults have their turns however long each takes; a trial does not depend on the lane that it is in.

Covers: lanes, handing out seeds.
Does not cover: a trial (``run``), the total (``table``).
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast

from tests.faults.machine.plan import Trial
from tests.faults.machine.run import Outcome, run_trial
from tests.faults.machine.scene import Pool

__all__ = ["run_trials"]


def run_trials(
    seeds: Iterable[int],
    report: Callable[[Outcome], None],
    *,
    lanes: int = 2,
    seconds: float | None = None,
) -> None:
    """Run the trials of seeds, until the time is over.

    Parameters
    ----------
    seeds
        Which.
    report
        Called with what came of each, as it comes.
    lanes
        How many run side by side.
    seconds
        For how long new ones begin; None for no bound.

    Raises
    ------
    EOFError
        When a lane has died.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    waiting = iter(seeds)
    context = multiprocessing.get_context("spawn")
    processes, open_lanes = [], []
    for _ in range(lanes):
        ours, theirs = context.Pipe()
        process = context.Process(target=_run_lane, args=(theirs,))
        process.start()
        theirs.close()
        processes.append(process)
        open_lanes.append(ours)
    try:
        while open_lanes:
            for lane in cast("list[Connection]", wait(open_lanes)):
                outcome: Outcome | None = lane.recv()
                if outcome is not None:
                    report(outcome)
                over = deadline is not None and time.monotonic() > deadline
                seed = None if over else next(waiting, None)
                lane.send(seed)
                if seed is None:
                    open_lanes.remove(lane)
    finally:
        for lane in open_lanes:
            lane.close()
        for process in processes:
            process.join()


def _run_lane(connection: Connection) -> None:
    """Run trials as they come, until no more do."""
    warnings.simplefilter("ignore")
    pool = Pool()
    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as directory:
            connection.send(None)
            while (seed := connection.recv()) is not None:
                connection.send(run_trial(Trial.of(seed), pool, Path(directory)))
    except EOFError:
        pass  # who hands out seeds has gone
    finally:
        pool.close()

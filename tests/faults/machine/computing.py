"""Runs a trial's recipe: in this process, or in one of its own that can be killed."""

from __future__ import annotations

import pickle
import signal
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dask.dataframe as dd
from distributed import Client

from tests.faults.machine.phases import PhaseWatch
from tests.faults.machine.processes import forks
from tests.faults.machine.recipes import RECIPES, plain_result

__all__ = ["KilledError", "computed", "computed_elsewhere", "read_local", "set_running"]

_ANSWER = "answer.pickle"


class KilledError(Exception):
    """The process that computed was killed."""


def set_running(dask_scheduler: Any) -> None:
    """Tell the scheduler's watch that the plan is made; to be run there."""
    dask_scheduler.plugins[PhaseWatch.name].planning = False


def read_local(directory: Path) -> tuple[dd.DataFrame, dd.DataFrame]:
    """Read a trial's datasets from its directory."""
    return dd.read_parquet(directory / "left"), dd.read_parquet(directory / "right")


def computed(
    name: str,
    directory: Path,
    staging: str,
    planned: Callable[[], None],
    read: Callable[[Path], tuple[dd.DataFrame, dd.DataFrame]] = read_local,
) -> Any:
    """Plan and run a recipe.

    Parameters
    ----------
    name
        The recipe's.
    directory
        Where the trial has its datasets, and puts its output.
    staging
        Where it stages.
    planned
        Called between planning and running.
    read
        Reads both datasets.
    """
    recipe = RECIPES[name]
    lazy = recipe.build(*read(directory), staging)
    planned()
    return plain_result(recipe, lazy, directory / "output" / "out")


def computed_elsewhere(
    address: str, name: str, directory: Path, staging: str, started: Callable[[int], None]
) -> Any:
    """Plan and run a recipe in a process of its own.

    Raises
    ------
    KilledError
        When it was killed.
    """
    context = forks()
    connection, other = context.Pipe()
    process = context.Process(target=_compute, args=(other, address, name, str(directory), staging))
    process.start()
    other.close()
    try:
        started(process.pid)
        # It waits until its number is known here.
        connection.send("go")
        process.join()
    finally:
        connection.close()
        if process.exitcode is None:
            process.kill()
            process.join()
    if process.exitcode == -signal.SIGKILL:
        msg = "SIGKILL"
        raise KilledError(msg)
    answer = pickle.loads((directory / _ANSWER).read_bytes())
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _compute(connection: Connection, address: str, name: str, directory: str, staging: str) -> None:
    """Compute, and leave the result in a file."""
    connection.recv()
    warnings.simplefilter("ignore")
    answer: Any
    with Client(address) as client:
        try:
            answer = computed(name, Path(directory), staging, lambda: client.run_on_scheduler(set_running))
        except Exception as error:  # noqa: BLE001  # it is raised by who started this process
            answer = error
    Path(directory, _ANSWER).write_bytes(pickle.dumps(answer))

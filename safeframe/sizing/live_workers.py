"""Queries workers, and sets them up, while some of them come and go.

A broadcast of dask's fails as a whole when one worker dies before it has answered.
Here it is repeated for the workers that live, a few times: one that died is no
longer queried, and one that joined meanwhile is.

Covers: running a function on each worker; plugins for those of now and of later.
Does not cover: what is queried (``cluster``, ``p2p``), asynchronous clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from safeframe import options
from safeframe._dask.cluster import remove_plugin
from safeframe.errors import ClusterError

T = TypeVar("T")

_PAUSES_SECONDS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""What is waited before each try: a scheduler knows of a killed process at once, of a lost connection later."""


def ask_workers(client: Any, function: Callable[..., T], *args: Any) -> dict[str, T]:
    """Run a function on every worker that lives.

    Parameters
    ----------
    client
        A synchronous client.
    function
        Run on each worker once, outside of tasks; one that takes ``dask_worker`` gets it.
    *args
        What it takes.

    Returns
    -------
    dict
        The answers by address, of workers that live. One that cannot be reached after
        several tries is left out, when others can be.

    Raises
    ------
    ClusterError
        When no worker answers.
    """
    answers: dict[str, T] = {}
    failed: OSError | None = None
    wanted: list[str] | None = None
    for pause in _PAUSES_SECONDS:
        time.sleep(pause)
        try:
            given = client.run(function, *args, workers=wanted, on_error="return")
            living = living_workers(client).keys()
            if not living:
                client.wait_for_workers(1, timeout=options.NEW_WORKER_SECONDS)
        except OSError as error:
            failed = error
            continue
        for worker, answer in given.items():
            if isinstance(answer, OSError):
                failed = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers[worker] = answer
        answers = {worker: answer for worker, answer in answers.items() if worker in living}
        wanted = sorted(living - answers.keys()) or None
        if answers and wanted is None:
            break
    if not answers:
        raise _no_answer(client) from failed
    return answers


def living_workers(client: Any) -> dict[str, Any]:
    """Return what the scheduler knows of each worker, by address.

    Raises
    ------
    ClusterError
        When the client has no scheduler any more.
    """
    try:
        # Empty without a scheduler, where a cluster without workers has an empty entry.
        known: dict[str, Any] | None = client.scheduler_info(n_workers=-1).get("workers")
    except OSError as error:
        raise _no_answer(client) from error
    if known is None:
        raise _no_answer(client)
    return known


def register_on_workers(client: Any, plugin: Any) -> None:
    """Register a plugin, which has a name, on the workers that live and on those that join.

    Raises
    ------
    ClusterError
        When a worker that is said to live cannot be reached.
    """
    failed: OSError | None = None
    for pause in _PAUSES_SECONDS:
        time.sleep(pause)
        try:
            # Again from the start: a plugin replaces the one of its name.
            client.register_plugin(plugin, name=plugin.name)
        except OSError as error:
            failed = error
        else:
            return
    raise _no_answer(client) from failed


def unregister_on_workers(client: Any, name: str) -> None:
    """Remove a worker plugin from the workers that live."""
    try:
        client.unregister_worker_plugin(name)
    except OSError:
        # The scheduler has forgotten it by then, and does not ask workers twice.
        ask_workers(client, remove_plugin, name)


def _no_answer(client: Any) -> ClusterError:
    if client.scheduler is None:
        msg, hint = (
            "The client has lost its scheduler.",
            "Connect a client to a running scheduler, and try again.",
        )
        return ClusterError(msg, hint=hint)
    msg = f"No answer from the workers of the cluster at {client.scheduler.address} after {len(_PAUSES_SECONDS)} tries."
    hint = "Check the logs of the scheduler and the workers for why workers end, and try again when they stay alive."
    return ClusterError(msg, hint=hint, tries=len(_PAUSES_SECONDS))

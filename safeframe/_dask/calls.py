"""Calls of dask's by which a user computes: which one this code runs for, and when it waits for its results.

Covers: ``dask.compute`` and ``dask.persist``, which methods of collections and ``to_parquet`` end in;
``Client.compute`` and ``Client.persist``, which do not wait.

dask calls back for tasks of its local schedulers alone. Of a cluster's, ``Client.get`` waits for
results by ``Client.gather``, and nothing public tells that it begins to, or is done.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client

__all__ = ["DaskCall", "around_results", "call_in_progress"]

Gathering = Callable[[], Any]

_WAITS = {
    dask.compute.__code__: True,
    dask.persist.__code__: True,  # with a local scheduler; a client's is in the stack, too
    Client.compute.__code__: False,
    Client.persist.__code__: False,
}

_expected: dict[int, tuple[DaskCall, Callable[[Gathering], Any]]] = {}


@dataclass(frozen=True, slots=True)
class DaskCall:
    """A call by which a user computes, while it runs."""

    number: int
    """Tells it from other calls that run."""
    waits: bool
    """Whether it returns when the tasks are done."""


def call_in_progress() -> DaskCall | None:
    """Return the innermost such call that this code runs in; None where a graph is made for something else."""
    frame = inspect.currentframe()
    while frame is not None:
        waits = _WAITS.get(frame.f_code)
        if waits is not None:
            return DaskCall(id(frame), waits)
        frame = frame.f_back
    return None


def around_results(client: Client, call: DaskCall, around: Callable[[Gathering], Any]) -> None:
    """Have a function called when a call of this thread's begins to wait for its results.

    Parameters
    ----------
    client
        The client that will wait.
    call
        The call that runs.
    around
        Is given what waits, and returns what that does.
    """
    own = vars(client).get("gather")
    if own is None:
        vars(client)["gather"] = functools.partial(_gathered, client)
    elif getattr(own, "func", None) is not _gathered:
        return  # of the user's
    _expected[threading.get_ident()] = call, around


def _gathered(client: Client, *args: Any, **kwargs: Any) -> Any:
    gathering = functools.partial(type(client).gather, client, *args, **kwargs)
    call, around = _expected.get(threading.get_ident(), (None, None))
    if around is None or call_in_progress() != call:
        return gathering()
    _expected.pop(threading.get_ident())
    if not _expected:
        vars(client).pop("gather", None)
    return around(gathering)

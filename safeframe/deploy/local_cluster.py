"""A cluster of small workers on this machine.

Covers: :class:`LocalCluster`, which is dask's with other settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import distributed

from safeframe.choices import check_count
from safeframe.deploy.dashboard import MemoryWatch
from safeframe.deploy.nanny import SmallWorkerNanny, saturation
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.units import parse_nbytes


class LocalCluster(distributed.LocalCluster):  # type: ignore[misc]  # distributed is untyped
    """dask's LocalCluster with the settings that small workers need.

    Parameters
    ----------
    n_workers
        Number of worker processes.
    memory_limit
        Memory limit of each worker: bytes, a string such as ``"1GiB"``, a
        fraction of the machine's memory as a float, or ``"auto"`` for an equal
        share.
    threads_per_worker
        Number of tasks that each worker runs at the same time; they share its
        memory.
    worker_class
        Class of the workers' nannies, derived from ``SmallWorkerNanny``.
    scheduler_kwargs
        Keyword arguments for the scheduler.
    **kwargs
        Further arguments of :class:`distributed.LocalCluster`, such as
        ``dashboard_address``, ``asynchronous``, ``local_directory``; ``env`` and
        ``config`` (environment and dask settings of the workers) take precedence
        over the settings made here.

    Raises
    ------
    ValidationError
        When ``memory_limit`` is not a limit.
    UnsupportedError
        For workers that are threads of this process.

    Notes
    -----
    The settings apply to the workers and the scheduler of this cluster, not to
    this process: neither its environment nor ``dask.config`` changes, except
    that a worker's environment variables are set here while its process starts
    and inherits them. Values that you have set in the environment, in
    ``dask.config`` or in an argument are kept.

    The dashboard has a page ``/safeframe`` more: each worker's memory beside
    what the plan that runs has projected.

    Examples
    --------
    >>> import safeframe, distributed
    >>> with safeframe.LocalCluster(n_workers=4, memory_limit="1GiB") as cluster:  # doctest: +SKIP
    ...     with distributed.Client(cluster):
    ...         safeframe.merge(left, right, on="key").to_parquet("result")
    """

    def __init__(
        self,
        n_workers: int | None = 4,
        memory_limit: str | float | None = "1GiB",
        threads_per_worker: int | None = 1,
        *,
        worker_class: type[SmallWorkerNanny] | None = None,
        scheduler_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not memory_limit:
            msg = f"memory_limit={memory_limit!r} lets each worker use all of the machine's memory."
            hint = 'Give each worker a size, as memory_limit="1GiB", or an equal share with "auto".'
            raise ValidationError(msg, hint=hint)
        _check_limit(memory_limit)
        check_count(threads_per_worker, argument="threads_per_worker", what="a number of threads")
        if n_workers != 0 or isinstance(n_workers, bool):  # none: a cluster that is to be scaled
            check_count(n_workers, argument="n_workers", what="a number of workers")
        nanny = worker_class or SmallWorkerNanny
        if not kwargs.get("processes", True) or not issubclass(nanny, SmallWorkerNanny):
            msg = "Only workers in processes that a SmallWorkerNanny starts can have settings of their own."
            hint = (
                "Use distributed.LocalCluster for workers that are threads of this process, and derive a custom "
                "nanny from safeframe.deploy.nanny.SmallWorkerNanny."
            )
            raise UnsupportedError(msg, hint=hint)
        plugins = [*saturation(), MemoryWatch(), *(scheduler_kwargs or {}).get("plugins", ())]
        # Without a dashboard the scheduler serves its metrics all the same, on dask's usual port, which may be taken.
        without = {"dashboard": False, "dashboard_address": ":0"}
        served = without if kwargs.get("dashboard_address", "") is None else {}
        super().__init__(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            memory_limit=memory_limit,
            worker_class=nanny,
            scheduler_kwargs={**served, **(scheduler_kwargs or {}), "plugins": plugins},
            **kwargs,
        )


def _check_limit(memory_limit: str | float) -> None:
    """Refuse a limit that dask cannot parse, before processes start."""
    hint = 'Write a size as "1GiB" or an int of bytes, "auto" for an equal share, or a share as a float.'
    if memory_limit == "auto":
        return
    try:
        # As dask does it: numbers, in strings too, are bytes, or up to 1 a share of the machine's memory.
        good = not isinstance(memory_limit, bool) and 0 < float(memory_limit) < math.inf
    except (ValueError, TypeError):
        good = isinstance(memory_limit, str)
        if good:
            parse_nbytes(memory_limit, argument="memory_limit")
    if not good:
        msg = f"memory_limit={memory_limit!r} is not a size."
        raise ValidationError(msg, hint=hint)

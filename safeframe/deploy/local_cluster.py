"""A cluster of small workers on this machine.

Covers: :class:`LocalCluster`, which is dask's with other settings.
Does not cover: clusters that run already (``tune``), what the settings are (``settings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import distributed
from dask.utils import parse_bytes

from safeframe.choices import check_count
from safeframe.deploy.nanny import SmallWorkerNanny, saturation
from safeframe.errors import UnsupportedError, ValidationError

__all__ = ["LocalCluster"]


class LocalCluster(distributed.LocalCluster):  # type: ignore[misc]  # distributed is untyped
    """dask's LocalCluster, with every setting that small workers need already right.

    Parameters
    ----------
    n_workers
        Worker processes.
    memory_limit
        What each may use: bytes, a string such as ``"1GiB"``, a share of the
        machine's memory as a float, or ``"auto"`` for an equal share.
    threads_per_worker
        Tasks that each runs at the same time; they share its memory.
    worker_class
        Class of the workers' nannies, one that derives from ``SmallWorkerNanny``.
    scheduler_kwargs
        For the scheduler.
    **kwargs
        Everything else that :class:`distributed.LocalCluster` takes, such as
        ``dashboard_address``, ``asynchronous``, ``local_directory``; ``env`` and
        ``config`` (environment and dask settings of the workers) go before the
        settings made here.

    Raises
    ------
    ValidationError
        When ``memory_limit`` is no limit.
    UnsupportedError
        For workers that are no processes of their own.

    Notes
    -----
    Settings are those of the workers, and of the cluster's scheduler. Nothing of
    them stays in this process: neither in its environment nor in ``dask.config``.
    A value that you have set yourself, as an environment variable, in
    ``dask.config`` or in an argument, is left as it is. While a worker process
    starts, its variables are in this process's environment, for it inherits them.

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
            msg = "Workers that are no processes of their own, started by our nanny, cannot have settings of their own."
            hint = (
                "Use distributed.LocalCluster for workers that are threads of this process; a nanny of your own "
                "has to derive from safeframe.deploy.nanny.SmallWorkerNanny."
            )
            raise UnsupportedError(msg, hint=hint)
        plugins = [*saturation(), *(scheduler_kwargs or {}).get("plugins", ())]
        super().__init__(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            memory_limit=memory_limit,
            worker_class=nanny,
            scheduler_kwargs={**(scheduler_kwargs or {}), "plugins": plugins},
            **kwargs,
        )


def _check_limit(memory_limit: str | float) -> None:
    """Refuse what dask would not read, before it starts processes."""
    try:
        good = memory_limit == "auto" or float(parse_bytes(memory_limit)) > 0
    except (ValueError, TypeError):
        good = False
    if not good or isinstance(memory_limit, bool):
        msg = f"memory_limit={memory_limit!r} is not a size."
        raise ValidationError(
            msg, hint='Write a size as "1GiB" or an int of bytes, or "auto" for an equal share.'
        )

"""``safeframe.rechunk``: an array with other chunks, on small workers."""

from __future__ import annotations

from typing import Any

import dask.array as da
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from safeframe.engine.exchange.runs import prepare_runs
from safeframe.engine.planned.layer import PlannedLayer, flat_keys
from safeframe.engine.rechunk.graph import RechunkGraph
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.prepare.rechunk import GivenChunks, plan_chunks
from safeframe.sizing.planned_cluster import planned_for


def rechunk(
    array: da.Array,
    chunks: Any = "auto",
    *,
    memory: str | int | None = None,
    staging: str | None = None,
    threshold: float | None = None,
    block_size_limit: str | int | None = None,
    balance: bool = False,
    method: str | None = None,
) -> da.Array:
    """Rechunk a dask array.

    Parameters
    ----------
    array
        The dask array, of any shape and of any dtype except Python objects.
    chunks
        The new chunks, in any form that :meth:`dask.array.Array.rechunk`
        takes: a length, ``-1`` for a whole axis, ``"auto"``, a size such as
        ``"64MiB"``, a tuple of these, of tuples of lengths, or of None for an
        axis that stays as it is, or a dictionary by axis.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    threshold
        Accepted without effect: it bounds dask's intermediate graphs, which are not used.
    block_size_limit
        Maximum size of a chunk where ``"auto"`` leaves its length open, as
        ``"64MiB"`` or in bytes; by default a sixth of what one task may use.
    balance
        Whether to make the lengths of chunks as equal as dask does.
    method
        ``"tasks"`` has no effect; ``"p2p"`` is refused, because P2P has no memory bound.

    Returns
    -------
    dask.array.Array
        Lazy. The array with the new chunks.

    Raises
    ------
    SchemaMismatchError
        When ``array`` is not a dask array.
    UnsupportedError
        When chunks have unknown sizes, are not numpy arrays, or hold Python
        objects.
    ValidationError
        When ``chunks`` do not match the array, or when there is no directory
        that all workers can reach.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers because an
        input or output chunk is too large.
    RowConservationError
        At compute time, when a chunk's shape differs from that of the array's
        ``chunks``.

    Notes
    -----
    **Eager.** Nothing of the array is computed. With a client, there is one
    round trip to each worker.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of: an input chunk twice (while it is computed),
    the chunks that are staged with it, and a piece; an output chunk twice
    (itself, and in the task that uses it), and a piece.

    **Disk.** The array once; twice if it passes through intermediate chunks.

    **Passes.** One over the array, which is written and read once, or two or
    three times if direct rechunking would cut it into too many pieces.

    The intermediate chunks follow the planner of pangeo's rechunker; tasks have
    a memory bound as in cubed.

    Examples
    --------
    >>> import dask.array as da, safeframe
    >>> columns = da.ones((600, 400), chunks=(600, 50))
    >>> rows = safeframe.rechunk(columns, (50, -1))
    >>> rows.numblocks, float(rows.sum().compute())
    ((12, 1), 240000.0)
    """
    given = GivenChunks(
        chunks=chunks, threshold=threshold, block_size_limit=block_size_limit, balance=balance, method=method
    )
    planned = plan_chunks(array, given, memory, staging)
    plan, run = planned.plan, planned.run
    if plan.staging_directory is not None:
        prepare_runs(plan.staging_directory)
    graph = RechunkGraph(
        f"rechunk-{tokenize(array, run)}", flat_keys(array.__dask_keys__()), planned.own, array.dtype, run
    )
    layer = PlannedLayer(plan, graph.keys, graph)
    needed = [array] if graph.needs_source else []
    layers = HighLevelGraph.from_collections(graph.name, layer, dependencies=needed)
    return da.Array(layers, graph.name, chunks=run.target, meta=array._meta)


def plan_rechunk(
    array: da.Array,
    chunks: Any = "auto",
    *,
    memory: str | int | None = None,
    staging: str | None = None,
    threshold: float | None = None,
    block_size_limit: str | int | None = None,
    balance: bool = False,
    method: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`rechunk`, without moving data.

    Takes the arguments of :func:`rechunk`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, steps and their peaks, staged bytes. Its
        rows are the array's elements, its partitions are chunks.

    Notes
    -----
    **Eager.** As :func:`rechunk`: nothing of the array is computed.

    Examples
    --------
    >>> import dask.array as da, safeframe
    >>> plan = safeframe.plan_rechunk(da.ones((600, 400), chunks=(600, 50)), (50, -1))
    >>> plan.strategy, plan.output_partitions, plan.fits
    ('staged', 12, True)
    """
    given = GivenChunks(
        chunks=chunks, threshold=threshold, block_size_limit=block_size_limit, balance=balance, method=method
    )
    with planned_for(cluster):
        return plan_chunks(array, given, memory, staging).plan

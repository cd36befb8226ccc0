"""``safeframe.rechunk``: an array with other chunks, on small workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from safeframe._dask.expressions import balanced_chunks
from safeframe.choices import check_flags
from safeframe.engine.exchange.runs import prepare_runs
from safeframe.engine.planned.layer import PlannedLayer, flat_keys, partition_tasks
from safeframe.engine.rechunk.graph import RechunkGraph
from safeframe.engine.rechunk.tasks import ChunkSpec
from safeframe.errors import SchemaMismatchError, UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.facts.rechunk import RechunkFacts
from safeframe.kernels.rechunk import ChunkGrid
from safeframe.planning.memory import largest_partition_nbytes
from safeframe.planning.rechunk.plan import plan_rechunk as make_plan
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.dask_arguments import no_effect, refuse
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.partitions.tasks import PartitionTask
from safeframe.units import parse_nbytes

__all__ = ["plan_rechunk", "rechunk"]


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
    given = _Given(
        chunks=chunks, threshold=threshold, block_size_limit=block_size_limit, balance=balance, method=method
    )
    planned = _planned(array, given, memory, staging)
    plan = planned.plan
    if plan.staging_directory is not None:
        prepare_runs(plan.staging_directory)
    name = "safe-rechunk-" + tokenize(array, planned.spec.grids, plan.strategy, plan.staging_directory)
    graph = RechunkGraph(name, flat_keys(array.__dask_keys__()), planned.own, planned.spec, plan.strategy)
    layer = PlannedLayer(plan, graph.keys, graph)
    # Tasks that make chunks where they are used are in the layer themselves.
    needs_array = planned.own is None or plan.strategy == "untouched"
    return da.Array(
        HighLevelGraph.from_collections(name, layer, dependencies=[array] if needs_array else []),
        name,
        chunks=planned.spec.grids[-1].chunks,
        meta=array._meta,
    )


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
) -> Plan:
    """Return the plan of :func:`rechunk`, without moving data.

    Takes the arguments of :func:`rechunk`.

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
    given = _Given(
        chunks=chunks, threshold=threshold, block_size_limit=block_size_limit, balance=balance, method=method
    )
    return _planned(array, given, memory, staging).plan


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """The arguments that decide the chunks, and dask's arguments for how to make them."""

    chunks: Any
    threshold: float | None
    block_size_limit: str | int | None
    balance: bool
    method: Any

    def target(self, array: da.Array, limit_nbytes: int) -> tuple[tuple[int, ...], ...]:
        """Return the chunks of the result."""
        no_effect(threshold=self.threshold)
        check_flags(balance=self.balance)
        if self.method is not None and not (isinstance(self.method, str) and self.method == "tasks"):
            if not isinstance(self.method, str) or self.method != "p2p":
                msg = f"method={self.method!r} is not a rechunk method of dask."
                raise ValidationError(msg, hint="Leave it out.")
            refuse(
                "rechunk",
                "method",
                self.method,
                "P2P holds parts of the array without a bound",
                "Leave it out.",
            )
        if self.block_size_limit is not None:
            limit_nbytes = parse_nbytes(self.block_size_limit, argument="block_size_limit")
        chunks = _target(array, self.chunks, limit_nbytes)
        return tuple(map(balanced_chunks, chunks)) if self.balance else chunks


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    plan: Plan
    spec: ChunkSpec
    own: list[PartitionTask] | None


def _planned(array: Any, given: _Given, memory: str | int | None, staging: str | None) -> _Planned:
    _check(array)
    budget = given_budget(memory)
    target = given.target(array, largest_partition_nbytes(max(budget.task_nbytes, 0)))
    own = partition_tasks(array)
    source = tuple(tuple(int(length) for length in axis) for axis in array.chunks)
    plan, grids = make_plan(
        RechunkFacts(
            source=source,
            target=target,
            itemsize=array.dtype.itemsize,
            budget=budget,
            staging=staging_facts(staging),
            self_made=own is not None,
        )
    )
    return _Planned(
        plan=plan, spec=ChunkSpec(dtype=array.dtype, source=ChunkGrid(source), grids=grids), own=own
    )


def _check(array: Any) -> None:
    if not isinstance(array, da.Array):
        msg = f"array is a {type(array).__name__}; a dask array is expected."
        raise SchemaMismatchError(
            msg, hint="Make one with dask.array.from_array, from_zarr or a dask function."
        )
    unknown = [axis for axis, sizes in enumerate(array.chunks) if any(np.isnan(size) for size in sizes)]
    if unknown:
        msg = f"The chunks of axis {unknown[0]} have unknown sizes."
        raise UnsupportedError(msg, hint="Call array.compute_chunk_sizes() first.")
    if type(array._meta) is not np.ndarray:
        msg = f"The chunks are {type(array._meta).__module__}.{type(array._meta).__name__}; numpy arrays are expected."
        raise UnsupportedError(
            msg, hint="Turn them into numpy arrays first, as with array.map_blocks(np.asarray)."
        )
    if array.dtype.hasobject or array.dtype.kind == "T":
        msg = f"The array has dtype {array.dtype}: its elements are references, which cannot be staged."
        raise UnsupportedError(
            msg, hint="Cast it to numbers or to strings of fixed width, as with array.astype('U16')."
        )


def _target(array: da.Array, chunks: Any, limit_nbytes: int) -> tuple[tuple[int, ...], ...]:
    """Normalize the requested chunks, as dask's own rechunk does."""
    if array.ndim == 0:
        return ()
    given = chunks
    try:
        if isinstance(chunks, dict):
            by_axis = {_axis(axis, array.ndim): wanted for axis, wanted in chunks.items()}
            chunks = tuple(by_axis.get(axis) for axis in range(array.ndim))
        if isinstance(chunks, (tuple, list)) and len(chunks) == array.ndim:
            pairs = zip(chunks, array.chunks, strict=True)
            chunks = tuple(own if wanted is None else wanted for wanted, own in pairs)
        sized = any(isinstance(wanted, str) and wanted != "auto" for wanted in _each(chunks))
        found = da.core.normalize_chunks(
            chunks,
            array.shape,
            limit=None if sized else limit_nbytes,
            dtype=array.dtype,
            previous_chunks=array.chunks,
        )
    except (ValueError, TypeError, NotImplementedError, ArithmeticError) as error:
        msg = f"chunks={given!r} are not chunks of an array of shape {array.shape}: {error}."
        raise ValidationError(msg, hint="Pass chunks that dask.array.Array.rechunk takes.") from error
    return tuple(tuple(int(length) for length in axis) for axis in found)


def _each(chunks: Any) -> Sequence[Any]:
    return chunks if isinstance(chunks, (tuple, list)) else [chunks]


def _axis(axis: Any, ndim: int) -> int:
    if not isinstance(axis, (int, np.integer)) or not -ndim <= axis < ndim:
        msg = f"{axis!r} is no axis"
        raise ValueError(msg)
    return int(axis) % ndim

"""What rechunking does before it plans: arguments, the requested chunks, facts.

Covers: every form of chunks that dask accepts, dask's other arguments, which arrays can be staged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from safeframe.choices import check_flags
from safeframe.engine.planned.layer import partition_tasks
from safeframe.errors import SchemaMismatchError, UnsupportedError, ValidationError
from safeframe.facts.plan import Plan
from safeframe.facts.rechunk import RechunkFacts, RechunkRun
from safeframe.planning.memory import largest_partition_nbytes
from safeframe.planning.rechunk.plan import plan_rechunk
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.dask_arguments import no_effect, refuse
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.partitions.tasks import PartitionTask
from safeframe.units import parse_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenChunks:
    """The arguments of ``rechunk`` that decide the chunks, or how dask would make them; unchecked."""

    chunks: Any
    threshold: float | None
    block_size_limit: str | int | None
    balance: bool
    method: Any

    def target(self, array: da.Array, limit_nbytes: int) -> tuple[tuple[int, ...], ...]:
        """Return the chunks of the result.

        Parameters
        ----------
        array
            The array.
        limit_nbytes
            Bytes of a chunk where nothing says how long it is.

        Raises
        ------
        ValidationError, UnsupportedError
            When they are not chunks of this array, or an argument makes no sense.
        """
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
        return tuple(map(_balanced, chunks)) if self.balance else chunks


def _balanced(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks of one dimension as dask balances them."""
    line = da.empty(sum(sizes), chunks=-1).rechunk((sizes,), balance=True, method="tasks")
    return tuple(line.chunks[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedChunks:
    """How an array is rechunked."""

    plan: Plan
    own: list[PartitionTask] | None
    """The tasks that make the array's chunks, where these need no other."""

    @property
    def run(self) -> RechunkRun:
        """What the plan says of the graph."""
        run = self.plan.run
        assert isinstance(run, RechunkRun), "made by the planner of rechunking"
        return run


def plan_chunks(
    array: Any, given: GivenChunks, memory: str | int | None, staging: str | None
) -> PlannedChunks:
    """Plan the rechunking of an array.

    Raises
    ------
    SchemaMismatchError, UnsupportedError
        When it is not a dask array, or one whose chunks cannot be staged.
    ValidationError
        When the chunks are none of this array, or there is no place that all workers reach.
    """
    _check(array)
    set_up_workers()
    budget = given_budget(memory)
    target = given.target(array, largest_partition_nbytes(max(budget.task_nbytes, 0)))
    own = partition_tasks(array)
    plan = plan_rechunk(
        RechunkFacts(
            source=tuple(tuple(int(length) for length in axis) for axis in array.chunks),
            target=target,
            itemsize=array.dtype.itemsize,
            budget=budget,
            staging=staging_facts(staging),
            self_made=own is not None,
        )
    )
    return PlannedChunks(plan=plan, own=own)


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

"""The second of two levels: rows of a coarse shard go to the shards that it is made of.

A file has a piece for each shard, so many shards make small pieces, and each of
them is a request. With coarse shards first, and then a file for each of those,
pieces are as large as one likes: every row is staged twice.

Covers: sealing the first level, staging the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from safeframe.engine.exchange.adopted import adopted, attempt_of, staged_mark
from safeframe.engine.exchange.fetch import Sealed, fetch_slices, seal
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import StagedWriter
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.task import use_worker
from safeframe.kernels.columns.values import as_series
from safeframe.kernels.routing.coarse import PLACE


def seal_coarse(staged: Sequence[Sequence[StagedFile]], dtypes: tuple[Any, ...], n_coarse: int) -> Sealed:
    """Join the manifests of the first level.

    Raises
    ------
    RowConservationError, StagingError
        As :func:`safeframe.engine.exchange.fetch.seal` does.
    """
    use_worker()
    return seal([file for files in staged for file in files], (*dtypes, PLACE), n_coarse)


def stage_again(
    sealed: Sealed,
    coarse: int,
    *,
    width: int,
    n_shards: int,
    directory: str,
    slice_nbytes: int,
    held_nbytes: int | None,
) -> list[StagedFile]:
    """Write the rows of a coarse shard, ordered by shard, to a file; or take the one that this task has finished before.

    Parameters
    ----------
    sealed
        The first level.
    coarse
        Which coarse shard.
    width
        Shards of a coarse one.
    n_shards
        Shards that there are.
    directory
        The run's directory.
    slice_nbytes
        Bytes of pieces that are read at a time.
    held_nbytes
        What rows that wait to be written may take; None for no bound.

    Notes
    -----
    Memory: a slice as it is in the files, as columns, and in the order of its shards; rows that wait to be written.
    """
    use_worker(directory)
    first = coarse * width
    attempt = attempt_of(staged_mark(sealed.staged))
    with run_of_task(directory):
        before = adopted(directory, attempt)
    if before:
        return [before]
    with (
        run_of_task(directory),
        StagedWriter(
            directory, sealed.dtypes[:-1], min(width, n_shards - first), held_nbytes, first, attempt
        ) as writer,
    ):
        if coarse == 0:
            # What the first level left out is counted once.
            writer.rows_nowhere, writer.checksum = sealed.rows_dropped, sealed.checksum
        for columns in fetch_slices(sealed, coarse, slice_nbytes):
            places = np.asarray(columns.pop())
            writer.add([as_series(column) for column in columns], places)
            del columns, places
        return [writer.finished()]

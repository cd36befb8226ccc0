"""Whether rows go to their shards at once, or to coarse shards first, and what either has of pieces and requests.

Each part of a file has a piece for each shard, so the number of pieces is that
of parts times that of shards, and each is a request. In two levels it is that
of parts times the square root of the number of shards, twice.
"""

from __future__ import annotations

import math

from safeframe import options
from safeframe.facts.exchange import ExchangeSize


def exchange_size(
    *,
    nbytes: float,
    tasks: int,
    written_nbytes: float,
    n_shards: int,
    n_processes: int,
    task_nbytes: int,
) -> ExchangeSize:
    """Return what an exchange has of files, pieces and requests, in as many levels as it takes.

    Parameters
    ----------
    nbytes
        Bytes that are staged.
    tasks
        Stage tasks, of which each writes a file.
    written_nbytes
        Bytes that a task writes at once, as one part of its file.
    n_shards
        Shards.
    n_processes
        Worker processes.
    task_nbytes
        What a task may use.

    Notes
    -----
    Two levels write and read each byte twice, so they are for exchanges of more than
    :data:`~safeframe.options.ONE_LEVEL_PIECES` pieces, or of more than a task has room for the indexes of, with
    less than :data:`~safeframe.options.LEAST_PIECE_NBYTES` in one on average.

    Examples
    --------
    >>> small, large = (
    ...     exchange_size(
    ...         nbytes=n * 2**30,
    ...         tasks=5 * n,
    ...         written_nbytes=2e8,
    ...         n_shards=20 * n,
    ...         n_processes=64,
    ...         task_nbytes=2**29,
    ...     )
    ...     for n in (10, 1024)
    ... )
    >>> small.coarse, large.coarse
    (0, 143)
    >>> large.pieces, large.requests
    (3178604, 2335877)
    """
    parts = _parts(nbytes, tasks, written_nbytes)
    one = _pieces(nbytes, parts, n_shards)
    piece_nbytes = nbytes / max(parts * n_shards, 1)
    few = one <= options.ONE_LEVEL_PIECES and _every_index(one) <= options.INDEX_FRACTION * task_nbytes
    if few or piece_nbytes >= options.LEAST_PIECE_NBYTES or n_shards < options.LEAST_COARSE_SHARDS:
        return ExchangeSize(
            files=tasks,
            shards=n_shards,
            coarse=0,
            pieces=one,
            piece_nbytes=int(nbytes / max(one, 1)),
            requests=parts * n_shards + tasks * (n_processes + 1),
            manifest_nbytes=_manifest_nbytes(tasks, n_shards),
            index_nbytes=_index_nbytes(one, tasks),
        )
    width = math.ceil(math.sqrt(n_shards))
    coarse = math.ceil(n_shards / width)
    again = coarse * _parts(nbytes / coarse, 1, written_nbytes)
    first, second = _pieces(nbytes, parts, coarse), _pieces(nbytes, again, width)
    # A process that cannot keep all indexes reads them for each of its coarse shards.
    readers = n_processes if _every_index(first) <= options.INDEX_CACHE_NBYTES else max(n_processes, coarse)
    return ExchangeSize(
        files=tasks + coarse,
        shards=n_shards,
        coarse=coarse,
        pieces=first + second,
        piece_nbytes=int(nbytes / max(first, second)),
        requests=parts * coarse + again * width + tasks * (readers + 1) + coarse * (n_processes + 1),
        manifest_nbytes=max(_manifest_nbytes(tasks, coarse), _manifest_nbytes(coarse, n_shards)),
        index_nbytes=max(_index_nbytes(first, tasks), _index_nbytes(second, coarse)),
    )


def _parts(nbytes: float, tasks: int, written_nbytes: float) -> int:
    """Return how often tasks write what waits, about."""
    return max(tasks, math.ceil(nbytes / max(written_nbytes, 1)))


def _pieces(nbytes: float, parts: int, n_shards: int) -> int:
    whole = parts * n_shards
    return whole * max(1, math.ceil(nbytes / max(whole * options.PIECE_NBYTES, 1)))


def _manifest_nbytes(files: int, n_shards: int) -> int:
    return options.MANIFEST_FILE_NBYTES * files + options.MANIFEST_SHARD_NBYTES * n_shards


def _index_nbytes(pieces: int, files: int) -> int:
    """Return what a process keeps of indexes: no more than there is room for, or one of them is."""
    every = _every_index(pieces)
    return min(every, max(options.INDEX_CACHE_NBYTES, every // max(files, 1)))


def _every_index(pieces: int) -> int:
    return options.INDEX_ENTRY_NBYTES * pieces

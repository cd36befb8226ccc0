"""dask's P2P as a transport of rows to numbered shards.

Covers: what a recipe calls to move rows by a column of shard numbers through
P2P, with every row accounted for.
Does not cover: whether P2P can carry them (``sizing.p2p`` asks the workers,
``planning.p2p.layout`` decides).
"""

from __future__ import annotations

from typing import Any

from safeframe.engine.p2p.nodes import exchange
from safeframe.facts.p2p import P2PSettings
from safeframe.sizing.p2p import p2p_facts

__all__ = ["p2p_exchange", "p2p_facts"]


def p2p_exchange(
    expr: Any,
    shard_column: str,
    n_shards: int,
    *,
    order_column: str | None = None,
    settings: P2PSettings | None = None,
    roomy_nbytes: int | None = None,
) -> Any:
    """Bring the rows of each shard into one partition, through dask's P2P.

    Parameters
    ----------
    expr
        A frame expression with a column of shard numbers, 0 to ``n_shards - 1``.
    shard_column
        That column's name; it is dropped.
    n_shards
        Shards, and so partitions of the result.
    order_column
        An int64 column that rows of a shard are ordered by at last; it is
        dropped. Without it they come in the order of input partitions, and in
        input order within one, as this version of P2P has it.
    settings
        Buffers that the workers are held to; None leaves theirs, and hands
        ``options.P2P_HAND_OVER_NBYTES`` at a time to P2P.

    roomy_nbytes
        Bytes that a worker may hold before a task starts: what the plan has
        for a worker without its tasks. Beyond it freed pages are given back
        first. None leaves them.

    Returns
    -------
    Expr
        Of ``n_shards`` partitions, rows of shard ``i`` in partition ``i``.

    Notes
    -----
    A task raises :class:`safeframe.RowConservationError` where a shard has other
    rows than were sent to it, :class:`safeframe.SchemaMismatchError` where a
    partition's types are not the frame's, and :class:`safeframe.UnsupportedError`
    where Arrow has no type for its values.
    """
    return exchange(
        expr, shard_column, n_shards, order=order_column, settings=settings, roomy_nbytes=roomy_nbytes
    )

"""Which rows of neighbouring partitions the shifted columns of a partition come from."""

from __future__ import annotations

import numpy as np

from safeframe.facts.lag import GroupEdges, Halo, HaloPiece


def plan_halo(edges: GroupEdges, before: int, after: int) -> Halo:
    """Find the rows that each partition needs of others: of the groups it begins and ends in, no more than lags reach.

    Examples
    --------
    >>> edges = GroupEdges(
    ...     rows=np.array([4, 0, 1, 3]),
    ...     out_of_order="",
    ...     head_rows=np.array([1, 0, 1, 2]),
    ...     tail_rows=np.array([3, 0, 1, 1]),
    ...     goes_on=np.array([False, False, True, True]),
    ... )
    >>> plan_halo(edges, 2, 0).before
    ((), (), (HaloPiece(partition=0, rows=2),), (HaloPiece(partition=0, rows=1), HaloPiece(partition=2, rows=1)))
    """
    full = np.flatnonzero(edges.rows).tolist()
    rows = edges.rows.tolist()
    joined = edges.goes_on[full].tolist()
    n = len(rows)
    found_before: list[tuple[HaloPiece, ...]] = [()] * n
    found_after: list[tuple[HaloPiece, ...]] = [()] * n
    tail, head = edges.tail_rows.tolist(), edges.head_rows.tolist()
    for place, number in enumerate(full):
        pieces: list[HaloPiece] = []
        at, need = place, before
        while need > 0 and at > 0 and joined[at]:
            at -= 1
            neighbour = full[at]
            pieces.append(HaloPiece(neighbour, min(need, tail[neighbour])))
            need -= pieces[-1].rows
            if tail[neighbour] < rows[neighbour]:
                break  # the group begins there
        found_before[number] = tuple(reversed(pieces))
        pieces, at, need = [], place, after
        while need > 0 and at + 1 < len(full) and joined[at + 1]:
            at += 1
            neighbour = full[at]
            pieces.append(HaloPiece(neighbour, min(need, head[neighbour])))
            need -= pieces[-1].rows
            if head[neighbour] < rows[neighbour]:
                break
        found_after[number] = tuple(pieces)
    tails, heads = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for needed, found in ((tails, found_before), (heads, found_after)):
        for piece in (piece for pieces_of in found for piece in pieces_of):
            needed[piece.partition] = max(needed[piece.partition], piece.rows)
    return Halo(
        before=tuple(found_before), after=tuple(found_after), tails=tails, heads=heads, rows=edges.rows
    )

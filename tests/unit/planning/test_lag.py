from __future__ import annotations

import itertools

import numpy as np
import pytest

from safeframe.facts.lag import GroupEdges
from safeframe.planning.halo import plan_halo


def edges_of(parts):
    """Describe partitions of keys that are in order."""
    goes_on, last = [], None
    for part in parts:
        goes_on.append(bool(part) and part[0] == last)
        last = part[-1] if part else last
    return GroupEdges(
        rows=np.array([len(part) for part in parts]),
        out_of_order="",
        head_rows=np.array([part.count(part[0]) if part else 0 for part in parts]),
        tail_rows=np.array([part.count(part[-1]) if part else 0 for part in parts]),
        goes_on=np.array(goes_on),
    )


CASES = [
    [[1, 1, 2], [2, 3]],
    [[1], [1], [1], [1, 1], [1, 2]],
    [[], [1, 1], [], [], [1], [2], []],
    [[1, 2], [3, 4]],
    [[5, 5, 5, 5], [5], [5, 5]],
    [[]],
]


@pytest.mark.parametrize("parts", CASES)
@pytest.mark.parametrize(("before", "after"), list(itertools.product([0, 1, 2, 10], repeat=2)))
def test_every_row_that_lags_reach_is_there_and_no_other(parts, before, after):
    halo = plan_halo(edges_of(parts), before, after)
    for number, part in enumerate(parts):
        earlier = [key for other in parts[:number] for key in other]
        later = [key for other in parts[number + 1 :] for key in other]
        of_first = sum(key == part[0] for key in earlier[::-1]) if part else 0
        of_last = sum(key == part[-1] for key in later) if part else 0
        assert sum(piece.rows for piece in halo.before[number]) == min(before, of_first)
        assert sum(piece.rows for piece in halo.after[number]) == min(after, of_last)
        for piece in halo.before[number]:
            assert piece.partition < number
            assert piece.rows <= halo.tails[piece.partition] <= before
        for piece in halo.after[number]:
            assert piece.partition > number
            assert piece.rows <= halo.heads[piece.partition] <= after
        assert [piece.partition for piece in halo.before[number]] == sorted(
            piece.partition for piece in halo.before[number]
        )

"""What the tasks of groups do whose rows are staged in the order of keys and values.

Covers: the groups that lie whole within a part of the rows, and what there is of the others; what is looked for in which
part; the result of groups that cross parts.
Does not cover: how rows are staged and put in order (``engine.sort.tasks``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.sort.tasks import SealedSort, ordered_rows
from safeframe.engine.task import conserved, count_rows_out
from safeframe.kernels.groupby.ordered import (
    CrossingGroups,
    PartEdges,
    crossing_groups,
    crossing_result,
    inner_and_edges,
    keyed,
    places_of,
    values_in_part,
)
from safeframe.kernels.groupby.ranked import RankedCall


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartGroups:
    """What was made of one part of the rows."""

    made: Any
    """The result of groups that lie whole within it."""
    edges: PartEdges
    """Its other groups."""


def part_groups(sealed: SealedSort, number: int, asked: RankedCall, meta: Any) -> PartGroups:
    """Group the rows of one part."""
    inner, edges = inner_and_edges(_rows(sealed, number, asked), asked)
    return PartGroups(made=asked.call(inner) if len(inner) else meta, edges=edges)


def inner_result(part: PartGroups) -> Any:
    """Return the output partition of groups that lie whole within a part."""
    count_rows_out(len(part.made))
    return part.made


def part_edges(part: PartGroups) -> PartEdges:
    """Return what there is of groups that may cross."""
    return part.edges


def join_edges(parts: Sequence[PartEdges], asked: RankedCall) -> CrossingGroups:
    """Find which groups of parts are the same."""
    return crossing_groups(parts, asked)


def part_values(
    sealed: SealedSort, crossing: CrossingGroups, number: int, asked: RankedCall
) -> pd.DataFrame | None:
    """Make a part again, if there are values in it that are looked for; return these, None where there are none."""
    entries = range(crossing.parts[number], crossing.parts[number + 1])
    if not any(len(places_of(crossing, entry)[0]) for entry in entries):
        return None
    return values_in_part(_rows(sealed, number, asked), number, crossing, asked)


def crossing_partition(
    crossing: CrossingGroups, found: Sequence[pd.DataFrame | None], asked: RankedCall, meta: Any
) -> Any:
    """Make the output partition of groups that may cross parts.

    Raises
    ------
    RowConservationError
        When a value that decides is in no part.
    """
    if not len(crossing.counts):
        return meta
    values = [part for part in found if part is not None]
    conserved(len(crossing.numbers), sum(map(len, values)), "Row numbers of groups that cross partitions")
    made = crossing_result(crossing, values, asked)
    count_rows_out(len(made))
    return made


def _rows(sealed: SealedSort, number: int, asked: RankedCall) -> pd.DataFrame:
    rows = ordered_rows(sealed, number)
    with run_of_task(sealed.rows.directory):
        return keyed(rows.make(0, rows.n_rows), asked)

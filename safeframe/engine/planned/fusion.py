"""Fuses cells with the blockwise steps that consume them.

Fused, a cell and its write are one task: the output partition lives only while
that task runs. Apart, a worker makes the next cell while the last one waits
for its write. dask fuses by itself in ``persist`` and ``optimize``, and not in
``compute`` (2026.8), which ``to_parquet`` uses.

Covers: taking a cell's only consumer into its task, once everything is concrete.
"""

from __future__ import annotations

import functools
from typing import Any

from safeframe._dask.expressions import Blockwise, Fused, Partitions, PartitionsFiltered
from safeframe._dask.steps import fused_words
from safeframe._dask.trees import is_concrete


class FusedCells(Fused):  # type: ignore[misc]
    """Cells and the blockwise steps after them, as one task each."""

    @functools.cached_property
    def _name(self) -> str:
        consumer, cells = self.exprs
        return f"{fused_words(cells._name, consumer._name)}-{self.deterministic_token}"

    @property
    def hidden(self) -> Any:
        """What the cells are made of."""
        return self.exprs[1].hidden

    def _lower(self) -> None:
        self.hidden.announce(self)

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if isinstance(parent, Partitions):
            # Of the steps as they were: dask selects partitions of what they take.
            return Partitions(self.exprs[0], parent.partitions)
        return fused_with_consumer(self, parent, dependents)


def fused_with_consumer(cells: Any, parent: Any, dependents: Any) -> Any:
    """Return cells and their consumer as one node, or None where they have to stay apart.

    Parameters
    ----------
    cells
        Cells, or cells with steps fused to them.
    parent
        The expression that takes them.
    dependents
        dask's record of which expressions take which.
    """
    if not isinstance(parent, Blockwise) or isinstance(parent, (Fused, PartitionsFiltered)):
        return None
    if [dependency._name for dependency in parent.dependencies()] != [cells._name]:
        return None
    takers = {taker._name for ref in dependents[cells._name] if (taker := ref()) is not None}
    if takers != {parent._name} or parent.npartitions != cells.npartitions or not is_concrete(parent):
        return None
    # Nested rather than flattened: the parent names the cells by their own, fused, name.
    fused = FusedCells([parent, cells], *cells.dependencies())
    fused.hidden.announce(fused)
    return fused

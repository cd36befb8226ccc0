"""What a step that takes a merge's result can leave out, because the plan knows the answer.

Covers: counting rows (none is made where the statistics are exact), and grouping
by the keys (no exchange where each key is in one partition).
Does not cover: projections and filters, which dask pushes through a merge.

dask has a property for frames whose keys are in one partition each,
``unique_partition_mapping_columns_from_shuffle``. It is not used: dask's own
merge takes it to mean "where dask's hash would put them", leaves such a side
where it is, moves the other one by that hash, and loses rows. So that no step
but the one that groups is replaced here.
"""

from __future__ import annotations

from typing import Any

from safeframe._dask.expressions import GroupByApply, GroupByApplyConcatApply, Index, Len, Literal, Projection
from safeframe._dask.trees import grouping_columns, without_exchange
from safeframe.engine.merge.without_rows.read import CountedMerge
from safeframe.engine.merge.without_rows.totals import totals_instead
from safeframe.engine.merge.without_rows.waiting import awaiting_totals
from safeframe.engine.planned.sources import check_sources
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.merge.spec import JoinSpec


class CountedIndex(Index):  # type: ignore[misc]  # dask's expressions are untyped
    """The index of a merge whose rows are known: dask counts a frame's rows by its index."""

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if isinstance(parent, Len):
            rows = self.frame.counted_rows if isinstance(self.frame, CountedMerge) else None
            if rows is None:
                return None
            check_sources(self.frame.plan.sources)
            return Literal(rows)
        return super()._simplify_up(parent, dependents)


class PickedColumns(Projection):  # type: ignore[misc]
    """Columns of a merge's result, where the merge has to make more (its keys) or another order of them."""

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        replacement = _replacement(self.frame, self, parent, dependents)
        return replacement if replacement is not None else super()._simplify_up(parent, dependents)


def replaced_by_plan(merge: Any, parent: Any, dependents: Any) -> Any:
    """Return what stands for a step that takes a merge's result, or None where it has to run."""
    if isinstance(parent, Index) and merge.counted_rows is not None:
        return None if isinstance(parent, CountedIndex) else CountedIndex(merge)
    return _replacement(merge, merge, parent, dependents)


def _replacement(merge: Any, result: Any, parent: Any, dependents: Any) -> Any:
    if not isinstance(merge, CountedMerge):
        return None
    totals = totals_instead(merge, result, parent)
    if totals is None:
        totals = awaiting_totals(parent, dependents)
    if totals is None:
        return grouped_in_place(merge, result, parent)
    check_sources(merge.plan.sources)
    return totals


def grouped_in_place(merge: CountedMerge, result: Any, parent: Any) -> Any:
    """Return a grouping without its exchange, where it groups a merge's result, or columns of it, by whole keys."""
    if not isinstance(parent, (GroupByApply, GroupByApplyConcatApply)) or parent.frame._name != result._name:
        return None
    shuffles = isinstance(parent, GroupByApply) or parent.should_shuffle
    columns = grouping_columns(parent)
    if shuffles and columns is not None and merge.keys_stay_whole(columns):
        return without_exchange(parent)
    return None


def keys_stay_whole(spec: JoinSpec, layout: ShardLayout | None, by: list[Any]) -> bool:
    """Whether all result rows that agree in some columns are in one partition.

    Parameters
    ----------
    spec
        The join.
    layout
        The plan's shards; None where a side's partitions stay as they are.
    by
        Columns of the result.
    """
    if layout is None or (layout.cells > 1).any() or not spec.left.on:
        return False
    columns = [*zip(spec.meta.columns, spec.output, strict=False)]
    for left, right in zip(spec.left.key_positions, spec.right.key_positions, strict=True):
        # A column that only one side fills is null in rows of the other side alone, wherever they are.
        names = {
            name
            for name, column in columns
            if (column.left == left and (column.right == right or not spec.left_missing))
            or (column.left is None and column.right == right and not spec.right_missing)
        }
        if not names.intersection(by):
            return False
    return True

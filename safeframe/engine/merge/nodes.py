"""The merge as dask expressions.

:class:`SafeMerge` is abstract, as dask's own ``Merge`` is: dask pushes
projections and filters through it, and it becomes one of these concrete forms
when the graph is made::

    sorted             OrderedCells(OrderedPartitions(left), OrderedPartitions(right))
    broadcast          BroadcastCells(probe, BuildSide(build))
                       BroadcastPieces(HeldPartitions(probe, BuildSide(build)), BuildSide(build))
                       TableCells(probe, Seal(TableSlices(Seal(stage(build)))))
    sorted-one-side    OrderedCells(OrderedPartitions(left), Seal(stage(right)))
    staged             ExchangeCells(Seal(stage(left), stage(right)))
    p2p                MovedCells(send_shards(left), send_shards(right))

Stage tasks are fused with what comes before them (the read), so that no input
partition waits in a worker's memory, and cells with what takes them (the
write), so that no output partition does.
"""

from __future__ import annotations

import functools
from typing import Any, assert_never

from safeframe._dask.expressions import Filter, Merge, Projection
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import ExchangeCells, Seal, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.merge.broadcast_nodes import ProbeFacts, broadcast_cells, table_cells
from safeframe.engine.merge.filters import moved_filter
from safeframe.engine.merge.in_order_nodes import JoinFacts, OrderedCells, ordered_partitions
from safeframe.engine.merge.in_order_tasks import seal_moved
from safeframe.engine.merge.p2p_nodes import moved_cells
from safeframe.engine.merge.ranges import range_cells
from safeframe.engine.merge.sliced import sliced_cells
from safeframe.engine.merge.tasks import seal_cells, staged_cell
from safeframe.engine.merge.without_rows.hooks import PickedColumns, keys_stay_whole, replaced_by_plan
from safeframe.engine.merge.without_rows.read import CountedMerge
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.planned.nodes import Planned
from safeframe.engine.planned.rows import PlannedRows
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.layout import ShardLayout, StageTasks
from safeframe.facts.merge import (
    BroadcastMerge,
    MergeFacts,
    MergeRun,
    OrderedMerge,
    P2PMerge,
    RangesMerge,
    SlicedMerge,
    StagedMerge,
    TableMerge,
)
from safeframe.facts.plan import Plan
from safeframe.kernels.merge.spec import JoinSpec, JoinTerms, SideSpec, column_places
from safeframe.kernels.merge.table import JoinTable
from safeframe.kernels.routing.router import JoinRouter


class SafeMerge(Planned, CountedMerge):
    """A merge that runs by a plan.

    Operands beyond dask's: the plan and the facts that it is made of (among them
    the key ranges of the input partitions), and the terms of the join.
    An index that is compared, or that the result has, is a column of its side;
    ``left_on`` and ``right_on`` name the columns that no projection may take away.
    """

    _words = "merge"
    _parameters = [*Merge._parameters, "plan", "terms", "given_divisions", "facts"]

    @functools.cached_property
    def _spec(self) -> JoinSpec:
        terms: JoinTerms = self.terms
        return terms.spec(self.left._meta, self.right._meta, self.run.estimate)

    @property
    def run(self) -> MergeRun:
        """How the plan runs."""
        run = self.plan.run
        assert isinstance(run, MergeRun), "the plan of a merge runs a merge"
        return run

    @functools.cached_property
    def _meta(self) -> Any:
        return self._spec.meta

    @functools.cached_property
    def unique_partition_mapping_columns_from_shuffle(self) -> set[Any]:
        """Nothing: dask would take it for its own hash, and join this with a frame that has that."""
        return set()

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if isinstance(parent, Filter) and self._stays_in_place:
            return None
        replacement = replaced_by_plan(self, parent, dependents)
        if replacement is not None:
            return replacement
        if isinstance(parent, Filter):
            return self._filtered(parent, dependents)
        pushed = super()._simplify_up(parent, dependents)
        if isinstance(pushed, Projection) and not self._has_same_columns(pushed.frame, parent):
            pushed = None
        if pushed is None and type(parent) is Projection:
            return PickedColumns(*parent.operands)
        return pushed

    def _filter_passthrough_available(self, parent: Any, dependents: Any) -> bool:
        """Whether dask has to leave a filter where it is, for the merge to take it."""
        return not self._stays_in_place and moved_filter(self, parent, dependents) is not None

    def _filtered(self, parent: Any, dependents: Any) -> Any:
        moved = moved_filter(self, parent, dependents)
        if moved is None:
            return None
        # Of the rows that a filter left on a side no statistics are known.
        merge = self.of_other_sides(moved.left, moved.right, self.plan, filtered=True)
        return merge if moved.rest is None else Filter(merge, moved.rest.substitute(self, merge))

    def _has_same_columns(self, narrower: Any, parent: Any) -> bool:
        """Whether columns that are taken of this merge come from the same places in one of fewer columns.

        A column keeps its suffix only next to the one that it clashes with, which dask may drop.
        """
        wanted = parent.operand("columns")
        places = column_places(narrower._spec)
        return all(
            places.get(name) == place
            for name, place in column_places(self._spec).items()
            if name in (wanted if isinstance(wanted, list) else [wanted])
        )

    def of_other_sides(self, left: Any, right: Any, plan: Plan, *, filtered: bool) -> SafeMerge:
        """Return this merge of frames with other columns, and of all rows or fewer."""
        named = zip(self._parameters[2:], self.operands[2:], strict=True)
        operands = [plan if name == "plan" else operand for name, operand in named]
        return (FilteredMerge if filtered else type(self))(left, right, *operands)

    @property
    def counted_rows(self) -> int | None:
        """Rows of the result where they are known to the row, or None."""
        rows = self.plan.output_rows
        return rows.expected if rows.exact else None

    @property
    def planned_keys(self) -> tuple[PlannedKeys, PlannedKeys]:
        """What was counted of the left and of the right side, which the run is held to."""
        return self._planned_keys(filtered=False)

    def _planned_keys(self, *, filtered: bool) -> tuple[PlannedKeys, PlannedKeys]:
        facts: MergeFacts = self.facts
        return (
            PlannedKeys.of("The left side", facts.left.keys, filtered=filtered),
            PlannedKeys.of("The right side", facts.right.keys, filtered=filtered),
        )

    def _probe_facts(self, build_side: str) -> ProbeFacts:
        facts: MergeFacts = self.facts
        left, right = self.planned_keys
        build, probe, side = (
            (right, left, facts.left) if build_side == "right" else (left, right, facts.right)
        )
        rows = None if probe.fewer else PlannedRows(probe.name, side.keys.partitions.rows)
        return ProbeFacts(build=build, probe=rows)

    def keys_stay_whole(self, by: list[Any]) -> bool:
        """Whether all result rows that agree in some columns are in one partition."""
        return keys_stay_whole(self._spec, self.run.layout, by)

    @property
    def _stays_in_place(self) -> bool:
        """Whether the partitions of a side are held to the very rows that were planned, none filtered."""
        way = self.run.way
        return isinstance(way, OrderedMerge) and not (way.ordered.left is None and way.ordered.right is None)

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        left, right = lowered(self.left), lowered(self.right)
        spec, limit, way = self._spec, PartitionLimit.of(plan), self.run.way
        match way:
            case OrderedMerge():
                return self._in_order(left, right, way, limit)
            case TableMerge(table=keys, tasks=tasks):
                table, base = JoinTable(spec, keys), plan.staging_directory or ""
                planned = self._probe_facts(keys.build_side)
                return table_cells(
                    left, right, table, self._name, base, planned, limit, self.divisions, tasks
                )
            case BroadcastMerge():
                planned = self._probe_facts(way.build_side)
                return broadcast_cells(left, right, spec, way, planned, limit, self.divisions)
            case SlicedMerge(build_side=build_side):
                planned = self._probe_facts(build_side)
                return sliced_cells(left, right, spec.with_coded_text(), way, planned, limit)
            case RangesMerge():
                known: MergeFacts = self.facts
                partitions = known.left.keys.partitions, known.right.keys.partitions
                filtered = any(side.fewer for side in self.planned_keys)
                spec = spec.with_coded_text()
                return range_cells(left, right, spec, way, partitions, limit, filtered=filtered)
            case P2PMerge():
                return moved_cells(left, right, spec, plan, way, self.planned_keys, limit)
            case StagedMerge(layout=layout, tasks=stage_tasks):
                sides = {"left": (left, spec.left), "right": (right, spec.right)}
                seal = (spec, layout, limit, self.planned_keys)
                sealed = Seal(self._name, seal_cells, seal, *self._staged(sides, layout, stage_tasks))
                return ExchangeCells(sealed, staged_cell, spec.meta, self.divisions, self._name)
            case _:
                assert_never(way)

    def _staged(
        self, sides: dict[str, tuple[Any, SideSpec]], layout: ShardLayout, tasks: dict[str, StageTasks]
    ) -> list[Any]:
        """Stage lowered frames, by the side that each is, by the shards of the plan."""
        directory = start_run(self.plan.staging_directory or "", self._name)
        return [
            stage(
                frame,
                side,
                JoinRouter(side.on, side.schema, layout, layout.empty_of(name)),
                directory,
                tasks[name],
            )
            for name, (frame, side) in sides.items()
        ]

    def _in_order(self, left: Any, right: Any, way: OrderedMerge, limit: PartitionLimit) -> Any:
        """Leave the sides that are in key order in their partitions, and stage the others."""
        spec, run, known = self._spec, self._name, self.facts
        sides = {
            "left": (left, spec.left, known.left.keys.partitions, way.ordered.left),
            "right": (right, spec.right, known.right.keys.partitions, way.ordered.right),
        }
        moved = {name: (frame, side) for name, (frame, side, _, touched) in sides.items() if touched is None}
        sealed = None
        if moved:
            staged = self._staged(moved, way.layout, way.tasks)
            sealed = Seal(run, seal_moved, (tuple(moved), spec, way.layout, self.planned_keys), *staged)
        facts = JoinFacts(spec)
        parts = [
            None if touched is None else ordered_partitions(frame, name, keys, touched, facts, run, sealed)
            for name, (frame, _, keys, touched) in sides.items()
        ]
        return OrderedCells(*parts, facts, sealed, run, way.layout, way.ordered, limit, self.divisions)


class FilteredMerge(SafeMerge):
    """A merge of fewer rows than its plan was made for."""

    @property
    def counted_rows(self) -> int | None:
        """Nothing: see :attr:`SafeMerge.counted_rows`."""
        return None

    @property
    def planned_keys(self) -> tuple[PlannedKeys, PlannedKeys]:
        """See :attr:`SafeMerge.planned_keys`: there may be fewer of either."""
        return self._planned_keys(filtered=True)

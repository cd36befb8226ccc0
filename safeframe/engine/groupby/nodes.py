"""Group-by as dask expressions.

:class:`SafeGroupBy` is abstract, and becomes one of five concrete forms when the graph is made::

    GroupsInPlace   GroupPartitions(frame)
    GroupTree       StateTree(states of partitions)
    StagedGroups    ExchangeCells(Seal(stage(frame, or its states)))
    OrderedGroups   OrderedGroups(Seal(stage(frame))), see ``engine.groupby.ordered_nodes``
    P2PGroups       GroupPartitions(by_p2p(frame))
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, ClassVar, assert_never

from dask.task_spec import List, Task, TaskRef

from safeframe import options
from safeframe._dask.expressions import Blockwise
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import ExchangeCells, PartGroups, Seal, WholePart, parts_in_tasks, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.groupby.ordered_nodes import ordered_groups
from safeframe.engine.groupby.tasks import (
    GroupSpec,
    PartStates,
    finish_states,
    group_cell,
    grouped,
    join_states,
    seal_groups,
    states_of_parts,
    states_of_slice,
)
from safeframe.engine.names import step_name
from safeframe.engine.p2p.nodes import by_p2p
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.planned.nodes import GivenOutput, Planned
from safeframe.errors import MemoryBudgetError
from safeframe.facts.estimate import Estimate
from safeframe.facts.groupby import GroupRun, GroupsInPlace, GroupTree, OrderedGroups, P2PGroups, StagedGroups
from safeframe.facts.layout import StageTasks
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.groupby.state_frames import States
from safeframe.kernels.routing.groups import GroupRouter
from safeframe.kernels.routing.hashes import HashRouter
from safeframe.kernels.routing.router import Router
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.sizing.partitions.tasks import PartitionTasks


class SafeGroupBy(Planned):
    """Groups of a frame, by a plan."""

    _words = "groupby"
    _parameters = [
        "frame",
        "plan",
        "call",
        "states",
        "schema",
        "with_index",
        "meta",
        "states_meta",
        "given_divisions",
        "ordered",
    ]

    @property
    def _meta(self) -> Any:
        return self.operand("meta")

    def _begin(self, plan: Plan) -> None:
        try:
            super()._begin(plan)
        except MemoryBudgetError as error:
            why = [one.reason for one in plan.rejected if one.strategy == "ordered"]
            if self.states is not None or not why:
                raise
            hint = f"{error.hint} Groups cannot cross partitions: {why[0]}."
            raise MemoryBudgetError(error.message, hint=hint, **error.figures) from None

    def _spec(self, way: StagedGroups | None) -> GroupSpec:
        plan: Plan = self.plan
        assert isinstance(plan.run, GroupRun), "groups are planned"
        in_place = plan.run.way
        staged_states = way is not None and way.states
        meta = self.states.meta if staged_states else self.frame._meta
        return GroupSpec(
            call=self.call,
            meta=self._meta,
            states_meta=self.states_meta,
            frame=FrameSpec(meta=meta, with_index=self.with_index and not staged_states),
            states=self.states,
            staged_states=staged_states,
            rows=plan.run.input_rows,
            fewer_rows=plan.run.fewer_rows,
            slice_nbytes=None if way is None else way.slice_nbytes,
            limit=PartitionLimit.of(plan),
            slice_rows=in_place.slice_rows if isinstance(in_place, GroupsInPlace) else None,
        )

    def _router(self, n_shards: int) -> Router:
        router = HashRouter(tuple(self.call.by), self.schema, n_shards)
        # Where groups without rows are wanted, their keys are those of all rows.
        left_out = self.call.options["dropna"] and self.call.options["observed"]
        return GroupRouter(router, self.call.keeps_rows) if left_out else router

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        assert isinstance(plan.run, GroupRun), "groups are planned"
        way = plan.run.way
        match way:
            case GroupsInPlace():
                return self._in_place(lowered(self.frame))
            case GroupTree(group=tasks, fan_in=fan_in):
                made = _states_of(lowered(self.frame), self.states, tasks)
                return StateTree(made, self._spec(None), fan_in, self._meta, self.divisions, self._name)
            case StagedGroups(directory=directory, layout=layout, group=tasks):
                spec, run = self._spec(way), self._name
                frame = SliceStates(self.frame, self.states) if way.states else self.frame
                staged = stage(
                    lowered(frame),
                    spec.frame,
                    self._router(layout.n_shards),
                    start_run(directory, run),
                    tasks,
                )
                sealed = Seal(run, seal_groups, (spec, layout), staged)
                return ExchangeCells(sealed, group_cell, self._meta, self.divisions, run)
            case OrderedGroups(sort=sort):
                return ordered_groups(self, sort, self.ordered)
            case P2PGroups(settings=settings):
                moving = replace(plan, output_rows=Estimate.computed(plan.run.input_rows))
                router = self._router(plan.output_partitions)
                return self._in_place(by_p2p(self._words, lowered(self.frame), router, settings, moving))
            case _:
                assert_never(way)

    def _in_place(self, frame: Any) -> Any:
        return fused_step(GroupPartitions(frame, self._spec(None), self._meta, self.divisions))


class SliceStates(Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """Partial states of each partition, or of each slice of one."""

    _parameters = ["frame", "states"]
    takes_slices: ClassVar[bool] = True
    """Whether slices may be taken one by one: of each there are states of their own."""
    operation = staticmethod(states_of_slice)

    @property
    def _meta(self) -> Any:
        return self.states.meta

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)


class GroupPartitions(GivenOutput, Step, Blockwise):  # type: ignore[misc]
    """Partitions that have their groups whole, each grouped by itself."""

    _words = "groupby-output"
    _parameters = ["frame", "spec", "meta", "given_divisions"]

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, grouped, TaskRef((self.frame._name, index)), self.spec)


def _states_of(frame: Any, states: States, tasks: StageTasks) -> Any:
    groups = StatesOfGroups(frame, states, tasks)
    if groups.parts is not None:
        return groups
    return fused_step(StatesOfPartitions(frame, states, tasks))


class StatesOfPartitions(Step, Blockwise):  # type: ignore[misc]
    """Partial states of each partition, made by other tasks."""

    _words = "groupby-partition"
    _parameters = ["frame", "states", "tasks"]
    _meta = None

    @staticmethod
    def operation(frame: Any, states: States, tasks: StageTasks) -> PartStates:
        """Make the states of one partition."""
        return states_of_parts(PartitionTasks([WholePart(frame)]), states, tasks.slice_nbytes)


class StatesOfGroups(PartGroups):
    """Partial states of groups of partitions that stand alone."""

    _words = "groupby-partition"
    _parameters = ["frame", "states", "tasks"]

    @property
    def _slice_nbytes(self) -> int | None:
        """Bytes of a slice; keys that are text are read as categories, slice by slice, of small partitions too."""
        states: States = self.states
        small = options.SLICE_NBYTES if states.text_keys else None
        return self.tasks.slice_nbytes or small

    @functools.cached_property
    def parts(self) -> list[SlicedPart] | None:
        """The partitions; None where other tasks have a part in making them."""
        return parts_in_tasks(self.frame, self._slice_nbytes)

    def _task_of(self, key: Any, parts: PartitionTasks[SlicedPart]) -> Task:
        return Task(key, states_of_parts, parts, self.states, self._slice_nbytes)


class StateTree(GivenOutput, Step):
    """Partial states joined some at a time, and the result made of the last ones."""

    _words = "groupby-output"
    _parameters = ["made", "spec", "fan_in", "meta", "given_divisions", "run"]

    def _layer(self) -> dict[Any, Any]:
        graph: dict[Any, Any] = {}
        spec: GroupSpec = self.spec
        name = step_name(self.run, "join")
        level = list(self.made.__dask_keys__())
        depth = 0
        while len(level) > self.fan_in:
            some = [level[i : i + self.fan_in] for i in range(0, len(level), self.fan_in)]
            level = [(name, depth, number) for number in range(len(some))]
            for key, keys in zip(level, some, strict=True):
                graph[key] = Task(key, join_states, List(*map(TaskRef, keys)), spec.states)
            depth += 1
        last = (self._name, 0)
        graph[last] = Task(last, finish_states, List(*map(TaskRef, level)), spec)
        return graph

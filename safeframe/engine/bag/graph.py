"""The graph of a bag's group-by: stage_bag ─► seal_bag ─► bag_partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dask.task_spec import DataNode, List, Task, TaskRef

from safeframe.engine.bag.tasks import BagSpec, bag_partition, seal_bag, stage_bag
from safeframe.engine.names import seal_key, step_name
from safeframe.engine.planned.layer import spec_key
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks


@dataclass(frozen=True, slots=True)
class BagGraph:
    """Tasks that bring the items of a bag together by key."""

    run: str
    """The name of its run."""
    source: Sequence[Any]
    """Keys of the bag's partitions."""
    own: Sequence[PartitionTask] | None
    """The tasks that make them, where these need no other."""
    spec: BagSpec

    @property
    def name(self) -> str:
        """Name of the result."""
        return step_name(self.run, "output")

    @property
    def keys(self) -> list[Any]:
        """Keys of the result."""
        return [(self.name, number) for number in range(self.spec.run.limit.partitions)]

    @property
    def runs(self) -> list[str]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        return [self.run]

    def tasks(self, directories: Sequence[str]) -> dict[Any, Any]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        (directory,) = directories
        known, seal = spec_key(self.run), seal_key(self.run)
        graph: dict[Any, Any] = {known: DataNode(known, self.spec)}
        parts: list[Any] = [TaskRef(key) for key in self.source]
        if self.own is not None:
            own, group = self.own, self.spec.run.group
            parts = [PartitionTasks(own[at : at + group]) for at in range(0, len(own), group)]
        staged = []
        for number, part in enumerate(parts):
            key = (step_name(self.run, "stage"), number)
            graph[key] = Task(key, stage_bag, part, TaskRef(known), directory)
            staged.append(TaskRef(key))
        graph[seal] = Task(seal, seal_bag, List(*staged), TaskRef(known), directory)
        for number, key in enumerate(self.keys):
            graph[key] = Task(key, bag_partition, TaskRef(seal), TaskRef(known), number)
        return graph

"""The graph of a bag's group-by: stage_bag ─► seal_bag ─► bag_partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.task_spec import DataNode, List, Task, TaskRef

from safeframe.engine.bag.tasks import BagSpec, BagTasks, bag_partition, seal_bag, stage_bag
from safeframe.engine.exchange.nodes import seal_key
from safeframe.engine.planned.layer import spec_key
from safeframe.sizing.partitions.tasks import PartitionTask

__all__ = ["BagGraph"]


class BagGraph:
    """Tasks that bring the items of a bag together by key.

    Parameters
    ----------
    name
        The result's.
    source
        Keys of the bag's partitions.
    own
        The tasks that make them, where these need no other.
    spec
        What tasks have to know.
    """

    def __init__(
        self, name: str, source: Sequence[Any], own: Sequence[PartitionTask] | None, spec: BagSpec
    ) -> None:
        self._name = name
        self._source = source
        self._own = own
        self._spec = spec

    @property
    def keys(self) -> list[Any]:
        """Keys of the result."""
        return [(self._name, number) for number in range(self._spec.run.limit.partitions)]

    @property
    def runs(self) -> list[str]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        return [self._name]

    def tasks(self, directories: Sequence[str]) -> dict[Any, Any]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        (directory,) = directories
        known, seal = spec_key(self._name), seal_key(self._name)
        graph: dict[Any, Any] = {known: DataNode(known, self._spec)}
        parts: list[Any] = [TaskRef(key) for key in self._source]
        if self._own is not None:
            own, group = self._own, self._spec.run.group
            parts = [BagTasks(own[at : at + group]) for at in range(0, len(own), group)]
        staged = []
        for number, part in enumerate(parts):
            key = (f"stage-{self._name}", number)
            graph[key] = Task(key, stage_bag, part, TaskRef(known), directory)
            staged.append(TaskRef(key))
        graph[seal] = Task(seal, seal_bag, List(*staged), TaskRef(known), directory)
        for number, key in enumerate(self.keys):
            graph[key] = Task(key, bag_partition, TaskRef(seal), TaskRef(known), number)
        return graph

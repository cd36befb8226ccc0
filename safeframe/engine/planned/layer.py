"""Recipes on arrays and bags, as a layer of dask's high level graph.

dask makes the graph of an array or a bag when it is computed: in this process
for a local scheduler, and on the scheduler of a cluster, to which layers are
pickled. A plan is checked, announced and given a staging directory in the
process that the user computes in; so it is done when the layer's tasks are
requested here, or when it is pickled, whichever comes first. What travels is
the tasks alone.

Covers: the layer; the tasks of partitions that stand alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from dask.highlevelgraph import Layer, MaterializedLayer
from dask.task_spec import Alias, Task
from dask.utils import key_split

from safeframe._dask.trees import stands_alone
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.names import step_name
from safeframe.engine.planned.progress import output_made
from safeframe.engine.task import begin
from safeframe.errors import SafeframeError
from safeframe.facts.plan import Plan
from safeframe.sizing.partitions.tasks import PartitionTask


class RecipeGraph(Protocol):
    """What a recipe puts into a graph."""

    @property
    def runs(self) -> Sequence[str]:
        """Names of its exchanges; each has a directory of its own."""

    def tasks(self, directories: Sequence[str]) -> dict[Any, Any]:
        """Make the tasks, given the directories of its exchanges."""


class PlannedLayer(Layer):  # type: ignore[misc]  # dask is untyped
    """The tasks of a recipe.

    Parameters
    ----------
    plan
        What the recipe promised.
    keys
        Keys of the result.
    graph
        Makes the tasks.
    """

    has_legacy_tasks = False

    def __init__(self, plan: Plan, keys: Sequence[Any], graph: RecipeGraph) -> None:
        super().__init__()
        self.plan = plan
        self._keys = tuple(keys)
        self._graph = graph
        self._directories: list[str] | None = None
        self._tasks: dict[Any, Any] = {}

    def is_materialized(self) -> bool:
        """Whether the tasks exist: they are made when they are needed."""
        return False

    def get_output_keys(self) -> set[Any]:
        """Return the keys of the result, without making tasks."""
        return set(self._keys)

    def _started(self) -> dict[Any, Any]:
        """Return the tasks, of a plan that is about to run."""
        try:
            begin(self.plan)
            # Each time again: another client may compute now, whose scheduler has to learn who removes files.
            base = self.plan.staging_directory or ""
            directories = [start_run(base, run, wait=False) for run in self._graph.runs]
        except SafeframeError as error:
            # Tasks that say so: raised while a graph is pickled it would come out as another error.
            self._directories = None
            refusal = f"refused-{self._keys[0][0]}"
            return {refusal: Task(refusal, refuse, error), **{key: Alias(key, refusal) for key in self._keys}}
        if self._directories != directories:
            self._tasks = self._graph.tasks(directories)
            self._directories = directories
        # Under the names that its tasks have unless dask fuses them with those after them.
        words = key_split(self._keys[0][0]) if self._keys else self.plan.recipe
        output_made(words.split("-")[0], self._steps, self.plan)
        return self._tasks

    def _steps(self) -> list[tuple[str, int]]:
        return list(Counter(key[0] for key in self._tasks if isinstance(key, tuple)).items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._started())

    def __getitem__(self, key: Any) -> Any:
        return (self._tasks if self._directories is not None else self._started())[key]

    def __len__(self) -> int:
        return len(self._started())

    def __reduce__(self) -> tuple[Any, ...]:
        return MaterializedLayer, (dict(self._started()), self.annotations)


def refuse(error: SafeframeError) -> None:
    """Raise what keeps a plan from running."""
    raise error


def partition_tasks(collection: Any) -> list[PartitionTask] | None:
    """Return the tasks that make the partitions of an array or bag, when each needs no other; in the order of its keys.

    A partition that has a task of its own is made where it is used, so that it
    never waits in a worker's memory.
    """
    keys = flat_keys(collection.__dask_keys__())
    graph = dict(collection.__dask_optimize__(collection.__dask_graph__(), keys))
    tasks = []
    for key in keys:
        node = graph[key]
        while isinstance(node, Alias):  # fused tasks have other keys
            node = graph[node.target]
        if not stands_alone(node):
            return None
        tasks.append(PartitionTask(node))
    return tasks


def flat_keys(keys: Any) -> list[Any]:
    """Return the keys of a collection in C order, out of their lists."""
    return [key for part in keys for key in flat_keys(part)] if isinstance(keys, list) else [keys]


def spec_key(run: str) -> str:
    """Return the key of what all tasks of a run have to know.

    A task that depends on it has two dependencies at least, and so is never
    fused with a seal, whose key has to stay.
    """
    return step_name(run, "spec")

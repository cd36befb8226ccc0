"""What safeframe takes for granted of dask's high level graphs, on which arrays and bags stand."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import dask.bag as db
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.task_spec import Alias, DataNode, Task, TaskRef


def test_a_layer_may_be_pickled_as_another():
    class Lazy(Layer):
        has_legacy_tasks = False

        def is_materialized(self):
            return False

        def get_output_keys(self):
            return {("x", 0)}

        def __iter__(self):
            return iter(self.get_output_keys())

        def __len__(self):
            return 1

        def __getitem__(self, key):
            return Task(key, int, 7)

        def __reduce__(self):
            return MaterializedLayer, (dict(self), self.annotations)

    graph = HighLevelGraph.from_collections("x", Lazy(), dependencies=[])
    bag = db.Bag(graph, "x", 1)
    assert isinstance(bag.dask.layers["x"], Lazy), "kept as it is until it is computed"
    assert isinstance(pickle.loads(pickle.dumps(bag.dask)).layers["x"], MaterializedLayer)
    assert dask.get(dict(graph), ("x", 0)) == 7


def test_a_data_node_is_a_dependency():
    graph = {"spec": DataNode("spec", 5), "out": Task("out", int, TaskRef("spec"))}
    assert graph["out"].dependencies == {"spec"}
    assert dask.get(graph, "out") == 5


def test_tasks_of_two_dependencies_are_never_fused_with_them():
    """The key of a seal has to stay, since the janitor knows a run by it."""
    graph = {
        "stage": Task("stage", int, 1),
        "spec": DataNode("spec", 5),
        "seal": Task("seal", max, TaskRef("stage"), TaskRef("spec")),
        ("x", 0): Task(("x", 0), max, TaskRef("seal"), TaskRef("spec")),
    }
    layers = HighLevelGraph.from_collections("x", graph, dependencies=[])
    assert "seal" in dict(da.Array.__dask_optimize__(layers, [("x", 0)]))
    assert "seal" in dict(db.Bag.__dask_optimize__(layers, [("x", 0)]))


def test_a_chunk_s_own_task_is_fused_with_what_made_it():
    array = da.random.default_rng(0).random((4, 4), chunks=(2, 4)) + 1
    keys = [(array.name, i, 0) for i in range(2)]
    graph = dict(array.__dask_optimize__(array.__dask_graph__(), keys))
    for key in keys:
        node = graph[key]
        while isinstance(node, Alias):
            node = graph[node.target]
        assert isinstance(node, Task)
        assert not node.dependencies
        assert node().shape == (2, 4)

"""What a recipe returns goes through every step that dask takes with a frame: in part, twice, and next to others."""

from __future__ import annotations

from itertools import pairwise

import cloudpickle
import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.task_spec import Task

import safeframe
from safeframe.engine.planned.fusion import FusedCells
from safeframe.engine.planned.nodes import Cells
from tests.expressions import every_node

ROWS = 240


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frames = {
        "left": pd.DataFrame({"k": np.arange(ROWS) // 4, "a": np.arange(ROWS), "wide": "x" * 50}),
        "right": pd.DataFrame(
            {"k": np.arange(60), "b": np.arange(60) / 2, "c": "y", "d": "z" * 50, "e": 1.5}
        ),
    }
    frames["mixed"] = frames["right"].sample(frac=1, random_state=1)
    frames["left-mixed"] = frames["left"].iloc[rng.permutation(ROWS)]
    for name, frame in frames.items():
        # Many columns next to the few that are wanted: dask joins reads of few columns.
        wide = frame.assign(**{f"u{i}": i for i in range(30)})
        for number, part in enumerate(np.array_split(np.arange(len(frame)), 4)):
            (tmp_path / name).mkdir(exist_ok=True)
            wide.iloc[part].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def merged(table, left, right, strategy):
    sides = dd.read_parquet(table / left), dd.read_parquet(table / right)
    return safeframe.merge(
        *sides, on="k", strategy=strategy, staging=str(table / "s"), partition_size="48KiB"
    )


RECIPES = {
    "broadcast": lambda t: merged(t, "left-mixed", "mixed", "broadcast"),
    "staged": lambda t: merged(t, "left-mixed", "mixed", "staged"),
    "sorted": lambda t: merged(t, "left", "right", "sorted"),
    "sorted-one-side": lambda t: merged(t, "left", "mixed", "sorted-one-side"),
    "set_index": lambda t: safeframe.set_index(dd.read_parquet(t / "left-mixed"), "k", npartitions=3, staging=str(t / "s")),
    "set_index in place": lambda t: safeframe.set_index(dd.read_parquet(t / "left"), "k"),
    "sort_values": lambda t: safeframe.sort_values(dd.read_parquet(t / "left-mixed"), "a", npartitions=3, staging=str(t / "s")),
    "lag staged": lambda t: safeframe.groupby_lag_transform(
        dd.read_parquet(t / "left-mixed"), "k", "a", [1], npartitions=3, staging=str(t / "s")
    ),
    "lag halo": lambda t: safeframe.groupby_lag_transform(dd.read_parquet(t / "left"), "k", "a", [1]),
    "shuffle": lambda t: safeframe.shuffle(dd.read_parquet(t / "left"), "k", npartitions=3, staging=str(t / "s")),
    "rebalance gathered": lambda t: safeframe.rebalance_partitions(dd.read_parquet(t / "left"), npartitions=3, strategy="sliced"),
    "rebalance joined": lambda t: safeframe.rebalance_partitions(dd.read_parquet(t / "left").persist(), npartitions=3),
    "rebalance staged": lambda t: safeframe.rebalance_partitions(
        dd.read_parquet(t / "left"), npartitions=3, strategy="staged", staging=str(t / "s")
    ),
    "merge of a merge": lambda t: safeframe.merge(
        merged(t, "left-mixed", "mixed", "staged"), merged(t, "left", "right", "sorted")[["k", "e"]], on="k",
        strategy="broadcast", suffixes=("", "_r"),
    ),
}  # fmt: skip


@pytest.fixture(params=RECIPES)
def result(request, table):
    return RECIPES[request.param](table)


def parts_of(collection):
    return list(dask.compute(*collection.to_delayed()))


def same(found, expected):
    pd.testing.assert_frame_equal(found, expected)


def test_each_partition_is_the_same_alone(result):
    parts = parts_of(result)
    assert len(parts) > 1
    for number, part in enumerate(parts):
        alone = result.partitions[number]
        assert alone.divisions == result.divisions[number : number + 2]
        same(alone.compute(), part)
        same(result.get_partition(number).compute(), part)
    some = result.partitions[[len(parts) - 1, 0]]
    same(some.compute(), pd.concat([parts[-1], parts[0]]))
    same(some.partitions[1].compute(), parts[0])
    same(result.tail(2), parts[-1].tail(2))


def test_a_partition_of_steps_after_it(result):
    column = result.columns[0]
    steps = result.assign(new=1)[[column, "new"]]
    last = parts_of(result)[-1].assign(new=1)[[column, "new"]]
    same(steps.partitions[-1].compute(), last)
    same(steps.optimize().partitions[-1].compute(), last)
    same(steps.optimize(fuse=False).partitions[-1].compute(), last)


def test_optimised_again_it_is_the_same(result):
    for collection in (result, result[["k" if "k" in result.columns else "a"]] + 1):
        once = collection.optimize(fuse=False)
        assert isinstance(once.expr, (Cells, FusedCells))
        twice = once.optimize(fuse=False)
        assert twice.expr._name == once.expr._name == collection.optimize(fuse=False).expr._name
        assert set(twice.__dask_graph__()) == set(once.__dask_graph__())
        same(once.optimize().optimize().compute(), collection.compute())


def test_persisted_pickled_and_delayed(result):
    narrow = result[list(result.columns[:1])]
    expected = narrow.compute()
    same(narrow.persist().compute(), expected)
    same(dask.persist(narrow)[0].compute(), expected)
    assert dask.delayed(len)(narrow).compute() == len(expected)
    same(cloudpickle.loads(cloudpickle.dumps(narrow)).compute(), expected)
    same(cloudpickle.loads(cloudpickle.dumps(narrow.optimize())).compute(), expected)
    again, rows = dask.compute(narrow, narrow[narrow.columns[0]].count())
    same(again, expected)
    assert rows == len(expected)


def test_an_array_of_its_values_goes_with_the_frame(result):
    frame = result.compute()
    column = result.columns[0]
    values = frame[column].to_numpy()
    for collection in (result, result.assign(new=1)):
        expected = frame.assign(new=1) if "new" in collection.columns else frame
        same(collection.assign(z=collection[column].values).compute(), expected.assign(z=values))
        exact = collection[column].to_dask_array(lengths=True)
        same(collection.assign(z=exact).compute(), expected.assign(z=values))
        chosen = (collection[column] > 20).values
        same(collection.loc[chosen].compute(), expected[values > 20])


def test_a_graph_that_was_not_optimised_has_the_names_of_the_frame(result):
    assert result.__dask_keys__() == [(result._name, number) for number in range(result.npartitions)]
    parts = dask.compute(*result.to_delayed(optimize_graph=False))
    same(pd.concat(parts), result.compute())
    with dask.config.set({"optimization.tune.active": False}):
        optimised = result.optimize(fuse=False)
        assert isinstance(optimised.expr, Cells)
        same(optimised.compute(), result.compute())


def test_rows_of_other_steps_are_never_taken_for_a_frame(result):
    """dask.optimize takes the first keys of the whole graph, in order, for those of the frame."""
    with pytest.raises(TypeError):
        dask.optimize(result)
    optimised = result.optimize(fuse=False)
    if len(optimised.__dask_graph__()) > optimised.npartitions:
        with pytest.raises(TypeError):
            dask.optimize(optimised)
    else:
        same(dask.optimize(optimised)[0].compute(), result.compute())


def tasks_for(collection):
    graph = dict(collection.optimize(fuse=False).__dask_graph__())
    return [task for task in graph.values() if isinstance(task, Task)]


def test_a_partition_needs_no_tasks_but_its_own(table):
    probe = merged(table, "left-mixed", "mixed", "broadcast")
    assert len(tasks_for(probe)) - len(tasks_for(probe.partitions[0])) == probe.npartitions - 1
    indexed = safeframe.set_index(dd.read_parquet(table / "left"), "k")
    assert len(tasks_for(indexed.partitions[2])) == 1, "a read, and the index set in the same task"
    aligned = merged(table, "left", "right", "sorted")
    assert len(tasks_for(aligned.partitions[0])) < len(tasks_for(aligned)) / 2


def test_reads_are_not_joined_below_a_recipe(table):
    narrow = dd.read_parquet(table / "left")[["k", "a"]] + 1
    assert narrow.optimize(fuse=False).npartitions < narrow.npartitions
    result = merged(table, "left-mixed", "mixed", "broadcast")[["b"]]
    for optimised in (result.optimize(fuse=False), result.optimize().optimize()):
        assert optimised.npartitions == 4
        assert not [node for node in every_node(optimised.expr) if "FusedParquet" in type(node).__name__]


def test_a_frame_whose_reads_were_joined_is_taken_as_it_is(table):
    left = (dd.read_parquet(table / "left-mixed")[["k", "a"]] + 0).optimize()
    right = dd.read_parquet(table / "mixed")[["k", "b"]]
    assert left.npartitions < 4
    for strategy in ("broadcast", "staged"):
        result = safeframe.merge(left, right, on="k", strategy=strategy, staging=str(table / "s"))
        expected = left.compute().merge(right.compute(), on="k")
        order = ["k", "a"]
        same(
            result.compute().sort_values(order, ignore_index=True),
            expected.sort_values(order, ignore_index=True),
        )


@pytest.mark.parametrize("split_out", [2, 3, True])
def test_totals_have_as_many_partitions_as_the_step_that_requests_them(table, split_out):
    result = merged(table, "left-mixed", "mixed", "broadcast")
    sums = result.groupby("k").a.sum(split_out=split_out)
    parts = parts_of(sums.optimize())
    assert len(parts) == sums.npartitions
    expected = pd.concat(parts).sort_index()
    for again in (
        sums,
        sums.reset_index().set_index("k", sort=False).a,
        dask.persist(sums)[0],
        sums.persist(),
    ):
        pd.testing.assert_series_equal(again.compute().sort_index(), expected)
    assert [len(part) for part in parts if len(part)] != [len(expected)], "rows are in all of them"
    pd.testing.assert_series_equal(sums.partitions[-1].compute(), parts[-1])


def test_divisions_of_partitions_stay_in_order(table):
    indexed = safeframe.set_index(
        dd.read_parquet(table / "left-mixed"), "k", npartitions=4, staging=str(table / "s")
    )
    for low, high in pairwise(indexed.divisions):
        found = indexed.loc[low : high - 1]
        assert found.npartitions == 1
        same(found.compute(), indexed.compute().loc[low : high - 1])


TIMES = pd.DataFrame(
    {"k": np.arange(96) % 7, "v": np.arange(96.0)},
    index=pd.date_range("2024-01-01", periods=96, freq="h", name="t"),
)


def test_rows_that_are_in_order_keep_their_divisions_and_frequency():
    times = dd.from_pandas(TIMES, npartitions=4)
    in_order = safeframe.sort_values(times, "v")
    assert in_order.divisions == times.divisions
    assert [part.index.freq for part in parts_of(in_order)] == [TIMES.index.freq] * 4
    pd.testing.assert_frame_equal(in_order.compute(), TIMES)
    assert not safeframe.sort_values(times, "k", npartitions=2).known_divisions


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize(
    "recipe",
    [
        lambda frame: safeframe.rebalance_partitions(frame, npartitions=1),
        lambda frame: safeframe.sort_values(frame, 0),
        lambda frame: safeframe.shuffle(frame, 0),
        lambda frame: safeframe.groupby_lag_transform(frame, 0, 1, [1]),
    ],
)
def test_one_column_is_taken_of_columns_that_are_numbers(recipe, column):
    frame = dd.from_pandas(pd.DataFrame({0: [3, 1, 2], 1: [1, 2, 3], 2: [4, 5, 6]}), npartitions=2)
    result = recipe(frame)
    taken = result[column].compute()
    assert taken.name == column
    assert sorted(taken) == sorted(result.compute()[column]) == [1, 2, 3]


def test_a_recipe_reads_no_column_whose_name_only_holds_that_of_one_it_needs():
    frame = dd.from_pandas(pd.DataFrame({"a": [1, 2], "ab": [3, 4]}), npartitions=2)
    taken = safeframe.rebalance_partitions(frame, npartitions=1)["ab"].simplify()
    assert list(taken.expr.frame.frame.columns) == ["ab"]

"""Nothing that runs while a task, or what it made, is unpickled asks for a client.

A worker unpickles in its event loop. A client that is made there waits for that loop.
"""

from __future__ import annotations

import functools
import pickle
from contextlib import contextmanager

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import distributed
import distributed.worker
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import convert_legacy_graph
from dask.order import order
from distributed.protocol.pickle import dumps

import safeframe
from safeframe import options
from safeframe.facts.merge import KeyTable
from safeframe.sizing.keys import table as key_table

LEFT = pd.DataFrame({"k": np.arange(400) % 50, "a": np.arange(400)})
RIGHT = pd.DataFrame({"k": np.arange(50), "b": np.arange(50.0)})


def left():
    return dd.from_pandas(LEFT, npartitions=4, sort=False)


def right():
    return dd.from_pandas(RIGHT, npartitions=2, sort=False)


def table_merge(at):
    for name, frame in {"left": LEFT, "right": RIGHT}.items():
        frame.to_parquet(f"{at}/{name}.parquet")
    frames = [dd.read_parquet(f"{at}/{name}.parquet") for name in ("left", "right")]
    with pytest.MonkeyPatch.context() as patch:
        # Tables are for many rows otherwise.
        patch.setattr(options, "TABLE_MIN_ROWS", 0)
        patch.setattr(key_table, "KeyTable", functools.partial(KeyTable, slice_nbytes=200))
        made = safeframe.merge(*frames, on="k", how="left", staging=at)
    assert safeframe.explain(made).run.table is not None
    return made


@contextmanager
def no_client(monkeypatch):
    """Fail whoever asks for a client, or makes one."""

    def asked(*args, **kwargs):
        pytest.fail("a client was asked for")

    with monkeypatch.context() as patch:
        patch.setattr(distributed, "get_client", asked)
        patch.setattr(distributed.worker, "get_client", asked)
        patch.setattr(distributed.Client, "current", asked)
        patch.setattr(distributed.Client, "__init__", asked)
        yield


def moved(value, monkeypatch):
    """Send a value as a cluster does, and take it out where there must be no client."""
    # No scheduler is configured on a worker, so that dask would ask for a client.
    with no_client(monkeypatch), dask.config.set(scheduler=None):
        return pickle.loads(dumps(value))


def run_on_foreign_workers(monkeypatch):
    """Make a scheduler that moves each task, and each result, to another process and back, as it were."""

    def get(graph, keys, **kwargs):
        # dask hands over an expression, except to schedulers that know no better.
        tasks = convert_legacy_graph(
            dict(graph.__dask_graph__() if hasattr(graph, "__dask_graph__") else graph)
        )
        made = {}
        for key in sorted(tasks, key=order(tasks).__getitem__):
            task = moved(tasks[key], monkeypatch)
            made[key] = moved(task({name: made[name] for name in task.dependencies}), monkeypatch)
        return pick(keys, made)

    def pick(keys, made):
        return [pick(key, made) for key in keys] if isinstance(keys, list) else made[keys]

    return get


RECIPES = {
    "merge": lambda at: safeframe.merge(left(), right(), on="k", strategy="staged", staging=at),
    "merge, table": lambda at: table_merge(at),
    "merge, broadcast": lambda at: safeframe.merge(left(), right(), on="k", strategy="broadcast"),
    "merge, totals": lambda at: safeframe.merge(
        left(), right(), on="k", strategy="staged", staging=at
    ).b.sum(),
    "sorted_merge": lambda at: safeframe.sorted_merge(
        left(), right(), on="k", sort=True, strategy="staged", staging=at
    ),
    "set_index": lambda at: safeframe.set_index(left(), "k", strategy="staged", staging=at),
    "sort_values": lambda at: safeframe.sort_values(left(), "k", strategy="staged", staging=at),
    "shuffle": lambda at: safeframe.shuffle(left(), "k", npartitions=3, strategy="staged", staging=at),
    "rebalance": lambda at: safeframe.rebalance_partitions(left(), npartitions=3, staging=at),
    "lag": lambda at: safeframe.groupby_lag_transform(left(), "k", "a", [1], order_by="a", staging=at),
    "bag_groupby": lambda at: safeframe.bag_groupby(
        db.from_sequence(range(100), npartitions=4), _remainder, npartitions=2, staging=at
    ),
    "rechunk": lambda at: safeframe.rechunk(
        da.from_array(np.arange(40_000.0).reshape(200, 200), chunks=(10, 200)), (200, 10), staging=at
    ),
}


def _remainder(number):
    return number % 7


@pytest.mark.parametrize("name", RECIPES)
def test_no_task_and_no_result_asks_for_a_client(name, tmp_path, monkeypatch):
    with dask.config.set(scheduler="synchronous"):
        made = RECIPES[name](str(tmp_path))
    with dask.config.set(scheduler=run_on_foreign_workers(monkeypatch)):
        made.compute()

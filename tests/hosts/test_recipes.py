"""Every recipe on three hosts that share an object store and no directory: what comes out is what pandas says."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client

import safeframe
from tests.faults.machine.recipes import SHAPES, Tables, plain_result, same_rows, write_tables
from tests.hosts.cluster import HostCluster
from tests.hosts.work import HOST_RECIPES

pytestmark = pytest.mark.cluster

_GONE_SECONDS = 20.0
# One of each way in which rows move; nights have the others.
_IN_CI = (
    "merge, outer", "merge, p2p", "merge, written", "sort_values", "lag", "groupby, ordered", "drop_duplicates", "rechunk",
    "bag_groupby", "groupby, apply",
)  # fmt: skip


@pytest.fixture(scope="module")
def tables(hosts: HostCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tables]:
    """Datasets of each shape, in the store."""
    made = {}
    for shape in SHAPES:
        directory = tmp_path_factory.mktemp(shape)
        made[shape] = write_tables(shape, 0, directory)
        hosts.store.upload(directory, shape)
    return made


def read(hosts: HostCluster, shape: str) -> tuple[dd.DataFrame, dd.DataFrame]:
    left, right = (
        dd.read_parquet(f"{hosts.store.bucket}/{shape}/{side}", filesystem=hosts.files)
        for side in ("left", "right")
    )
    return left, right


def written(hosts: HostCluster, lazy: Any, target: str) -> pd.DataFrame:
    """Write to the store, and read back without dask."""
    safeframe.to_parquet(lazy, target, filesystem=hosts.files, write_index=False)
    names = [key for key in hosts.store.keys(target.partition("/")[2]) if key.endswith(".parquet")]
    names.sort(key=lambda name: int(name.rpartition("/")[2].split(".")[1]))
    parts = [pq.read_table(f"{hosts.store.bucket}/{name}", filesystem=hosts.files) for name in names]
    return pd.concat([part.to_pandas() for part in parts], ignore_index=True)


def cases() -> list[Any]:
    nightly = pytest.mark.nightly
    return [
        pytest.param(name, SHAPES[number % len(SHAPES)], marks=() if name in _IN_CI else nightly)
        for number, name in enumerate(HOST_RECIPES)
    ]


@pytest.mark.parametrize(("name", "shape"), cases())
def test_a_recipe_equals_pandas(
    name: str, shape: str, hosts: HostCluster, client: Client, tables: dict[str, Tables]
) -> None:
    recipe = HOST_RECIPES[name]
    lazy = recipe.build(*read(hosts, shape), hosts.staging)
    hosts.watch.tasks.clear()
    if recipe.written:
        found: Any = written(hosts, lazy, f"{hosts.store.bucket}/written-{name.replace(', ', '-')}")
    else:
        found = plain_result(recipe, lazy, Path())
    assert same_rows(recipe, found, recipe.expected(tables[shape]))
    if recipe.staged:
        assert len(hosts.watch.tasks) > 1, hosts.done.tasks
    del lazy, found
    gc.collect()
    # The scheduler removes staged rows soon after a result is let go, and the store tells nobody.
    deadline = time.monotonic() + _GONE_SECONDS
    while (left := hosts.staged()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []

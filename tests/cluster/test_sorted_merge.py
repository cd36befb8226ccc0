"""safeframe.sorted_merge on a real cluster, row for row, and what it leaves there."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from distributed import wait

import safeframe
from safeframe.engine.exchange.nodes import StageGroups
from safeframe.engine.merge.in_order_tasks import checked_part
from safeframe.engine.names import run_of_seal
from safeframe.engine.planned.fusion import FusedCells
from tests.expressions import every_node


@pytest.fixture
def tables(tmp_path):
    """Two tables on disk in key order, with divisions of their own, and one in no order."""
    rng = np.random.default_rng(1)
    left = pd.DataFrame(
        {"k": np.sort(rng.integers(0, 400, 6000)), "l": range(6000), "wide": rng.random(6000)}
    )
    right = pd.DataFrame({"k": np.sort(rng.integers(100, 500, 900)), "r": range(900)})
    mixed = right.sample(frac=1, random_state=2, ignore_index=True)
    for name, frame, files in (("left", left, 7), ("right", right, 4), ("mixed", mixed, 3)):
        (tmp_path / name).mkdir()
        for number, piece in enumerate(np.array_split(np.arange(len(frame)), files)):
            frame.iloc[piece].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def merge_of(tables: Path, right: str = "right", **arguments):
    options = {"on": "k", "partition_size": "24KiB", "staging": str(tables / "staging"), **arguments}
    return safeframe.sorted_merge(
        dd.read_parquet(tables / "left"), dd.read_parquet(tables / right), **options
    )


def expected_of(tables: Path, right: str = "right", **arguments) -> pd.DataFrame:
    left, other = (dd.read_parquet(tables / name).compute() for name in ("left", right))
    merged = left.merge(other, on="k", **arguments)
    return merged.sort_values("k", kind="stable", ignore_index=True)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Every row, in its place."""
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


def fused_parts(collection):
    return list(every_node(collection.optimize().expr))


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@pytest.mark.parametrize(("right", "strategy"), [("right", "sorted"), ("mixed", "sorted-one-side")])
def test_parquet_to_parquet(small_cluster, tables, how, right, strategy):
    merged = merge_of(tables, right, how=how, sort=True)
    plan = safeframe.explain(merged)
    assert plan.strategy == strategy
    assert plan.output_partitions > 4
    safeframe.to_parquet(merged, tables / "out")
    same(dd.read_parquet(tables / "out").compute(), expected_of(tables, right, how=how))


def test_both_sides_moved(small_cluster, tables):
    merged = merge_of(tables, how="right", strategy="staged")
    found, expected = merged.compute(), expected_of(tables, how="right")
    assert found["k"].is_monotonic_increasing
    order = ["k", "l", "r"]
    same(found.sort_values(order), expected.sort_values(order, ignore_index=True))


def test_without_a_client_on_threads(tables):
    with dask.config.set(scheduler="threads"):
        same(merge_of(tables).compute(), expected_of(tables))
        same(merge_of(tables, "mixed", sort=True).compute(), expected_of(tables, "mixed"))
    assert not list((tables / "staging").rglob("*.staged"))


def test_merge_takes_it_by_itself(small_cluster, tables):
    left, mixed = dd.read_parquet(tables / "left"), dd.read_parquet(tables / "mixed")
    merged = safeframe.merge(left, mixed, on="k", how="outer", staging=str(tables / "staging"))
    plan = safeframe.explain(merged)
    assert plan.strategy == "sorted-one-side"
    assert plan.staging_nbytes == 900 * 16
    same(merged.compute(), expected_of(tables, "mixed", how="outer"))


def test_only_needed_columns_are_read_and_staged(small_cluster, tables):
    picked = merge_of(tables, "mixed", sort=True)[["k", "r"]]
    nodes = fused_parts(picked)
    assert {part.columns_.names for part in nodes if isinstance(part, StageGroups)} == {("k", "r")}
    read = {tuple(part.columns) for part in nodes if isinstance(part, ReadParquet)}
    assert read == {("k",), ("k", "r")}
    same(picked.compute(), expected_of(tables, "mixed")[["k", "r"]])


def test_cells_are_one_task_with_what_takes_them(small_cluster, tables):
    written = merge_of(tables).map_partitions(lambda part: part[["l"]] * 2, meta={"l": "int64"})
    assert any(isinstance(node, FusedCells) for node in fused_parts(written))
    same(written.compute(), expected_of(tables)[["l"]] * 2)


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
def test_a_filter_is_applied_to_the_result(small_cluster, tables, how):
    merged = merge_of(tables, how=how)
    expected = expected_of(tables, how=how)
    same(merged[merged.l < 3000].compute(), expected[expected.l < 3000].reset_index(drop=True))


def test_filtered_sides_go_in(small_cluster, tables):
    left, right = dd.read_parquet(tables / "left"), dd.read_parquet(tables / "right")
    merged = safeframe.sorted_merge(left[left.k > 250], right[right.r > 10], on="k", how="left")
    expected = left.compute().query("k > 250").merge(right.compute().query("r > 10"), on="k", how="left")
    same(merged.compute(), expected)


def test_partitions_that_nothing_can_come_from_are_not_read(small_cluster, tables):
    (tables / "reads").mkdir()

    def make(number: int) -> pd.DataFrame:
        (tables / "reads" / f"{number}-{len(list((tables / 'reads').iterdir()))}").touch()
        return pd.DataFrame({"k": np.arange(number * 100, number * 100 + 100)})

    meta = pd.DataFrame({"k": pd.Series(dtype="int64")})
    right = dd.from_map(make, range(6), meta=meta)
    left = dd.from_pandas(pd.DataFrame({"k": np.arange(250, 350), "l": 1}), npartitions=2)
    merged = safeframe.sorted_merge(left, right, on="k")
    for path in (tables / "reads").iterdir():
        path.unlink()
    assert len(merged.compute()) == 100
    assert {path.name.split("-")[0] for path in (tables / "reads").iterdir()} == {"2", "3"}


def test_partitions_that_stay_are_not_made_before_the_other_side_is_staged(tables):
    graph = merge_of(tables, "mixed", sort=True).optimize().__dask_graph__()
    parts = {key: task for key, task in graph.items() if getattr(task, "func", None) is checked_part}
    assert len(parts) == 6, "nothing comes of the first one"
    assert all(any(run_of_seal(key) for key in task.dependencies) for task in parts.values())


def test_len_and_a_slice_of_partitions(small_cluster, tables):
    merged = merge_of(tables)
    assert len(merged) == len(expected_of(tables))
    parts = [part.compute() for part in merged.to_delayed()[1:3]]
    same(merged.partitions[1:3].compute(), pd.concat(parts, ignore_index=True))


def test_it_can_be_computed_twice_persisted_and_pickled(small_cluster, tables):
    merged, other = merge_of(tables), merge_of(tables, "mixed", sort=True)
    expected = expected_of(tables)
    found, again = dask.compute(merged, other)
    same(found, expected)
    same(again, expected_of(tables, "mixed"))
    same(pickle.loads(pickle.dumps(merged)).compute(), expected)
    kept = other.persist()
    wait(kept)
    same(kept.compute(), expected_of(tables, "mixed"))


def test_persisted_sides_and_a_merge_of_a_merge(small_cluster, tables):
    left = dd.read_parquet(tables / "left").persist()
    right = dd.from_pandas(dd.read_parquet(tables / "right").compute(), npartitions=3, sort=False)
    merged = safeframe.sorted_merge(left, right, on="k", partition_size="24KiB")
    third = dd.from_pandas(pd.DataFrame({"k": np.arange(0, 500, 3), "third": 1.5}), npartitions=2)
    both = safeframe.sorted_merge(merged, third, on="k")
    assert safeframe.explain(both).strategy == "sorted"
    expected = expected_of(tables)
    same(merged.compute(), expected)
    same(both.compute(), expected.merge(third.compute(), on="k"))


def test_a_frame_with_itself(small_cluster, tables):
    right = dd.read_parquet(tables / "right")
    merged = safeframe.sorted_merge(right, right, on="k")
    frame = right.compute()
    same(merged.compute(), frame.merge(frame, on="k"))


def test_the_result_of_a_sort_is_in_order(small_cluster, tables):
    staging = str(tables / "staging")
    right = safeframe.sort_values(
        dd.read_parquet(tables / "mixed"), "k", npartitions=4, ignore_index=True, staging=staging
    )
    merged = safeframe.sorted_merge(dd.read_parquet(tables / "left"), right, on="k")
    assert safeframe.explain(merged).strategy == "sorted"
    expected = dd.read_parquet(tables / "left").compute().merge(right.compute(), on="k")
    same(merged.compute(), expected)

"""Merges among other steps: what is read, what moves and how often, next to the rows of pandas."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback
from dask.dataframe.dask_expr.io.parquet import ReadParquet

import safeframe
from safeframe._dask.expressions import Filter, Literal
from safeframe.engine.exchange.nodes import Seal, StageGroups
from safeframe.engine.merge.nodes import SafeMerge
from safeframe.engine.planned.fusion import FusedCells
from tests.expressions import nodes_of
from tests.property.test_merge_properties import same_rows

HOWS = ("inner", "left", "right", "outer")


@pytest.fixture(autouse=True)
def _threads():
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


@pytest.fixture
def tables(tmp_path):
    """Two tables on disk, keys in no order, with a fan-out of about four."""
    rng = np.random.default_rng(1)
    left = pd.DataFrame({"k": rng.integers(0, 50, 2000), "l": range(2000), "wide": rng.random(2000)})
    right = pd.DataFrame({"k": rng.integers(10, 60, 200), "r": range(200), "other": rng.random(200)})
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        for number, piece in enumerate(np.array_split(np.arange(len(frame)), 4)):
            frame.iloc[piece].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def sides(tables):
    return dd.read_parquet(tables / "left"), dd.read_parquet(tables / "right")


def merge_of(tables, **given):
    left, right = sides(tables)
    options = {
        "on": "k",
        "strategy": "staged",
        "partition_size": "64KiB",
        "staging": str(tables / "staging"),
    }
    return safeframe.merge(left, right, **{**options, **given})


def expected_of(tables, **given):
    left, right = (side.compute() for side in sides(tables))
    return left.merge(right, **{"on": "k", **given})


def nodes(collection, *kinds):
    """Find expressions of some kinds in what is about to run."""
    return nodes_of(collection, *kinds)


def shuffles(collection):
    return [type(node).__name__ for node in nodes_of(collection, object) if "Shuffle" in type(node).__name__]


# -- groups ------------------------------------------------------------------------------------------------------------


GROUPED = {
    "apply": (
        lambda merged: merged.groupby("k").apply(lambda group: group["l"].sum(), meta=("l", "int64")),
        lambda merged: merged.groupby("k").apply(lambda group: group["l"].sum()),
    ),
    "transform": (
        lambda merged: merged.groupby("k")["l"].transform("max", meta=("l", "int64")),
        lambda merged: merged.groupby("k")["l"].transform("max"),
    ),
    "after a projection": (
        lambda merged: merged[["l", "k"]].groupby("k").apply(len, meta=(None, "int64")),
        lambda merged: merged[["l", "k"]].groupby("k").apply(len),
    ),
    "by more columns": (
        lambda merged: merged.groupby(["k", "l"])["r"].transform("max", meta=("r", "int64")),
        lambda merged: merged.groupby(["k", "l"])["r"].transform("max"),
    ),
    "aggregated in several partitions": (
        lambda merged: merged.groupby("k", sort=False)["r"].sum(split_out=3),
        lambda merged: merged.groupby("k")["r"].sum(),
    ),
    "nunique in several partitions": (
        lambda merged: merged.groupby("k", sort=False)["r"].nunique(split_out=2),
        lambda merged: merged.groupby("k")["r"].nunique(),
    ),
}


def as_counted(series):
    """Return what a series holds without its order; in a transform the index numbers rows of a partition."""
    named = series.index.name == "k"
    frame = series.rename("value").reset_index() if named else series.rename("value").to_frame()
    return frame.sort_values(list(frame.columns)).reset_index(drop=True)


@pytest.mark.filterwarnings("ignore:DataFrameGroupBy.apply operated:DeprecationWarning")
@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_the_key_need_no_exchange_where_keys_are_whole(tables, name):
    by_dask, by_pandas = GROUPED[name]
    merged = merge_of(tables)
    plan = safeframe.explain(merged)
    assert plan.run.layout.cells.max() == 1
    assert plan.output_partitions > 2
    grouped = by_dask(merged)
    assert shuffles(grouped) == []
    pd.testing.assert_frame_equal(
        as_counted(grouped.compute()), as_counted(by_pandas(expected_of(tables))), check_dtype=False
    )


@pytest.mark.parametrize(
    ("by", "given"),
    [
        ("k", {"partition_size": "2KiB"}),  # a key fills several partitions
        ("l", {}),  # not the key
        ("k", {"strategy": "broadcast", "how": "left", "partition_size": None}),
    ],
)
def test_groups_that_are_not_whole_are_exchanged_and_right(tables, by, given):
    merged = merge_of(tables, **given)
    grouped = merged.groupby(by)["r"].transform("max", meta=("r", "float64"))
    assert shuffles(grouped) != []
    expected = expected_of(tables, how=given.get("how", "inner"))
    pd.testing.assert_frame_equal(
        as_counted(grouped.compute()),
        as_counted(expected.groupby(by)["r"].transform("max")),
        check_dtype=False,
    )


@pytest.mark.parametrize("how", HOWS)
def test_keys_of_two_names_are_whole_where_that_side_has_every_row(tables, how):
    left, right = sides(tables)
    merged = safeframe.merge(
        left, right.rename(columns={"k": "j"}), how=how, left_on="k", right_on="j", strategy="staged",
        partition_size="64KiB", staging=str(tables / "staging"),
    )  # fmt: skip
    whole = {
        by for by in ("k", "j") if not shuffles(merged.groupby(by)["l"].transform("max", meta=("l", "f8")))
    }
    assert whole == {"inner": {"k", "j"}, "left": {"k"}, "right": {"j"}, "outer": set()}[how]


def test_a_merge_of_dask_after_it_moves_both_sides(tables):
    """dask would take "each key in one partition" for its own hash, and lose rows."""
    merged = merge_of(tables)
    other = dd.from_pandas(pd.DataFrame({"k": np.arange(60), "z": np.arange(60) * 2}), npartitions=9)
    assert merged.expr.unique_partition_mapping_columns_from_shuffle == set()
    for frame in (merged, merged[merged.l > 50], merged.rename(columns={"r": "s"})):
        joined = frame.merge(other, on="k", broadcast=False)
        assert len(joined.compute()) == len(frame.compute())


# -- merges of merges --------------------------------------------------------------------------------------------------


def test_a_merge_of_a_merge_has_two_exchanges(tables):
    third = dd.from_pandas(pd.DataFrame({"k": np.arange(60), "z": np.arange(60) * 2}), npartitions=3)
    both = safeframe.merge(
        merge_of(tables), third, on="k", strategy="staged", staging=str(tables / "staging")
    )
    assert len(nodes(both, Seal)) == 2
    same_rows(both.compute(), expected_of(tables).merge(third.compute(), on="k"), ["l", "r"])


def test_one_merge_on_both_sides_runs_once(tables):
    merged = merge_of(tables)[["k", "l"]]
    both = safeframe.merge(merged, merged, on="l", strategy="staged", staging=str(tables / "staging"))
    assert len(nodes(both, Seal)) == 2
    expected = expected_of(tables)[["k", "l"]]
    assert len(both.compute()) == len(expected.merge(expected, on="l"))


@pytest.mark.parametrize("how", HOWS)
def test_one_frame_on_both_sides_is_staged_once(tables, how):
    left, _ = sides(tables)
    itself = safeframe.merge(left, left, on="k", how=how, strategy="staged", staging=str(tables / "staging"))
    assert len(nodes(itself, StageGroups)) == 1
    expected = left.compute().merge(left.compute(), on="k", how=how)
    same_rows(itself.compute(), expected, ["l_x", "l_y"])


def test_two_parts_of_one_frame_meet(tables):
    left, _ = sides(tables)
    small, large = left[left.l < 100], left[left.l >= 100]
    merged = safeframe.merge(small, large, on="k", strategy="staged", staging=str(tables / "staging"))
    expected = small.compute().merge(large.compute(), on="k")
    same_rows(merged.compute(), expected, ["l_x", "l_y"])


# -- projections and filters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["staged", "broadcast"])
def test_columns_that_nothing_uses_are_not_read(tables, strategy):
    merged = merge_of(tables, strategy=strategy, partition_size="4MiB")
    picked = merged[["r", "k"]]
    read = picked.simplify().expr.find_operations(ReadParquet)
    assert sorted(tuple(part.columns) for part in read) == [("k",), ("k", "r")]
    result = picked.compute()
    assert list(result.columns) == ["r", "k"]
    expected = expected_of(tables)[["r", "k"]]
    assert (
        result.sort_values(["r", "k"]).to_numpy().tolist()
        == expected.sort_values(["r", "k"]).to_numpy().tolist()
    )


def test_a_column_whose_name_has_a_suffix_only_next_to_another_keeps_it(tables):
    left, right = sides(tables)
    merged = safeframe.merge(
        left.rename(columns={"wide": "v"}), right.rename(columns={"other": "v"}), on="k", strategy="staged",
        staging=str(tables / "staging"),
    )  # fmt: skip
    expected = expected_of(tables)
    assert merged["v_x"].sum().compute() == pytest.approx(expected["wide"].sum())
    assert merged[["v_y", "k"]]["v_y"].sum().compute() == pytest.approx(expected["other"].sum())


FILTERS = {
    "left column": (lambda m: m.l < 500, "left", {"inner", "left"}),
    "right column": (lambda m: m.r < 70, "right", {"inner", "right"}),
    # Of either side, which have one type: it moves to both.
    "key": (lambda m: m.k < 30, "left", {"inner", "left", "right"}),
    "two columns of a side": (lambda m: (m.l < 500) & (m.wide > 0.5), "left", {"inner", "left"}),
    "both sides": (lambda m: m.l < m.r, None, set()),
}


@pytest.mark.parametrize("strategy", ["staged", "broadcast"])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_moves_below_where_that_is_right(tables, how, name, strategy):
    if strategy == "broadcast" and how == "outer":
        return  # which it never is
    condition, side, hows = FILTERS[name]
    merged = merge_of(tables, how=how, strategy=strategy, partition_size="4MiB")
    filtered = merged[condition(merged)]
    simplified = filtered.simplify().expr
    after = [node for node in simplified.find_operations(Filter) if list(node.find_operations(SafeMerge))]
    assert (after == []) == (how in hows), f"{name} of the {side} side"
    expected = expected_of(tables, how=how)
    same_rows(filtered.compute(), expected[condition(expected)], ["l", "r"])
    rows = len(expected[condition(expected)])
    assert len(filtered) == rows
    assert len(filtered.simplify()) == rows, (
        "a merge of filtered sides has other rows than it was planned for"
    )


# -- counting ----------------------------------------------------------------------------------------------------------


class _Ran(Callback):
    """Counts tasks."""

    def __init__(self):
        super().__init__(pretask=self._count)
        self.names = []

    def _count(self, key, dsk, state):
        self.names.append(str(key))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    "step",
    [
        lambda merged: merged,
        lambda merged: merged[["r", "l"]],
        lambda merged: merged.assign(z=1),
        lambda merged: merged["l"],
        lambda merged: merged.rename(columns={"l": "m"}).astype({"k": "float64"}),
    ],
)
def test_rows_are_counted_without_making_any(tables, how, step):
    merged = merge_of(tables, how=how)
    with _Ran() as ran:
        assert len(step(merged)) == len(expected_of(tables, how=how))
    assert not [name for name in ran.names if "stage" in name or "exchange" in name]


def test_rows_of_fewer_partitions_or_of_a_sample_of_keys_are_counted(tables):
    merged = merge_of(tables)
    assert len(merged.partitions[0]) == len(merged.partitions[0].compute()) < len(merged)
    with dask.config.set({"safeframe.key-capacity": 20}):
        sampled = merge_of(tables)
    assert not safeframe.explain(sampled).output_rows.exact
    assert not isinstance(sampled.index.size.expr.optimize(fuse=False), Literal)
    assert len(sampled) == len(expected_of(tables))


def test_an_index_is_there_besides_being_counted(tables):
    merged = merge_of(tables)
    index = merged.index.compute()
    assert len(index) == len(expected_of(tables))
    assert index.max() < len(index)


# -- before and after --------------------------------------------------------------------------------------------------


def test_steps_before_and_after_are_in_the_tasks_of_the_merge(tables):
    left, right = sides(tables)
    made = left.assign(l=left.l + 1)
    merged = safeframe.merge(made, right, on="k", strategy="staged", staging=str(tables / "staging"))
    doubled = (merged[["l", "r"]] * 2).assign(s=1)
    expr = doubled.optimize(fuse=False).expr
    assert isinstance(expr, FusedCells)
    staged = nodes(doubled, StageGroups)
    assert len(staged) == 2
    assert all(part.parts is not None and not part.dependencies() for part in staged)
    expected = left.compute().assign(l=lambda f: f.l + 1).merge(right.compute(), on="k")
    assert doubled["l"].sum().compute() == 2 * expected["l"].sum()


@pytest.mark.parametrize("given", [{}, {"strategy": "broadcast", "partition_size": "4MiB"}])
def test_both_writers_write_it(tables, given):
    merged = merge_of(tables, **given)
    merged.to_parquet(tables / "dask", write_index=False)
    merged.safe.to_parquet(tables / "safe", write_index=False)
    for name in ("dask", "safe"):
        same_rows(pd.read_parquet(tables / name), expected_of(tables), ["l", "r"])

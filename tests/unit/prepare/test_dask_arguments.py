"""Every argument of the dask functions that recipes stand in for is in the documentation, and taken or answered."""

from __future__ import annotations

import inspect
import operator
import re
from pathlib import Path

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import UnsupportedError, ValidationError

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "dask-arguments.md"

# By heading of the page: dask's functions, ours, and arguments that are no parameters of dask's signature.
FUNCTIONS = {
    "merge": ([dd.merge, dd.DataFrame.merge], [safeframe.merge, safeframe.plan_merge], set()),
    "set_index": (
        [dd.DataFrame.set_index],
        [safeframe.set_index, safeframe.plan_set_index],
        {"inplace", "compute"},  # of its docstring
    ),
    "sort_values": ([dd.DataFrame.sort_values], [safeframe.sort_values, safeframe.plan_sort_values], set()),
    "shuffle": ([dd.DataFrame.shuffle], [safeframe.shuffle, safeframe.plan_shuffle], set()),
    "repartition": (
        [dd.DataFrame.repartition],
        [safeframe.rebalance_partitions, safeframe.plan_rebalance],
        set(),
    ),
    "drop_duplicates": (
        [dd.DataFrame.drop_duplicates],
        [safeframe.drop_duplicates, safeframe.plan_drop_duplicates],
        {"inplace"},
    ),
    "unique": ([dd.Series.unique], [safeframe.unique, safeframe.plan_unique], set()),
    "nunique": (
        [dd.DataFrame.nunique, dd.Series.nunique],
        [safeframe.nunique, safeframe.plan_nunique],
        set(),
    ),
    "rechunk": ([da.rechunk, da.Array.rechunk], [safeframe.rechunk, safeframe.plan_rechunk], set()),
    "groupby of a bag": ([db.Bag.groupby], [safeframe.bag_groupby, safeframe.plan_bag_groupby], set()),
    # A plan of groups takes what is asked of them, too.
    "groupby": ([dd.DataFrame.groupby], [safeframe.groupby], set()),
    "value_counts": ([dd.Series.value_counts], [safeframe.value_counts, safeframe.plan_value_counts], set()),
}
# The first one is the frame itself, which ours take by position.
RENAMED = {"x": "array", "kwargs": "options"}


def table_of(heading: str) -> dict[str, str]:
    """Read what the page says of each argument."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = {}
    for names, word in re.findall(r"^\| (`[^|]*`) \| (\w+) \|", section, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), word)
    return found


def parameters_of(function) -> set[str]:
    return set(inspect.signature(function).parameters)


@pytest.mark.parametrize("heading", FUNCTIONS)
def test_each_argument_has_a_row_and_each_row_is_of_an_argument(heading):
    theirs, _, documented = FUNCTIONS[heading]
    arguments = set().union(*map(parameters_of, theirs)) - {"self"}
    # dask's own merge, which the signature of pandas' is shown for.
    arguments |= set(inspect.signature(theirs[0], follow_wrapped=False).parameters) - {"self"}
    rows = table_of(heading)
    assert set(rows) == arguments | documented
    assert set(rows.values()) <= {"same", "mapped", "refused"}


@pytest.mark.parametrize("heading", FUNCTIONS)
def test_ours_take_each_argument_by_its_name(heading):
    for ours in FUNCTIONS[heading][1]:
        names = {RENAMED.get(name, name) for name in table_of(heading)}
        assert names <= parameters_of(ours), ours


@pytest.mark.parametrize("heading", sorted(set(FUNCTIONS) - {"groupby"}))
def test_a_plan_takes_what_its_recipe_takes(heading):
    recipe, plan = (inspect.signature(ours).parameters for ours in FUNCTIONS[heading][1])
    assert [(one.name, one.kind, one.default) for one in recipe.values()] == [
        (one.name, one.kind, one.default) for one in plan.values() if one.name != "cluster"
    ]
    assert plan["cluster"].default is None
    assert plan["cluster"].kind is inspect.Parameter.KEYWORD_ONLY


def test_sorted_merge_takes_what_merge_takes():
    missing = set(table_of("merge")) - parameters_of(safeframe.sorted_merge)
    assert missing == {"indicator", "copy"}
    assert parameters_of(safeframe.plan_sorted_merge) - parameters_of(safeframe.sorted_merge) == {"cluster"}
    assert parameters_of(safeframe.sorted_merge) <= parameters_of(safeframe.plan_sorted_merge)


FRAME = dd.from_pandas(pd.DataFrame({"k": np.arange(12) % 5, "v": np.arange(12.0)}), npartitions=3)
ARRAY = da.ones((60, 40), chunks=(60, 5))
BAG = db.from_sequence(range(10), npartitions=2)
REFUSED = {
    "merge": (lambda **more: safeframe.merge(FRAME, FRAME, on="k", **more), {"sort": True}),
    "set_index": (
        lambda **more: safeframe.set_index(FRAME, "k", **more),
        {"append": True, "inplace": True, "compute": True, "options": ("max_branch", 3)},
    ),
    "sort_values": (
        lambda **more: safeframe.sort_values(FRAME, "k", **more),
        {"sort_function": len, "sort_function_kwargs": {"a": 1}, "options": ("max_branch", 3)},
    ),
    "shuffle": (
        lambda **more: safeframe.shuffle(FRAME, "k", **more),
        {"on_index": True, "options": ("max_branch", 3)},
    ),
    "repartition": (
        lambda **more: safeframe.rebalance_partitions(FRAME, **more),
        {"divisions": (0, 11), "freq": "1D", "force": True},
    ),
    "drop_duplicates": (lambda **more: safeframe.drop_duplicates(FRAME, **more), {"inplace": True}),
    "unique": (lambda **more: safeframe.unique(FRAME, "k", **more), {}),
    "nunique": (lambda **more: safeframe.nunique(FRAME, **more), {}),
    "rechunk": (lambda **more: safeframe.rechunk(ARRAY, 10, **more), {}),
    "groupby of a bag": (lambda **more: safeframe.bag_groupby(BAG, operator.neg, **more), {}),
    "groupby": (lambda **more: safeframe.groupby(FRAME, "k", **more), {"kwargs": ("max_branch", 3)}),
    "value_counts": (lambda **more: safeframe.value_counts(FRAME, "k", **more), {}),
}


@pytest.mark.parametrize("heading", FUNCTIONS)
def test_what_is_refused_is_answered_in_words(heading):
    call, values = REFUSED[heading]
    rows = table_of(heading)
    assert set(values) == {name for name, word in rows.items() if word == "refused"}
    for name, value in values.items():
        given = dict([value]) if name in ("options", "kwargs") else {name: value}
        with pytest.raises(UnsupportedError, match=r"does not take .*Hint|does not take"):
            call(**given)


@pytest.mark.parametrize(
    "call",
    [
        lambda **more: safeframe.set_index(FRAME, "k", **more),
        lambda **more: safeframe.sort_values(FRAME, "k", **more),
        lambda **more: safeframe.shuffle(FRAME, "k", **more),
    ],
)
def test_a_misspelt_argument_is_answered_with_the_nearest_one(call):
    with pytest.raises(ValidationError, match="no argument npartition=") as caught:
        call(npartition=3)
    assert "npartitions=" in str(caught.value.hint)


@pytest.mark.parametrize(
    "given",
    [
        {"broadcast": "yes"},
        {"broadcast": -1.0},
        {"broadcast": float("nan")},
        {"shuffle_method": "wind"},
        {"npartitions": 0},
        {"npartitions": True},
        {"npartitions": 2, "partition_size": "1MiB"},
        {"shuffle_method": "p2p", "broadcast": True},
        {"shuffle_method": "p2p", "strategy": "staged"},
        {"broadcast": True, "strategy": "staged"},
        {"broadcast": False, "strategy": "broadcast"},
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_read(given):
    with pytest.raises(ValidationError):
        safeframe.merge(FRAME, FRAME, on="k", **given)


@pytest.mark.parametrize("given", [{"broadcast": True}, {"shuffle_method": "p2p"}])
def test_a_merge_in_order_has_no_broadcast_and_no_p2p(given):
    with pytest.raises(UnsupportedError, match="sorted_merge does not take"):
        safeframe.sorted_merge(FRAME, FRAME, on="k", sort=True, **given)


SMALL = pd.DataFrame({"k": [0, 1, 1, 7], "w": [0.5, 1.5, 2.5, 3.5]})


def as_rows(frame) -> pd.DataFrame:
    made = frame.compute() if hasattr(frame, "compute") else frame
    return made.sort_values(list(made.columns), ignore_index=True)


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer", "leftsemi"])
@pytest.mark.parametrize("strategy", ["staged", None])
def test_pandas_frames_are_sides(how, strategy):
    wanted = as_rows(FRAME.merge(SMALL, on="k", how=how))
    pd.testing.assert_frame_equal(
        as_rows(safeframe.merge(FRAME, SMALL, on="k", how=how, strategy=strategy)), wanted, check_dtype=False
    )
    swapped = {"left": "right", "right": "left"}.get(how, how)
    if how != "leftsemi":
        found = as_rows(safeframe.merge(SMALL, FRAME, on="k", how=swapped))[wanted.columns]
        pd.testing.assert_frame_equal(as_rows(found), wanted, check_dtype=False)
    both = as_rows(safeframe.merge(FRAME.compute(), SMALL, on="k", how=how))
    pd.testing.assert_frame_equal(both, wanted, check_dtype=False)


@pytest.mark.parametrize("of_dask", [True, False])
def test_series_with_a_name_are_sides(of_dask):
    words = SMALL.set_index("k")["w"]
    side = dd.from_pandas(words, npartitions=2) if of_dask else words
    wanted = as_rows(FRAME.compute().merge(words, left_on="k", right_index=True))
    pd.testing.assert_frame_equal(
        as_rows(safeframe.merge(FRAME, side, left_on="k", right_index=True)), wanted, check_dtype=False
    )
    column = FRAME["k"] if of_dask else FRAME["k"].compute()
    wanted = as_rows(FRAME[["k"]].compute().merge(SMALL, on="k"))
    pd.testing.assert_frame_equal(as_rows(safeframe.merge(column, SMALL, on="k")), wanted, check_dtype=False)
    with pytest.raises(ValidationError, match="right is a series without a name"):
        safeframe.merge(FRAME, side.rename(None), left_on="k", right_index=True)


def test_a_large_pandas_frame_is_cut(monkeypatch):
    monkeypatch.setattr("safeframe.options.PANDAS_PARTITION_NBYTES", 100)
    plan = safeframe.plan_merge(FRAME, pd.DataFrame({"k": np.arange(100)}), on="k", strategy="staged")
    assert any(step.kind == "stage right partitions" and step.tasks == 10 for step in plan.steps)


@pytest.mark.parametrize(
    ("given", "partitions"),
    [({"npartitions": 4}, (4, 6)), ({"npartitions": 1}, (1, 1)), ({"npartitions": "auto"}, (1, 3))],
)
def test_npartitions_of_a_merge(given, partitions):
    left = dd.from_pandas(pd.DataFrame({"k": np.arange(600) % 100}), npartitions=3)
    merged = safeframe.merge(left, left, on="k", **given)
    low, high = partitions
    assert low <= merged.npartitions <= high
    assert len(merged.compute()) == 3600


def test_broadcast_is_a_strategy():
    assert safeframe.plan_merge(FRAME, SMALL, on="k", broadcast=True).strategy == "broadcast"
    plan = safeframe.plan_merge(FRAME, SMALL, on="k", broadcast=False)
    assert plan.strategy != "broadcast"
    assert any(other.reason == "broadcast=False was given" for other in plan.rejected)
    assert safeframe.plan_merge(FRAME, SMALL, on="k", broadcast=0.5).strategy == "broadcast"
    with pytest.raises(ValidationError):
        safeframe.merge(FRAME, SMALL, on="k", how="outer", broadcast=True)


@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("chunks", [7, (13, -1), "auto", {0: 9}])
def test_rechunk_makes_dask_s_chunks(chunks, balance):
    given = {"chunks": chunks, "balance": balance, "block_size_limit": 4000}
    assert safeframe.rechunk(ARRAY, **given).chunks == ARRAY.rechunk(**given).chunks
    assert safeframe.rechunk(ARRAY).chunks == ARRAY.rechunk().chunks


def test_groups_of_a_bag_by_dask_s_names():
    found = safeframe.bag_groupby(BAG, grouper=lambda x: x % 3, method="disk", blocksize=10, max_branch=4)
    assert min(found.compute(scheduler="threads")) == (0, [0, 3, 6, 9])
    with pytest.raises(ValidationError, match="both are given"):
        safeframe.bag_groupby(BAG, operator.neg, grouper=operator.neg)
    with pytest.raises(ValidationError, match="No key is given"):
        safeframe.bag_groupby(BAG)


@pytest.mark.parametrize("strategy", ["staged", "sorted"])
def test_an_index_that_is_ignored_is_not_in_the_meta_either(strategy):
    named = dd.from_pandas(
        pd.DataFrame({"k": np.arange(9)}, index=pd.Index(range(100, 109), name="i")), npartitions=3
    )
    found = safeframe.sort_values(named, "k", ignore_index=True, strategy=strategy)
    assert found._meta.index.name is None
    assert found.compute().index.name is None
    assert found.compute().index.max() < 9
    together = safeframe.shuffle(named, "k", ignore_index=True)
    assert together._meta.index.name is None
    assert sorted(together.compute()["k"]) == list(range(9))

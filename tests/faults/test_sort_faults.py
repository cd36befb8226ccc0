"""Bad input to set_index and sort_values: a typed error, with both sides of the matter and a hint."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.sizing.cluster import loaded_resident_nbytes

pytestmark = pytest.mark.usefixtures("_in_this_process")


def frame(npartitions=2, **columns):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(pd.DataFrame(columns), npartitions=npartitions, sort=False)


KEYS = {"k": [3, 1, 2, 2], "a": [1.0, 2.0, 3.0, 4.0]}


def staged_files(directory: Path) -> list[Path]:
    # What failed after its rows were staged keeps them for as long as its traceback.
    gc.collect()
    return [path for path in directory.rglob("*") if path.suffix in (".staged", ".partial")]


def check_error(error: Exception, builtin: type[Exception]) -> None:
    """A safeframe error is the builtin that it stands for, has a hint, and crosses processes."""
    assert isinstance(error, builtin)
    assert isinstance(error, safeframe.SafeframeError)
    assert "Hint: " in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.figures == error.figures


BOTH = [
    ({"npartitions": 0}, safeframe.ValidationError, ValueError, "npartitions=0 is not a number"),
    ({"npartitions": -3}, safeframe.ValidationError, ValueError, "npartitions=-3"),
    ({"npartitions": 1.5}, safeframe.ValidationError, ValueError, r"npartitions=1\.5"),
    ({"npartitions": True}, safeframe.ValidationError, ValueError, "npartitions=True"),
    (
        {"npartitions": 2, "partition_size": "1MiB"},
        safeframe.ValidationError,
        ValueError,
        "npartitions=2 and partition_size='1MiB'",
    ),
    ({"partition_size": "many"}, safeframe.ValidationError, ValueError, "partition_size='many'"),
    ({"partition_size": 0}, safeframe.ValidationError, ValueError, "partition_size=0 is not more than zero"),
    ({"memory": "lots"}, safeframe.ValidationError, ValueError, "memory='lots'"),
    (
        {"strategy": "magic"},
        safeframe.ValidationError,
        ValueError,
        "'magic' is not a strategy of (set_index|sort_values)(.|\n)*sorted, staged, p2p",
    ),
    (
        {"strategy": "sorted"},
        safeframe.ValidationError,
        ValueError,
        "strategy='sorted' cannot run this .*: the rows of 1 of 2 partitions are not in order",
    ),
    (
        {"strategy": "p2p"},
        safeframe.ValidationError,
        ValueError,
        "strategy='p2p' cannot run this .*: there is no distributed client",
    ),
]


@pytest.mark.parametrize("recipe", ["set_index", "sort_values", "plan_set_index", "plan_sort_values"])
@pytest.mark.parametrize(("arguments", "error", "builtin", "message"), BOTH)
def test_bad_options(recipe, arguments, error, builtin, message):
    with pytest.raises(error, match=message) as info:
        getattr(safeframe, recipe)(frame(**KEYS), "k", **arguments)
    check_error(info.value, builtin)


@pytest.mark.parametrize(
    ("column", "error", "builtin", "message"),
    [
        ("nope", safeframe.KeyNotFoundError, KeyError, r"ddf has no column 'nope'; it has 2: 'k', 'a'"),
        (None, safeframe.ValidationError, ValueError, "No column is named"),
        (["k", "a"], safeframe.UnsupportedError, NotImplementedError, r"An index of \['k', 'a'\]"),
        (("k", "a"), safeframe.UnsupportedError, NotImplementedError, r"An index of \('k', 'a'\)"),
        ([], safeframe.UnsupportedError, NotImplementedError, r"An index of \[\]"),
        (pd.Series(KEYS["k"]), safeframe.UnsupportedError, NotImplementedError, "pandas Series(.|\n)*ddf"),
    ],
)
def test_columns_that_cannot_become_an_index(column, error, builtin, message):
    with pytest.raises(error, match=message) as info:
        safeframe.set_index(frame(**KEYS), column)
    check_error(info.value, builtin)


def test_a_list_of_one_column_is_that_column():
    assert safeframe.set_index(frame(**KEYS), ["k"]).index.name == "k"


@pytest.mark.parametrize(
    ("by", "arguments", "error", "builtin", "message"),
    [
        ("nope", {}, safeframe.KeyNotFoundError, KeyError, "has no column 'nope'(.|\n)*Check the spelling"),
        (["k", "nope"], {}, safeframe.KeyNotFoundError, KeyError, "has no column 'nope'"),
        ([], {}, safeframe.ValidationError, ValueError, "No column is named"),
        (["k", "k"], {}, safeframe.ValidationError, ValueError, "named twice"),
        (
            ["k", "a"],
            {"ascending": [True]},
            safeframe.ValidationError,
            ValueError,
            "ascending= has 1 values and by= names 2 columns",
        ),
        ("k", {"ascending": "yes"}, safeframe.ValidationError, ValueError, "ascending='yes' is neither"),
        ("k", {"ascending": None}, safeframe.ValidationError, ValueError, "ascending=None is neither"),
        ("k", {"na_position": "middle"}, safeframe.ValidationError, ValueError, "na_position='middle'"),
        (
            ["k", "a"],
            {"strategy": "sorted"},
            safeframe.ValidationError,
            ValueError,
            "not that of one column of numbers",
        ),
    ],
)
def test_orders_that_are_none(by, arguments, error, builtin, message):
    with pytest.raises(error, match=message) as info:
        safeframe.sort_values(frame(**KEYS), by, **arguments)
    check_error(info.value, builtin)


@pytest.mark.parametrize("recipe", [safeframe.set_index, safeframe.sort_values])
def test_frames_that_are_not_usable(recipe):
    with pytest.raises(safeframe.SchemaMismatchError, match=r"ddf is a pandas dataframe(.|\n)*from_pandas"):
        recipe(pd.DataFrame(KEYS), "k")
    with pytest.raises(safeframe.SchemaMismatchError, match="ddf is a Series"):
        recipe(frame(**KEYS)["k"], "k")
    if recipe is safeframe.sort_values:
        with pytest.raises(safeframe.UnsupportedError, match=r"'k' is the index of ddf(.|\n)*reset_index"):
            recipe(frame(**KEYS).set_index("k"), "k")
    twice = pd.DataFrame([[1, 2]], columns=["k", "k"])
    with pytest.raises(safeframe.ValidationError, match="more than one column named 'k'"):
        recipe(dd.from_map(lambda _: twice, [0], meta=twice.iloc[:0]), "k")


@pytest.mark.parametrize("recipe", [safeframe.set_index, safeframe.sort_values])
def test_categories_that_are_not_known_have_no_order(recipe):
    unknown = frame(k=["b", "a", "c", "a"], a=[1, 2, 3, 4]).astype({"k": "category"})
    assert not unknown["k"].cat.known
    with pytest.raises(
        safeframe.UnsupportedError,
        match=r"column 'k', and with them its order, are not known(.|\n)*categorize",
    ) as info:
        recipe(unknown, "k")
    check_error(info.value, NotImplementedError)
    known = recipe(unknown.categorize(["k"]), "k", npartitions=2)
    assert known.compute()["a"].tolist() == [2, 4, 1, 3]


MIXED = {
    "in one partition": [1, "a", 2.5, "b"],
    "in two partitions": [1, 2, "a", "b"],
    "sets": [{1}, {2}, {3}, {4}],
}


@pytest.mark.parametrize("values", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("by", ["k", ["k", "a"]])
@pytest.mark.parametrize("npartitions", [1, 2])
def test_values_without_an_order(tmp_path, values, by, npartitions):
    mixed = frame(k=pd.Series(values, dtype=object), a=[1, 2, 3, 4])
    recipe = safeframe.set_index if by == "k" and npartitions == 2 else safeframe.sort_values
    with pytest.raises(safeframe.UnsupportedError) as info:
        recipe(mixed, by, npartitions=npartitions, staging=str(tmp_path)).compute()
    check_error(info.value, NotImplementedError)
    assert "astype(str)" in str(info.value) or "Cast the column to one type" in str(info.value)
    del info
    assert staged_files(tmp_path) == []


def test_a_partition_of_another_type_is_named(tmp_path):
    meta = pd.DataFrame({"k": pd.Series(dtype="int64"), "a": pd.Series(dtype="int64")})
    pieces = [pd.DataFrame({"k": [2, 1], "a": [1, 2]}), pd.DataFrame({"k": [1], "a": [1.5]})]
    broken = dd.from_map(lambda i: pieces[i], [0, 1], meta=meta)
    for recipe in (safeframe.set_index, safeframe.sort_values):
        with pytest.raises(
            safeframe.SchemaMismatchError,
            match="'a' is float64 in one partition, but its frame has int64",
        ) as info:
            recipe(broken, "k", staging=str(tmp_path)).compute()
        check_error(info.value, TypeError)
        del info
    assert staged_files(tmp_path) == []


def test_keys_of_another_type_are_noticed_when_they_are_sampled(tmp_path):
    meta = pd.DataFrame({"k": pd.Series(dtype="int64")})
    pieces = [pd.DataFrame({"k": [2, 1]}), pd.DataFrame({"k": ["b", "a"]})]
    broken = dd.from_map(lambda i: pieces[i], [0, 1], meta=meta)
    with pytest.raises(safeframe.SchemaMismatchError, match="'k'") as info:
        safeframe.set_index(broken, "k", staging=str(tmp_path))
    check_error(info.value, TypeError)


def heavy(rows: int = 400_000, share: float = 0.9) -> dd.DataFrame:
    rng = np.random.default_rng(0)
    keys = np.where(rng.random(rows) < share, 500, rng.integers(0, 1000, rows))
    return frame(8, k=keys, **{f"c{i}": keys for i in range(9)})


def small_memory() -> int:
    """Memory of which some 110 MiB are left for a task: a partition fits, a key of 27 MiB does not."""
    return safeframe.plan_set_index(frame(**KEYS), "k").budget.reserved_nbytes + 110 * 2**20


@pytest.fixture
def _all_of_the_memory(monkeypatch):
    """No headroom: it is larger the larger this process is, and a key may fit it; and no growth between two plans."""
    held = loaded_resident_nbytes()
    monkeypatch.setattr("safeframe.sizing.cluster.loaded_resident_nbytes", lambda: held)
    with dask.config.set({"safeframe.headroom": 1.0}):
        yield


@pytest.mark.usefixtures("_all_of_the_memory")
def test_a_key_that_does_not_fit_is_a_plan_and_raises_when_it_runs(tmp_path):
    arguments = {"memory": small_memory(), "staging": str(tmp_path)}
    plan = safeframe.plan_set_index(heavy(), "k", **arguments)
    assert not plan.fits
    assert any("heaviest key" in reason for reason in plan.reasons)
    indexed = safeframe.set_index(heavy(), "k", **arguments)
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"is projected to need .* and .* is allowed(.|\n)*sort_values"
    ) as info:
        indexed.compute()
    check_error(info.value, MemoryError)
    projected = safeframe.explain(indexed).projected_worker_nbytes
    assert info.value.figures == {"projected_nbytes": projected, "allowed_nbytes": arguments["memory"]}
    assert projected > arguments["memory"]
    assert staged_files(tmp_path) == []
    ordered = safeframe.sort_values(heavy(), "k", **arguments)
    assert safeframe.explain(ordered).fits, "sort_values lets the key fill several partitions"
    assert len(ordered.compute()) == 400_000


def test_light_keys_that_do_not_fit_are_not_blamed():
    with pytest.raises(safeframe.MemoryBudgetError) as info:
        safeframe.set_index(frame(**KEYS), "k", memory="1MiB", strategy="staged").compute()
    assert "sort_values" not in str(info.value)

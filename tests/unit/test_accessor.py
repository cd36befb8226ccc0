"""``ddf.safe`` has every recipe, as the recipe itself."""

from __future__ import annotations

import inspect
import pickle

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.accessor import SafeAccessor

FIRST = ("ddf", "left", "collection")


def frame(npartitions=2, **columns):
    return dd.from_pandas(pd.DataFrame(columns), npartitions=npartitions)


LEFT = frame(k=[2, 1, 2], a=[1, 2, 3])
RIGHT = frame(k=[1, 2, 2], b=[1.0, 2.0, 3.0])

RECIPES = {
    name: thing
    for name in safeframe.__all__
    if inspect.isfunction(thing := getattr(safeframe, name))
    and next(iter(inspect.signature(thing).parameters), None) in FIRST
}


def test_every_recipe_that_takes_a_frame_is_there_and_nothing_else():
    methods = {name for name in vars(SafeAccessor) if not name.startswith("_")}
    assert methods == set(RECIPES)
    assert len(RECIPES) > 15


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_method_has_the_signature_and_the_words_of_its_recipe(name):
    recipe, method = RECIPES[name], getattr(LEFT.safe, name)
    expected = inspect.signature(recipe)
    first, *others = expected.parameters.values()
    assert inspect.signature(method) == expected.replace(parameters=others)
    assert first.name not in inspect.signature(method).parameters
    assert method.__doc__ == recipe.__doc__
    assert method.__name__ == name


def test_methods_give_what_the_recipes_give():
    merged = LEFT.safe.merge(RIGHT, on="k", how="outer")
    pd.testing.assert_frame_equal(
        merged.compute(), safeframe.merge(LEFT, RIGHT, on="k", how="outer").compute()
    )
    assert int(LEFT.safe.plan_merge(RIGHT, on="k").output_rows) == 5
    assert merged.safe.explain() is safeframe.explain(merged)
    assert LEFT.safe.set_index("k").divisions == (1, 2, 2)
    assert str(LEFT.safe.estimate()) == str(safeframe.estimate(LEFT))
    assert LEFT.safe.key_statistics("k").rows == 3


def test_what_a_recipe_makes_has_the_accessor_too(tmp_path):
    chained = LEFT.safe.merge(RIGHT, on="k").safe.sort_values("a").safe.rebalance_partitions(npartitions=1)
    chained.safe.to_parquet(tmp_path / "out")
    assert sorted(pd.read_parquet(tmp_path / "out")["a"]) == [1, 1, 2, 3, 3]


def test_a_warning_names_the_line_of_the_caller():
    keys = np.zeros(10_000, int)
    with pytest.warns(safeframe.OutputExplosionWarning) as caught:
        frame(k=keys, a=keys).safe.merge(frame(k=keys, b=keys), on="k")
    assert caught[0].filename == __file__


def test_a_frame_can_be_pickled_after_it_was_used():
    LEFT.safe.estimate()
    assert pickle.loads(pickle.dumps(LEFT))._name == LEFT._name


@pytest.mark.parametrize("thing", [pd.DataFrame({"k": [1]}), LEFT.k, [1], None])
def test_anything_else_than_a_dask_dataframe_is_refused(thing):
    with pytest.raises(
        safeframe.SchemaMismatchError, match=rf"not on a {type(thing).__name__}(.|\n)*from_pandas"
    ):
        SafeAccessor(thing)


def test_a_series_has_no_accessor():
    with pytest.raises(AttributeError, match="safe"):
        LEFT.k.safe  # noqa: B018


def test_a_column_of_that_name_is_still_there():
    assert frame(safe=[1, 2])["safe"].compute().tolist() == [1, 2]

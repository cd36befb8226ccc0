"""What a type checker sees of the public functions."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe

ROOT = Path(__file__).resolve().parents[2]

USER = """
import dask.dataframe as dd
import safeframe
from safeframe.accessor import SafeAccessor

left, right = dd.read_parquet("left"), dd.read_parquet("right")
safeframe.merge(left, right, on="k", how="outer", strategy="broadcast")
safeframe.merge(left, right, on="k", how="outr")
safeframe.set_index(left, "k", strategy="stagd")
orders: SafeAccessor = left.safe
reveal_type(orders.plan_merge(right, on="k"))
orders.merge(right, on="k", strategy="sortd")
orders.merge(right, onn="k")
"""


def _frame() -> dd.DataFrame:
    return dd.from_pandas(pd.DataFrame({"k": [1, 2], "v": [3.0, 4.0]}), npartitions=1)


CALLS = {
    "merge": lambda name: safeframe.merge(_frame(), _frame(), on="k", strategy=name),
    "sorted_merge": lambda name: safeframe.sorted_merge(_frame(), _frame(), on="k", strategy=name),
    "set_index": lambda name: safeframe.set_index(_frame(), "k", strategy=name),
    "sort_values": lambda name: safeframe.sort_values(_frame(), "k", strategy=name),
    "shuffle": lambda name: safeframe.shuffle(_frame(), "k", strategy=name),
    "drop_duplicates": lambda name: safeframe.drop_duplicates(_frame(), strategy=name),
    "duplicated": lambda name: safeframe.duplicated(_frame(), strategy=name),
    "unique": lambda name: safeframe.unique(_frame(), "k", strategy=name),
    "nunique": lambda name: safeframe.nunique(_frame(), strategy=name),
    "groupby_lag_transform": lambda name: safeframe.groupby_lag_transform(
        _frame(), "k", "v", 1, strategy=name
    ),
    "groupby": lambda name: safeframe.groupby(_frame(), "k", strategy=name).sum(),
    "value_counts": lambda name: safeframe.value_counts(_frame(), "k", strategy=name),
    "rebalance_partitions": lambda name: safeframe.rebalance_partitions(_frame(), strategy=name),
    "to_parquet": lambda name: safeframe.to_parquet(_frame(), "nowhere", strategy=name),
}


@pytest.mark.parametrize("recipe", CALLS)
def test_strategies_are_those_that_the_recipe_takes(recipe: str) -> None:
    hint = typing.get_type_hints(getattr(safeframe, recipe))["strategy"]
    (literal,) = [one for one in typing.get_args(hint) if one is not type(None)]
    with pytest.raises(safeframe.ValidationError) as caught:
        CALLS[recipe]("no such strategy")
    (known,) = re.findall(r"use one of (.+)\.$", str(caught.value))
    assert list(typing.get_args(literal)) == known.split(", ")


def test_every_recipe_with_a_strategy_is_here() -> None:
    functions = [getattr(safeframe, name) for name in safeframe.__all__ if not name.startswith("plan_")]
    hints = {
        one.__name__: typing.get_type_hints(one)
        for one in functions
        if callable(one) and not isinstance(one, type)
    }
    assert {name for name, hint in hints.items() if "strategy" in hint} == set(CALLS)


def test_a_type_checker_finds_what_is_misspelt(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "user.py"
    program.write_text(USER)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    told, failed, _ = api.run([*options, "--no-error-summary", str(program)])
    assert not failed
    lines = {int(found[1]): found[2] for found in re.finditer(r"user\.py:(\d+): (?:error|note): (.*)", told)}
    assert sorted(lines) == [8, 9, 11, 12, 13], told
    assert "outr" in lines[8]
    assert "stagd" in lines[9]
    assert lines[11].startswith('Revealed type is "safeframe.facts.plan.plan.Plan')
    assert "sortd" in lines[12]
    assert "onn" in lines[13]

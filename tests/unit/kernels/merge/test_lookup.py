"""Joins that are looked up: which are, and that their rows are those of pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandas.testing as tm
import pytest

from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.merge import cell as module
from safeframe.kernels.merge.cell import frame_block, join_cell
from safeframe.kernels.merge.output import JoinKeys, SideKeys
from safeframe.kernels.merge.spec import join_spec

KEY = SideKeys(on=("k",), names=("k",), given=("k",))
RNG = np.random.default_rng(0)
MANY = pd.DataFrame(
    {"k": RNG.integers(0, 120, 500), "a": RNG.random(500), "s": [f"row {i}" for i in range(500)]}
)
UNIQUE = pd.DataFrame({"k": RNG.permutation(100), "b": np.arange(100), "t": [f"key {i}" for i in range(100)]})


def joined(left, right, how, cells=1):
    names = {"left_names": ["k"], "right_names": ["k"]}
    missing = {"left_missing": how in ("right", "outer"), "right_missing": how in ("left", "outer")}
    spec = join_spec(
        left.iloc[:0], right.iloc[:0], JoinKeys(left=KEY, right=KEY), how=how, suffixes=("_x", "_y"), indicator=False,
        schema=common_schema([left["k"]], [right["k"]], **names), **missing,
    )  # fmt: skip
    blocks = frame_block(left, spec.left), frame_block(right, spec.right)
    return [join_cell(*blocks, spec, number, cells) for number in range(cells)]


@pytest.fixture
def looked_up(monkeypatch):
    """Whether joins were looked up."""
    seen = []
    real = module.lookup_join

    def noting(*arguments):
        found = real(*arguments)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(module, "lookup_join", noting)
    return seen


@pytest.mark.parametrize("cells", [1, 3, 7])
@pytest.mark.parametrize(
    ("left", "right", "how", "can"),
    [
        (MANY, UNIQUE, "left", True),
        (MANY, UNIQUE, "inner", True),
        (UNIQUE, MANY, "right", True),
        (UNIQUE, MANY, "inner", True),
        (UNIQUE, UNIQUE[::2], "inner", True),
        (MANY, UNIQUE, "right", False),
        (MANY, UNIQUE, "outer", False),
        (UNIQUE, MANY, "left", False),
        (MANY, MANY, "inner", False),
    ],
)
def test_rows_are_those_of_pandas(looked_up, left, right, how, can, cells):
    parts = joined(left, right, how, cells)
    assert looked_up == [can] * cells
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    found = pd.concat(parts, ignore_index=True)
    expected = left.merge(right, on="k", how=how)
    by = list(expected.columns)
    tm.assert_frame_equal(
        found.sort_values(by, ignore_index=True),
        expected.sort_values(by, ignore_index=True),
        check_dtype=True,
    )


def test_rows_stay_in_the_order_of_the_side_that_looks_up():
    (found,) = joined(MANY, UNIQUE, "left")
    assert found["s"].tolist() == MANY["s"].tolist()


@pytest.mark.parametrize("how", ["left", "inner"])
def test_a_null_looks_up_a_null(looked_up, how):
    left = pd.DataFrame({"k": pd.array([1, None, 2, None], dtype="Int64"), "a": range(4)})
    right = pd.DataFrame({"k": pd.array([None, 2], dtype="Int64"), "b": [10, 20]})
    (found,) = joined(left, right, how)
    tm.assert_frame_equal(found, left.merge(right, on="k", how=how), check_dtype=False)
    assert looked_up == [True]


@pytest.mark.parametrize("how", ["left", "inner"])
@pytest.mark.parametrize(("n_left", "n_right"), [(0, 3), (3, 0), (0, 0)])
def test_no_rows(n_left, n_right, how):
    (found,) = joined(MANY[:n_left], UNIQUE[:n_right], how)
    expected = MANY[:n_left].merge(UNIQUE[:n_right], on="k", how=how)
    assert len(found) == len(expected)
    assert list(found.columns) == list(expected.columns)

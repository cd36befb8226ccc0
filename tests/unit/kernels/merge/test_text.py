"""Strings of a join are counted before they are copied: whatever how the rows are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.merge.cell import frame_block, join_cell, join_in_place
from safeframe.kernels.merge.output import JoinKeys, SideKeys
from safeframe.kernels.merge.spec import join_spec
from safeframe.kernels.merge.text import TextTooLargeError

KEY = SideKeys(on=("k",), names=("k",), given=("k",))
LONG = "é" * 500
# In Arrow with pandas 2, too: strings that are objects are repeated as pointers.
TEXT = pd.StringDtype("pyarrow")
LEFT = pd.DataFrame({"k": [1, 1, 1, 2, 3], "a": pd.array(["x", None, "yy", "z", ""], TEXT)})
RIGHT = pd.DataFrame({"k": [1, 2, 4], "t": pd.array([LONG, "short", "none meets it"], TEXT)})


def sides(left, right, how):
    names = {"left_names": ["k"], "right_names": ["k"]}
    missing = {"left_missing": how in ("right", "outer"), "right_missing": how in ("left", "outer")}
    spec = join_spec(
        left.iloc[:0], right.iloc[:0], JoinKeys(left=KEY, right=KEY), how=how, suffixes=("_x", "_y"), indicator=False,
        schema=common_schema([left["k"]], [right["k"]], **names), **missing,
    )  # fmt: skip
    return frame_block(left, spec.left), frame_block(right, spec.right), spec


def text_nbytes(frame):
    return sum(len(value.encode()) for name in ("a", "t") for value in frame[name].dropna())


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("repeated", ["left", "right"])
def test_as_many_bytes_as_the_result_has(how, repeated):
    left, right = (LEFT, RIGHT) if repeated == "right" else (RIGHT, LEFT)
    expected = text_nbytes(left.merge(right, on="k", how=how))
    blocks = sides(left, right, how)
    assert text_nbytes(join_cell(*blocks, 0, 1, expected)) == expected
    with pytest.raises(TextTooLargeError) as caught:
        join_cell(*blocks, 0, 1, expected - 1)
    assert caught.value.nbytes == expected


@pytest.mark.parametrize("probe", [0, 1])
def test_in_place(probe):
    how = "left" if probe == 0 else "right"
    left, right = (LEFT, RIGHT) if probe == 0 else (RIGHT, LEFT)
    expected = text_nbytes(left.merge(right, on="k", how=how))
    blocks = sides(left, right, how)
    joined = join_in_place(*blocks, probe)
    assert len(joined.frame(0, joined.n_rows, expected)) == joined.n_rows == 5
    with pytest.raises(TextTooLargeError):
        joined.frame(0, 5, expected - 1)
    parts = pd.concat([joined.frame(lo, lo + 1, expected) for lo in range(5)], ignore_index=True)
    pd.testing.assert_frame_equal(parts, joined.frame(0, 5))


def test_nothing_is_counted_of_columns_without_strings_or_rows():
    left, right = LEFT.assign(a=np.arange(5)), RIGHT.assign(t=1.5)
    assert len(join_cell(*sides(left, right, "inner"), 0, 1, 0)) == 4
    assert len(join_cell(*sides(LEFT, RIGHT.iloc[2:], "inner"), 0, 1, 0)) == 0

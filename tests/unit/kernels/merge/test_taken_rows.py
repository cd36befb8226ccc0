"""Rows taken by position: a missing one where none may be is an error, in every kernel that makes a join."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import RowConservationError
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.merge.cell import frame_block, join_cell
from safeframe.kernels.merge.in_order import ordered_join
from safeframe.kernels.merge.output import JoinKeys, SideKeys
from safeframe.kernels.merge.spec import join_spec
from safeframe.kernels.merge.taken_rows import TakenRows
from safeframe.kernels.parquet.joined import FileColumn, JoinedForm, shard_runs, write_joined
from tests.unit.kernels.columns.test_values import COLUMNS

KEY = SideKeys(on=("k",), names=("k",), given=("k",))
FRAMES = {
    "one to one": (pd.DataFrame({"k": [1, 2, 3], "a": [5, 6, 7]}), pd.DataFrame({"k": [3, 1], "b": [8, 9]})),
    "many to many": (
        pd.DataFrame({"k": [1, 1, 2, 3, 3], "a": [5, 6, 7, 8, 9]}),
        pd.DataFrame({"k": [3, 1, 1, 3], "b": [8, 9, 10, 11]}),
    ),
}
HOWS = [(frames, how) for frames in FRAMES for how in ("left", "right", "outer")]


def sides(frames, how):
    """Two frames of which the side that stays whole has a row without a match."""
    left, right = FRAMES[frames]
    return (
        (right.rename(columns={"b": "a"}), left.rename(columns={"a": "b"}))
        if how == "right"
        else (left, right)
    )


def spec_of(left, right, how):
    """A join that was planned without unmatched rows."""
    return join_spec(
        left.iloc[:0], right.iloc[:0], JoinKeys(left=KEY, right=KEY), how=how, suffixes=("_x", "_y"),
        indicator=False, left_missing=False, right_missing=False,
        schema=common_schema([left["k"]], [right["k"]], left_names=["k"], right_names=["k"]),
    )  # fmt: skip


@pytest.mark.parametrize("series", COLUMNS.values(), ids=COLUMNS.keys())
def test_missing_rows_are_those_of_reindex(series):
    values = series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array
    taken = TakenRows(np.array([2, -1, 0]), missing=True, side="left").of(values)
    pd.testing.assert_series_equal(pd.Series(taken), series.reindex([2, 99, 0]).reset_index(drop=True))


def test_a_missing_row_where_none_may_be():
    with pytest.raises(RowConservationError, match=r"2 or more rows have no match on the right side"):
        TakenRows(np.array([0, -1, 1, -1]), missing=False, side="right")
    assert TakenRows(np.array([1, 0]), missing=False, side="right").of(np.array([5, 6])).tolist() == [6, 5]
    assert len(TakenRows(np.empty(0, np.int64), missing=False, side="right").of(np.array([5]))) == 0


@pytest.mark.parametrize(("frames", "how"), HOWS)
def test_a_cell(frames, how):
    left, right = sides(frames, how)
    spec = spec_of(left, right, how)
    with pytest.raises(RowConservationError, match=r"no match on the (left|right) side"):
        join_cell(frame_block(left, spec.left), frame_block(right, spec.right), spec, 0, 1)


@pytest.mark.parametrize(("frames", "how"), HOWS)
def test_a_cell_in_key_order(frames, how):
    left, right = sides(frames, how)
    spec = spec_of(left, right, how)
    blocks = [
        (frame_block(frame, side), frame["k"].to_numpy().astype(np.uint64))
        for frame, side in ((left, spec.left), (right, spec.right))
    ]
    shard = ordered_join(*blocks, spec)
    with pytest.raises(RowConservationError, match=r"no match on the (left|right) side"):
        shard.frame(0, shard.n_rows)


@pytest.mark.parametrize(("frames", "how"), HOWS)
def test_a_file_without_rows(frames, how):
    left, right = sides(frames, how)
    spec = spec_of(left, right, how)
    blocks = frame_block(left, spec.left), frame_block(right, spec.right)
    schema = pa.schema([(name, pa.int64()) for name in ("k", "a", "b")])
    columns = tuple(
        FileColumn(name, source, dtype, "zstd")
        for name, source, dtype in zip(schema.names, spec.output, spec.meta.dtypes, strict=True)
    )
    form = JoinedForm(spec=spec, schema=schema, columns=columns, group_rows=100)
    for runs in (shard_runs(*blocks, spec), None):
        one_side = blocks if runs else (blocks[0], [column[:0] for column in blocks[1]])
        if runs is None and how == "right":
            one_side = [column[:0] for column in blocks[0]], blocks[1]
        with pytest.raises(RowConservationError, match=r"no match on the (left|right) side"):
            write_joined(io.BytesIO(), *one_side, form, runs)

"""Merges on indexes, and semi, anti and cross joins, on threads and on worker processes."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import safeframe
from tests.expressions import nodes_of
from tests.property.merging import HOWS, merged, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

KINDS = (*HOWS, "leftsemi", "leftanti", "cross")
FEW = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)


def expected_of(left, right, how, arguments):
    if how not in ("leftsemi", "leftanti"):
        return left.merge(right, how=how, **arguments)
    rows = left.index.isin(right.index)
    return left[rows if how == "leftsemi" else ~rows]


def check(data, kind, how, staging, scheduler):
    left, right = (data.draw(key_frames([kind], names=["k"], extra=extra)).set_index("k") for extra in "lr")
    arguments = {} if how == "cross" else {"left_index": True, "right_index": True}
    result, plan = merged(
        data.draw(partitioned(left, index=True)),
        data.draw(partitioned(right, index=True)),
        how=how,
        partition_size=data.draw(st.sampled_from([None, 400])),
        strategy=data.draw(st.sampled_from([None, "staged"])),
        staging=str(staging),
        scheduler=scheduler,
        **arguments,
    )
    expected = expected_of(left, right, how, arguments)
    assert int(plan.output_rows) == len(expected)
    by = [name for name in ("l", "r") if name in expected.columns]
    keeps = how != "cross" and len(left) > 0 and len(right) > 0
    same_rows(result, expected, by, index=keeps)


@given(data=st.data(), kind=st.sampled_from(sorted({*KEY_KINDS} - {"bool"})), how=st.sampled_from(KINDS))
def test_on_threads(data, kind, how, tmp_path_factory):
    check(data, kind, how, tmp_path_factory.getbasetemp(), "threads")


@FEW
@given(data=st.data(), kind=st.sampled_from(["int64", "string", "datetime_tz"]), how=st.sampled_from(KINDS))
def test_on_workers(small_cluster, tmp_path_factory, data, kind, how):
    check(data, kind, how, tmp_path_factory.getbasetemp(), "distributed")


@pytest.fixture
def indexed_tables(tmp_path):
    """Two tables with their key as index, on disk."""
    rng = np.random.default_rng(2)
    left = pd.DataFrame({"l": range(3000), "wide": rng.random(3000)}, index=rng.integers(0, 900, 3000))
    right = pd.DataFrame({"r": range(1000), "word": "w"}, index=rng.integers(300, 1200, 1000))
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        for number, rows in enumerate(np.array_split(np.arange(len(frame)), 4)):
            frame.rename_axis("k").iloc[rows].to_parquet(tmp_path / name / f"{number}.parquet")
    return tmp_path


@pytest.mark.parametrize("how", HOWS)
def test_indexes_of_files(small_cluster, indexed_tables, how):
    left, right = (dd.read_parquet(indexed_tables / name) for name in ("left", "right"))
    result = safeframe.merge(
        left, right, how=how, left_index=True, right_index=True, strategy="staged",
        staging=str(indexed_tables / "staging"), partition_size="16KiB",
    )  # fmt: skip
    assert result.npartitions > 4
    assert result.known_divisions
    expected = left.compute().merge(right.compute(), how=how, left_index=True, right_index=True)
    same_rows(result.compute(), expected, ["l", "r"], index=True)
    pd.testing.assert_frame_equal(
        result.loc[400:450].compute().sort_values(["l", "r"]),
        expected.sort_index().loc[400:450].sort_values(["l", "r"]),
        check_exact=True,
    )


def test_an_unused_column_of_an_indexed_file_is_not_read(small_cluster, indexed_tables):
    left, right = (dd.read_parquet(indexed_tables / name) for name in ("left", "right"))
    result = safeframe.merge(
        left, right, left_index=True, right_index=True, strategy="staged", staging=str(indexed_tables)
    )
    reads = nodes_of(result[["l"]], ReadParquet)
    assert sorted(tuple(part.columns) for part in reads) == [(), ("l",)]
    assert len(result[["l"]].compute()) == len(result)


def test_a_semi_join_reads_the_keys_of_its_right_side_alone(small_cluster, indexed_tables):
    left, right = (dd.read_parquet(indexed_tables / name).reset_index() for name in ("left", "right"))
    result = safeframe.merge(left, right, "leftsemi", on="k", strategy="staged", staging=str(indexed_tables))
    frames = {name: frame.compute() for name, frame in (("left", left), ("right", right))}
    same_rows(result.compute(), frames["left"][frames["left"]["k"].isin(frames["right"]["k"])], ["l"])
    filtered = result[result["l"] < 100].compute()
    assert filtered["l"].max() < 100

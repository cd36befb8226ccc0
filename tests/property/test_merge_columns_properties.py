"""New columns and filters of a merge are made of its sides where that is the same, and of its rows elsewhere."""

from __future__ import annotations

import tempfile
from unittest import mock

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.engine.parquet.without_rows import JoinedFrame, joined_frame
from tests.property.merging import HOWS, in_dask
from tests.property.strategies import key_frames, partitioned

NATIVE = {"scheduler": "sync", "dataframe.convert-string": False}


def then(frame, step):
    return step(frame)


MADE = {
    "constants": lambda m: m.assign(source="x", one=1, when=pd.Timestamp("2024")),
    "arithmetic": lambda m: m.assign(c=m["both_y"] * 2 + m["r"], d=1 - m["l"]),
    "of the key": lambda m: m.assign(c=m["k"] * 2 + m["both_x"], d=m["k"] + m["r"]),
    "the key itself": lambda m: m.assign(k=m["k"] + 1),
    "casts": lambda m: m.astype({"both_x": "float32"}).assign(c=m["both_y"].astype("float32")),
    "fills": lambda m: m.assign(c=m["both_y"].fillna(-1)).fillna({"l": 0}),
    "nulls": lambda m: m.assign(c=m["both_y"].isna(), d=m["l"].notnull()),
    "comparisons": lambda m: m.assign(c=m["both_y"] > 2, d=m["l"] <= 3),
    "choices": lambda m: m.assign(c=m["both_y"].where(m["r"] > 3), d=m["l"].mask(m["l"] > 3, -1)),
    "of numpy": lambda m: m.assign(c=np.sqrt(m["both_y"]), d=np.exp2(m["both_x"] - m["l"])),
    "over another": lambda m: m.assign(both_x=m["both_x"] + 1)[["both_x", "l", "r"]],
    "without its source": lambda m: m.assign(c=m["both_x"] + 1)[["r", "c", "l"]],
    "new names": lambda m: m.assign(c=m["r"] + 1).rename(columns={"c": "l", "l": "c"})[["c", "r"]],
    "of new columns": lambda m: then(m.assign(c=m["r"] + 1), lambda x: x.assign(d=x["c"] * x["both_y"])),
    "all columns": lambda m: m[["l", "r", "both_y"]] * 2,
    "several": lambda m: (
        m.assign(c=m["r"] - 1).round(1).abs()[["c", "l", "r"]].assign(d=m["l"].clip(lower=1))
    ),
    "a filter on the left": lambda m: m[m["l"] > 2],
    "a filter on the right": lambda m: m[m["r"] > 2],
    "a filter by the key": lambda m: m[m["k"] > 2],
    "a filter of a function": lambda m: m[m["both_y"] * 2 + m["r"] > 3],
    "filters": lambda m: m[(m["l"] > 1) & (m["r"] > 1)],
    "columns of what is left": lambda m: then(m[m["l"] > 2], lambda x: x.assign(c=x["both_y"] * 2)),
    "what is left of columns": lambda m: then(m.assign(c=m["both_y"] * 2), lambda x: x[x["c"] > 1]),
    "a filter of nulls": lambda m: m[m["r"].isna()],
    "of both sides": lambda m: m.assign(c=m["l"] * m["r"]),
}
ROWS = {
    "of both sides": "'l', 'r' come from both sides",
}


@pytest.fixture(autouse=True, scope="module")
def _small_pages():
    with (
        mock.patch.object(options, "JOINED_PAGE_ROWS", 12),
        mock.patch.object(options, "WRITE_FANOUT", 0.0),
    ):
        yield


def is_without_rows(frame):
    return isinstance(joined_frame(frame.expr, write_index=False), JoinedFrame)


def written(frame, path, **given):
    safeframe.to_parquet(frame, path, write_index=False, **given)
    return pd.read_parquet(path)


def same_rows(found, expected):
    assert list(found.columns) == list(expected.columns)
    # Rows that agree in all numbers are the same.
    by = [name for name in ("l", "r", "both_x", "both_y", "k", "c") if name in expected]
    one, other = (frame.sort_values(by, na_position="last", ignore_index=True) for frame in (found, expected))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


@settings(max_examples=40)
@given(
    data=st.data(),
    kind=st.sampled_from(["int64", "float", "Int64"]),
    how=st.sampled_from(HOWS),
    name=st.sampled_from(sorted(MADE)),
)
def test_rows_are_those_of_pandas(data, kind, how, name):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    make = MADE[name]
    with tempfile.TemporaryDirectory() as directory, dask.config.set(NATIVE):
        sides = data.draw(partitioned(left)), data.draw(partitioned(right))
        merged = safeframe.merge(*sides, how=how, on="k", staging=f"{directory}/staging", memory="1GiB")
        found = written(make(merged), f"{directory}/out")
        same_rows(found, make(left.merge(right, how=how, on="k")))
        if is_without_rows(make(merged)):
            pd.testing.assert_series_equal(
                found.dtypes, written(make(merged), f"{directory}/rows", strategy="rows").dtypes
            )


def tables(left_keys, right_keys):
    left = pd.DataFrame(
        {"k": left_keys, "l": np.arange(len(left_keys)), "both": np.arange(len(left_keys)) / 2}
    )
    right = pd.DataFrame(
        {"k": right_keys, "r": np.arange(len(right_keys)), "both": np.arange(len(right_keys)) / 3}
    )
    return left, right


MATCHED = tables([1, 1, 2, 2, 2] * 6, [1, 2, 2, 1] * 5)
UNMATCHED = tables([1, 1, 2, 2, 5] * 6, [1, 2, 2, 7] * 5)
NULLS_OF_THE_RIGHT = {"arithmetic", "of numpy", "all columns", "several", "choices", "casts"}
"""What has no value where there is no right row, and so can be made on the right all the same."""


@pytest.mark.parametrize("name", sorted(MADE))
@pytest.mark.parametrize("how", HOWS)
def test_where_every_row_has_a_match_no_row_is_made(tmp_path, name, how):
    left, right = MATCHED
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", how=how, staging=str(tmp_path))
        made = MADE[name](merged)
        filters = "filter" in name or "left of" in name or "what is left" in name
        if name not in ROWS and not (filters and how != "inner"):
            assert is_without_rows(made)
        if name in ROWS:
            with pytest.raises(safeframe.UnsupportedError, match=ROWS[name]):
                written(made, tmp_path / "out", strategy="blocks")
        same_rows(written(made, tmp_path / "out"), MADE[name](left.merge(right, on="k", how=how)))


@pytest.mark.parametrize("name", sorted(MADE))
@pytest.mark.parametrize("how", HOWS)
def test_where_rows_have_no_match_nulls_are_as_in_rows(tmp_path, name, how):
    left, right = UNMATCHED
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", how=how, staging=str(tmp_path))
        made = MADE[name](merged)
        if how == "left" and name in NULLS_OF_THE_RIGHT:
            assert is_without_rows(made)
        if how == "left" and name in ("fills", "nulls", "comparisons", "a filter on the right"):
            assert not is_without_rows(made)
        if how == "left" and name in ("a filter on the left", "constants"):
            assert is_without_rows(made)
        same_rows(written(made, tmp_path / "out"), MADE[name](left.merge(right, on="k", how=how)))


TEXT = {
    "length": (lambda m: m.assign(c=m["s"].str.len(), d=m["s"].str.contains("1")), None),
    "upper": (lambda m: m.assign(c=m["s"].str.upper(), d=m["s"] + "!" + m["s"]), None),
    "numbers": (lambda m: m.assign(c=m["l"].astype(str)), None),
    "times": (lambda m: m.assign(c=m["t"].dt.hour, d=m["t"].dt.floor("D"), e=m["t"] - pd.Timestamp("2024")), None),
    "days": (lambda m: m.assign(c=m["t"].dt.strftime("%j")), "length of its strings"),
    "repeated": (lambda m: m.assign(c=m["s"].str.repeat(3)), "length of its strings"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXT)
def test_text_and_times(tmp_path, name):
    make, refused = TEXT[name]
    left, right = MATCHED
    left = left.assign(
        s=[f"wörd {n}" for n in range(len(left))], t=pd.Timestamp("2024") + pd.to_timedelta(left["l"], "h")
    )
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", staging=str(tmp_path))
        if refused:
            with pytest.raises(safeframe.UnsupportedError, match=refused):
                written(make(merged), tmp_path / "out", strategy="blocks")
        else:
            assert is_without_rows(make(merged))
        same_rows(written(make(merged), tmp_path / "out"), make(left.merge(right, on="k")))


NOT_OF_ONE_ROW = {
    "running sums": lambda m: m.assign(c=m["l"].cumsum()),
    "shifts": lambda m: m.assign(c=m["l"].shift(1)),
    "code of the user's": lambda m: m.assign(c=m["l"].map_partitions(lambda part: part + 1)),
    "functions of the user's": lambda m: m.assign(c=m["l"].map(lambda value: value + 1, meta=("l", "int64"))),
    "a figure of all rows": lambda m: m.assign(c=m["l"] / m["l"].max()),
    "the index": lambda m: m.assign(c=m.index),
    "categories": lambda m: m.assign(c=m["l"].astype(str).astype("category")),
    "duplicates": lambda m: m.drop_duplicates(subset=["l"]),
    "another merge": lambda m: m.merge(m[["l"]].drop_duplicates(), on="l"),
    "fills by another": lambda m: m.assign(c=m["l"].fillna(m["r"])),
}


@pytest.mark.parametrize("name", NOT_OF_ONE_ROW)
def test_what_is_not_of_one_row_has_rows(tmp_path, name):
    left, right = MATCHED
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", staging=str(tmp_path))
        made = NOT_OF_ONE_ROW[name](merged)
        with pytest.raises(safeframe.UnsupportedError):
            written(made, tmp_path / "out", strategy="blocks")
        assert len(written(made, tmp_path / "out")) == len(made)


def test_names_that_clash_keep_their_suffixes(tmp_path):
    left = pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3], "__column_0": [4, 5, 6]})
    right = pd.DataFrame({"k": [1, 1, 2], "a": [7, 8, 9], "b": [10, 11, 12]})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(
            in_dask(left, 2), in_dask(right, 2), left_on="a", right_on="k", staging=str(tmp_path)
        )
        expected = left.merge(right, left_on="a", right_on="k")
        for number, make in enumerate(
            (
                lambda m: m.assign(c=m["b_x"] * 2)[["c", "b_y"]],
                lambda m: m.assign(c=m["b_y"] * 2)[["c", "a_x", "b_x", "a_y"]],
                lambda m: m.assign(c=m["a_y"] * 2, d=m["k"])[["c", "a_x", "__column_0", "d"]],
            )
        ):
            made = make(merged)
            assert is_without_rows(made)
            found = written(made, tmp_path / f"out{number}")
            by = list(found.columns)
            pd.testing.assert_frame_equal(
                found.sort_values(by, ignore_index=True),
                make(expected).sort_values(by, ignore_index=True),
                check_dtype=False,
            )


def test_the_plan_has_room_for_new_columns(tmp_path):
    left, right = tables(np.arange(4000) % 7, np.arange(300) % 7)
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", staging=str(tmp_path))
        made = merged.assign(**{f"c{n}": merged["l"] * n for n in range(20)})
        plain, wide = (joined_frame(frame.expr, write_index=False).plan.run.write for frame in (merged, made))
    assert wide.staging_nbytes == plain.staging_nbytes + 20 * 8 * 4000
    assert wide.file_nbytes > plain.file_nbytes
    assert wide.steps[0].task_peak_nbytes > plain.steps[0].task_peak_nbytes
    assert wide.steps[1].task_peak_nbytes == plain.steps[1].task_peak_nbytes


def test_a_filter_does_not_need_room_for_all_rows(tmp_path):
    from safeframe.prepare.parquet import checks as parquet_checks

    left, right = tables(np.arange(4000) % 7, np.arange(300) % 7)
    with dask.config.set(NATIVE), mock.patch.object(parquet_checks, "free_nbytes", return_value=1000):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", staging=str(tmp_path))
        with pytest.raises(safeframe.StagingFullError):
            written(merged, tmp_path / "out")
        found = written(merged[merged["l"] == 5], tmp_path / "out", strategy="blocks")
    assert len(found) == (right["k"] == 5).sum()

"""What safeframe.merge makes of its arguments: names, contradictions, validate, statistics."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

PANDAS_2 = pd.__version__.startswith("2.")


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="sync"):
        yield


def in_dask(frame, npartitions=2):
    return dd.from_pandas(frame, npartitions=npartitions, sort=False)


LEFT = pd.DataFrame({"k": [1, 2, 2], "a": [5, 6, 7], "j": [1, 1, 2]}, index=pd.Index([7, 8, 8], name="i"))
RIGHT = pd.DataFrame({"k": [2, 3], "a": [2, 9], "b": [1, 2]}, index=pd.Index([8, 9], name="i"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"on": "k"},
        {"on": ["k", "k"]},
        {"on": ["k", "a"]},
        {},
        {"on": "k", "suffixes": ("_l", None)},
        {"on": "k", "suffixes": (None, "_r")},
        {"on": "k", "suffixes": ["", "_r"]},
        {"left_on": "k", "right_on": "a"},
        {"left_on": "k", "right_on": "b"},
        {"left_on": ["k", "k"], "right_on": ["k", "b"]},
        {"left_on": ["k", "j"], "right_on": ["a", "b"]},
        {"left_on": ["j", "j"], "right_on": ["b", "k"]},
        {"on": "i"},
        {"on": ["i", "k"]},
        {"left_on": "i", "right_on": "k"},
        {"left_on": "k", "right_on": "i"},
        {"left_index": True, "right_index": True},
        {"left_index": True, "right_on": "k"},
        {"left_index": True, "right_on": "i"},
        {"left_on": "j", "right_index": True},
        {"left_on": "a", "right_index": True, "indicator": True},
        {"how": "cross", "suffixes": ("_l", "_r")},
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["inner", "outer"])
def test_columns_and_index_are_called_as_pandas_calls_them(arguments, how):
    arguments = {"how": how, **arguments}
    if PANDAS_2 and arguments == {"how": "inner", "left_index": True, "right_on": "i"}:
        pytest.skip(
            "pandas 2 makes a column of the index, or none, by whether a row meets none: no plan knows that"
        )
    expected = LEFT.merge(RIGHT, **arguments)
    merged = safeframe.merge(in_dask(LEFT), in_dask(RIGHT), **arguments)
    result = merged.compute()
    assert list(result.columns) == list(merged.columns) == list(expected.columns)
    assert result.index.name == merged._meta.index.name == expected.index.name
    by = list(expected.columns)
    keep_index = expected.index.name is not None
    found, wanted = (
        frame.set_axis(frame.index.astype(float)).sort_values(by)
        if keep_index
        else frame.sort_values(by, ignore_index=True)
        for frame in (result, expected)
    )
    pd.testing.assert_frame_equal(found, wanted, check_names=False)


@pytest.mark.parametrize("column", ["a_x", "a_y", "k_x", "k_y", "b", "_merge"])
def test_a_column_taken_alone_is_the_one_of_the_whole(column):
    arguments = {"left_on": "k", "right_on": "b", "how": "outer", "indicator": True}
    merged = safeframe.merge(in_dask(LEFT), in_dask(RIGHT), **arguments)
    expected = LEFT.merge(RIGHT, **arguments)[column]
    for found in (merged[column], merged[[column]][column]):
        pd.testing.assert_series_equal(
            found.compute().sort_values(ignore_index=True), expected.sort_values(ignore_index=True)
        )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"on": "k", "left_on": "k"}, safeframe.ValidationError, "left_on="),
        ({"on": "k", "left_index": True}, safeframe.ValidationError, "left_index="),
        ({"left_on": "k"}, safeframe.ValidationError, "right side has no key"),
        ({"right_index": True}, safeframe.ValidationError, "left side has no key"),
        (
            {"left_on": "k", "left_index": True, "right_on": "k"},
            safeframe.ValidationError,
            "left_on= and left_index=",
        ),
        ({"left_index": "i", "right_index": True}, safeframe.ValidationError, "neither True nor False"),
        ({"left_on": ["k", "a"], "right_on": "k"}, safeframe.ValidationError, r"2 keys \('k', 'a'\)"),
        ({"left_on": ["k", "a"], "right_index": True}, safeframe.ValidationError, "its index"),
        ({"on": []}, safeframe.ValidationError, "no key"),
        ({"on": "missing"}, safeframe.KeyNotFoundError, "no column 'missing'"),
        ({"on": "k", "suffixes": (None, None)}, safeframe.ValidationError, "overlap"),
        ({"on": "k", "suffixes": "_x_"}, safeframe.ValidationError, "suffixes"),
        ({"left_on": "k", "right_on": "b", "suffixes": ("", "_j")}, None, ""),
        ({"on": "b", "left_on": None}, safeframe.KeyNotFoundError, "left has no column 'b'"),
        ({"left_on": np.array([1, 2, 3]), "right_on": "k"}, safeframe.UnsupportedError, "ndarray"),
        ({"left_on": [LEFT["k"]], "right_on": "k"}, safeframe.UnsupportedError, "Series"),
        ({"left_on": in_dask(LEFT)["k"], "right_on": "k"}, safeframe.UnsupportedError, "Series"),
        ({"how": "cross", "on": "k"}, safeframe.ValidationError, "without on="),
        ({"how": "cross", "left_index": True}, safeframe.ValidationError, "without left_index="),
        ({"on": "k", "indicator": 3}, safeframe.ValidationError, "indicator"),
        ({"on": "k", "indicator": "b"}, safeframe.ValidationError, "existing column"),
        ({"on": "k", "how": "left_semi"}, safeframe.UnsupportedError, "leftsemi"),
    ],
)
def test_arguments_that_say_nothing_or_too_much(arguments, error, text):
    if error is None:
        safeframe.plan_merge(in_dask(LEFT), in_dask(RIGHT), **arguments)
        return
    with pytest.raises(error, match=text):
        safeframe.plan_merge(in_dask(LEFT), in_dask(RIGHT), **arguments)


@pytest.mark.parametrize("name", [None, np.nan])
def test_a_key_that_has_no_name_is_refused(name):
    left = LEFT.rename(columns={"k": name, "a": "k2"})
    right = RIGHT.rename(columns={"a": "k2"})
    with pytest.raises(
        safeframe.ValidationError, match=r"key of left has the name .*cannot be used(.|\n)*rename"
    ):
        safeframe.merge(in_dask(left), in_dask(right), left_on=[name, "k2"], right_on=["k", "k2"])


def test_names_that_are_a_column_and_the_index_are_refused():
    both = LEFT.rename_axis("k")
    with pytest.raises(safeframe.ValidationError, match="ambiguous"):
        safeframe.plan_merge(in_dask(both), in_dask(RIGHT), on="k")


@pytest.mark.parametrize(
    ("validate", "unique", "holds"),
    [
        ("1:1", (False, True), False),
        ("one_to_one", (True, True), True),
        ("1:m", (True, False), True),
        ("one_to_many", (False, True), False),
        ("m:1", (True, False), False),
        ("many_to_one", (False, True), True),
        ("m:m", (False, False), True),
    ],
)
@pytest.mark.parametrize("keys", ["index", "mixed", "columns"])
def test_validate_is_answered_for_keys_of_every_sort(validate, unique, holds, keys):
    left, right = (
        pd.DataFrame({"k": [1, 2, 3] if one else [1, 2, 2], "v": 0}, index=[4, 5, 6]) for one in unique
    )
    if keys != "columns":
        left = left.set_index("k")
    if keys == "index":
        right = right.set_index("k")
    arguments = {
        "index": {"left_index": True, "right_index": True},
        "mixed": {"left_index": True, "right_on": "k"},
        "columns": {"on": "k"},
    }[keys]
    arguments["validate"] = validate
    frames = in_dask(left), in_dask(right)
    if holds:
        assert int(safeframe.plan_merge(*frames, **arguments).output_rows) == len(
            left.merge(right, **arguments)
        )
        return
    with pytest.raises(pd.errors.MergeError):
        left.merge(right, **arguments)
    with pytest.raises(safeframe.ValidationError, match=r"does not hold: a key of the .* side has 2 rows"):
        safeframe.plan_merge(*frames, **arguments)


def test_key_statistics_of_an_index_can_be_given():
    left, right = in_dask(LEFT.set_index("k")[["j"]]), in_dask(RIGHT.rename_axis(None))
    statistics = safeframe.key_statistics(left), safeframe.key_statistics(right, "k")
    assert statistics[0].on == ("k",)
    assert statistics[0].rows == 3
    assert safeframe.key_statistics(left, "k").counts.tolist() == statistics[0].counts.tolist() == [1, 2]
    assert safeframe.key_statistics(right).on == (None,)
    merged = safeframe.merge(left, right, left_index=True, right_on="k", statistics=statistics)
    assert len(merged.compute()) == 2
    with pytest.raises(safeframe.ValidationError, match="left statistics"):
        safeframe.merge(left, right, left_on="j", right_on="k", statistics=statistics)


def test_estimates_say_the_index_and_the_kind():
    left, right = in_dask(LEFT.rename_axis(None)), in_dask(RIGHT)
    estimate = safeframe.estimate_merge(left, right, "left", left_index=True, right_index=True)
    assert int(estimate.rows) == 3
    assert "left merge on the index: exactly 3 rows" in str(estimate)
    crossed = safeframe.estimate_merge(left, right, "cross")
    assert "cross merge: exactly 6 rows" in str(crossed)
    kept = {
        how: int(safeframe.estimate_merge(left, right, how, on="k").rows) for how in ("leftsemi", "leftanti")
    }
    assert kept == {"leftsemi": 2, "leftanti": 1}


def test_a_huge_cross_join_is_planned_in_bounded_cells(tmp_path):
    frame = in_dask(pd.DataFrame({"a": np.arange(100_000)}), 4)
    with pytest.warns(
        safeframe.OutputExplosionWarning, match="cross merge makes exactly 10,000,000,000 rows"
    ):
        merged = safeframe.merge(
            frame, frame, how="cross", memory="8GiB", partition_size="16MiB", staging=str(tmp_path)
        )
    plan = safeframe.explain(merged)
    assert (plan.strategy, int(plan.output_rows), plan.fits) == ("broadcast", 10**10, True)
    assert plan.largest_partition_nbytes <= 16 * 2**20
    part = merged.partitions[merged.npartitions // 2].compute()
    assert len(part) * plan.row_nbytes <= 16 * 2**20
    assert part["a_y"].nunique() == 100_000
    with pytest.raises(safeframe.OutputTooLargeError):
        safeframe.merge(frame, frame, how="cross", max_output="1GiB")

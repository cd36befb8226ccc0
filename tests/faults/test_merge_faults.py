"""Bad input to merge: a typed error, with both sides of the matter and a hint."""

from __future__ import annotations

import pickle
import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


def frame(npartitions=2, **columns):
    return dd.from_pandas(pd.DataFrame(columns), npartitions=npartitions)


LEFT = {"k": [1, 2, 3], "a": [1.0, 2.0, 3.0]}
RIGHT = {"k": [1, 2, 2], "b": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("arguments", "error", "builtin", "message"),
    [
        (
            {"on": "nope"},
            safeframe.KeyNotFoundError,
            KeyError,
            r"left has no column 'nope'; it has 2: 'k', 'a'",
        ),
        ({"left_on": "k", "right_on": "c"}, safeframe.KeyNotFoundError, KeyError, "right has no column 'c'"),
        ({"on": "k", "how": "sideways"}, safeframe.UnsupportedError, NotImplementedError, "how='sideways'"),
        (
            {"on": "k", "left_on": "k"},
            safeframe.ValidationError,
            ValueError,
            "on= and left_on= exclude each other",
        ),
        (
            {"left_on": ["k"], "right_on": ["k", "b"]},
            safeframe.ValidationError,
            ValueError,
            "left side is joined on 1 keys.*right side on 2",
        ),
        ({"left_on": [["k"]], "right_on": "k"}, safeframe.UnsupportedError, NotImplementedError, "is a list"),
        (
            {"on": "k", "partition_size": "many"},
            safeframe.ValidationError,
            ValueError,
            "partition_size='many'",
        ),
        ({"on": "k", "strategy": "magic"}, safeframe.ValidationError, ValueError, "strategy='magic'"),
        ({"on": "k", "validate": "1:1"}, safeframe.ValidationError, ValueError, "right side has 2 rows"),
        (
            {"on": "k", "left_index": True},
            safeframe.ValidationError,
            ValueError,
            "exclude each other",
        ),
        (
            {"on": "k", "max_output": "10B"},
            safeframe.OutputTooLargeError,
            ValueError,
            "3 rows, 72 B.*allows 10 B",
        ),
    ],
)
def test_bad_arguments(arguments, error, builtin, message):
    with pytest.raises(error, match=message) as info:
        safeframe.merge(frame(**LEFT), frame(**RIGHT), **arguments)
    assert isinstance(info.value, builtin)
    assert isinstance(info.value, safeframe.SafeframeError)
    assert "Hint: " in str(info.value)
    copy = pickle.loads(pickle.dumps(info.value))
    assert str(copy) == str(info.value)
    assert copy.figures == info.value.figures


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pd.Series([1, 2, 3]), pd.Series(["1", "2", "3"])),
        (pd.Series([True, False, True]), pd.Series([1, 2, 3])),
        (pd.to_datetime(["2020"] * 3), pd.to_datetime(["2020"] * 3).tz_localize("UTC")),
        (pd.to_datetime(["2020"] * 3), pd.Series([1, 2, 3])),
    ],
)
def test_keys_of_types_that_do_not_compare(left, right):
    left, right = frame(k=left), frame(k=right)
    with pytest.raises(safeframe.SchemaMismatchError) as info:
        safeframe.merge(left, right, on="k")
    assert str(left.k.dtype) in str(info.value)
    assert str(right.k.dtype) in str(info.value)
    assert "Hint: " in str(info.value)


def test_frames_that_are_not_dask_frames_or_not_usable():
    with pytest.raises(safeframe.ValidationError, match=r"left is a series without a name(.|\n)*rename"):
        safeframe.merge(pd.Series(LEFT["k"]), frame(**RIGHT), on="k")
    with pytest.raises(safeframe.SchemaMismatchError, match="right is a list"):
        safeframe.merge(frame(**LEFT), [1], on="k")
    twice = pd.DataFrame([[1, 2]], columns=["k", "k"])
    with pytest.raises(safeframe.ValidationError, match="more than one column named 'k'"):
        safeframe.merge(dd.from_map(lambda _: twice, [0], meta=twice.iloc[:0]), frame(**RIGHT), on="k")
    levels = pd.DataFrame(LEFT).set_index(["k", "a"])
    with pytest.raises(
        safeframe.UnsupportedError, match=r"index of left is a MultiIndex of 2 levels(.|\n)*reset_index"
    ):
        safeframe.merge(
            dd.from_map(lambda _: levels, [0], meta=levels.iloc[:0]),
            frame(**RIGHT),
            left_index=True,
            right_on="k",
        )


def exploding():
    keys = np.zeros(10_000, int)
    return frame(k=keys, a=keys), frame(k=keys, b=keys)


def test_an_explosion_is_announced_with_its_figures():
    left, right = exploding()
    with pytest.warns(safeframe.OutputExplosionWarning) as caught:
        safeframe.merge(left, right, on="k")
    text = str(caught[0].message)
    assert "makes exactly 100,000,000 rows, 2.24 GiB" in text
    assert "10,000.0 rows for each of the 10,000 rows" in text
    assert "0 (10,000 × 10,000 rows)" in text
    assert caught[0].filename == __file__


def test_an_ordinary_merge_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        safeframe.merge(frame(**LEFT), frame(**RIGHT), on="k")


def test_max_output_refuses_before_anything_is_warned_of_or_run():
    left, right = exploding()
    with pytest.raises(safeframe.OutputTooLargeError, match=r"100,000,000 rows, 2\.24 GiB.*allows 1 GiB"):
        safeframe.merge(left, right, on="k", max_output="1GiB")


def test_a_plan_that_does_not_fit_is_a_plan_and_raises_when_it_runs():
    left, right = frame(**LEFT), frame(**RIGHT)
    plan = safeframe.plan_merge(left, right, on="k", memory="1MiB")
    assert not plan.fits
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"projected to need .* and 1 MiB is allowed(.|\n)*Hint: "
    ):
        plan.validate()
    merged = safeframe.merge(left, right, on="k", memory="1MiB")
    with pytest.raises(MemoryError, match="1 MiB is allowed"):
        merged.compute(scheduler="sync")


def test_the_configured_partition_size_holds_where_none_is_requested():
    left, right = frame(**LEFT), frame(**RIGHT)
    with dask.config.set({"safeframe.partition-size": "24B"}):
        assert safeframe.plan_merge(left, right, on="k").partition_nbytes == 24
        assert safeframe.plan_merge(left, right, on="k", partition_size="72B").partition_nbytes == 72
    with (
        dask.config.set({"safeframe.partition-size": "many"}),
        pytest.raises(safeframe.ValidationError, match=r"safeframe\.partition-size='many'"),
    ):
        safeframe.merge(left, right, on="k")


def test_partitions_that_break_the_promised_types_are_named(tmp_path):
    meta = pd.DataFrame({"k": pd.Series(dtype="int64"), "a": pd.Series(dtype="int64")})
    pieces = [pd.DataFrame({"k": [1], "a": [1]}), pd.DataFrame({"k": [1], "a": [1.5]})]
    left = dd.from_map(lambda i: pieces[i], [0, 1], meta=meta)
    merged = safeframe.merge(left, frame(**RIGHT), on="k", strategy="staged", staging=str(tmp_path))
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(safeframe.SchemaMismatchError, match="'a' is float64 in one partition"),
    ):
        merged.compute()
    assert not list(tmp_path.rglob("*.staged"))

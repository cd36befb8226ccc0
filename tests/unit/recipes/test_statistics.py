"""The public ways to look before running: arguments, errors, what is told."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def frame():
    return pd.DataFrame({"k": [1, 1, 2, 5], "j": ["a", "b", None, "a"], "v": np.arange(4.0)})


@pytest.fixture
def ddf(frame):
    return dd.from_pandas(frame, npartitions=2)


def test_statistics_of_an_index_level(frame):
    ddf = dd.from_pandas(frame.set_index("k"), npartitions=2)
    found = safeframe.key_statistics(ddf, "k")
    assert found.counts.tolist() == [2, 1, 1]
    assert (found.minimum, found.maximum) == (1, 5)
    assert safeframe.key_statistics(ddf, ["k", "j"]).rows == 4


def test_the_configured_capacity_is_used(ddf):
    with dask.config.set({"safeframe.key-capacity": 2}):
        found = safeframe.key_statistics(ddf, "k")
    assert not found.exact
    assert found.capacity == 2


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda ddf: safeframe.key_statistics(ddf, "x"), safeframe.KeyNotFoundError, "'x'.*'k', 'j', 'v'"),
        (lambda ddf: safeframe.key_statistics(ddf, ["k", "k"]), safeframe.ValidationError, "twice"),
        (lambda ddf: safeframe.key_statistics(ddf, []), safeframe.ValidationError, "names no column"),
        (
            lambda ddf: safeframe.key_statistics(ddf.compute(), "k"),
            safeframe.SchemaMismatchError,
            "from_pandas",
        ),
        (lambda ddf: safeframe.estimate("data"), safeframe.SchemaMismatchError, "str"),
        (lambda ddf: safeframe.estimate_merge(ddf, ddf, on="x"), safeframe.KeyNotFoundError, "'x'"),
        (
            lambda ddf: safeframe.estimate_merge(ddf, ddf, "left_anti", on="k"),
            safeframe.UnsupportedError,
            "'left_anti'",
        ),
        (
            lambda ddf: safeframe.estimate_merge(ddf, ddf, left_on="k", right_on="j"),
            safeframe.SchemaMismatchError,
            "'k' is int64 and right 'j'",
        ),
        (
            lambda ddf: safeframe.estimate_merge(
                ddf, ddf, on="k", statistics=(safeframe.key_statistics(ddf, "j"),) * 2
            ),
            safeframe.ValidationError,
            "left statistics",
        ),
        (
            lambda ddf: safeframe.estimate_merge(
                ddf, ddf, on="k", statistics=safeframe.key_statistics(ddf, "k")
            ),
            safeframe.ValidationError,
            "pair",
        ),
    ],
)
def test_errors_say_what_was_requested(ddf, call, error, text):
    with pytest.raises(error, match=f"(?s){text}") as caught:
        call(ddf)
    assert caught.value.hint


def test_statistics_of_other_partitions_are_refused(frame, ddf):
    others = safeframe.key_statistics(dd.from_pandas(frame, npartitions=1), "k")
    with pytest.raises(safeframe.ValidationError, match="with 1 partitions, but the right side has 2"):
        safeframe.estimate_merge(ddf, ddf, on="k", statistics=(safeframe.key_statistics(ddf, "k"), others))


def test_columns_of_one_name_are_refused(frame):
    twice = pd.concat([frame[["k"]], frame[["k"]]], axis=1)
    with pytest.raises(safeframe.ValidationError, match="more than one column named 'k'"):
        safeframe.key_statistics(dd.from_pandas(twice, npartitions=1), "k")


def test_an_estimate_from_given_statistics_reads_no_fixed_width_data(frame):
    reads = []

    def part(number):
        reads.append(number)
        return frame[["k", "v"]]

    ddf = dd.from_map(part, [0, 1], meta=frame[["k", "v"]].iloc[:0])
    statistics = safeframe.key_statistics(ddf, "k")
    reads.clear()
    found = safeframe.estimate_merge(ddf, ddf, on="k", statistics=(statistics, statistics))
    assert reads == []
    assert int(found.rows) == 16 + 4 + 4
    assert found.row_nbytes == 24


def test_bytes_of_a_merge_count_what_missing_rows_widen(frame):
    left = dd.from_pandas(frame[["k"]].assign(small=np.int8(1)), npartitions=1)
    right = dd.from_pandas(frame[["k", "v"]], npartitions=1)
    assert safeframe.estimate_merge(left, right, on="k").row_nbytes == 17
    # Every left row has a match.
    assert safeframe.estimate_merge(left, right[right["k"] > 0], on="k", how="right").row_nbytes == 17
    assert safeframe.estimate_merge(left, right, on="k", how="right").row_nbytes == 17
    assert safeframe.estimate_merge(left[left["k"] > 1], right, on="k", how="right").row_nbytes == 24


def test_sampled_statistics_gathered_apart_are_joined():
    rng = np.random.default_rng(0)
    left, right = (pd.DataFrame({"k": rng.zipf(1.3, 60_000) % 20_000}) for _ in "lr")
    sides = [dd.from_pandas(frame, npartitions=3) for frame in (left, right)]
    with dask.config.set({"safeframe.key-capacity": 2**10}):
        apart = tuple(safeframe.key_statistics(ddf, "k") for ddf in sides)
    found = safeframe.estimate_merge(*sides, on="k", statistics=apart)
    truth = int((left["k"].value_counts() * right["k"].value_counts()).dropna().sum())
    assert found.rows.lower <= truth <= found.rows.upper
    assert found.rows.upper / found.rows.lower < 1.1


def test_an_estimate_of_a_frame_says_how_uneven_it_is():
    pieces = [np.arange(10), np.arange(0), np.arange(50)]
    ddf = dd.from_map(lambda piece: pd.DataFrame({"a": piece}), pieces, meta=pd.DataFrame({"a": [0]}))
    found = safeframe.estimate(ddf)
    assert found.partition_rows.tolist() == [10, 0, 50]
    assert found.rows.exact
    assert found.nbytes.exact
    assert int(found.rows) == 60
    assert found.skew == 2.5
    assert "3 partitions, 1 of them empty" in str(found)


def test_an_estimate_of_words_is_an_interval(ddf):
    found = safeframe.estimate(ddf)
    assert not found.nbytes.exact
    assert found.nbytes.lower < found.nbytes.expected < found.nbytes.upper
    assert "about" in str(found)

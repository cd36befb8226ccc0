"""Filters and columns of a merge's result give the rows of pandas, wherever they are moved to."""

from __future__ import annotations

import operator
import tempfile
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.engine.merge.nodes import FilteredMerge
from tests.property.merging import examples, in_dask
from tests.property.test_merge_table_properties import in_files

ALL_HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti", "cross")
SUFFIXES = (("_x", "_y"), ("_x", ""), ("", "_y"), (None, "_r"), ("_l", None), ("_b", "_c"))
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5])
KEYS = {
    "int64": lambda codes: pd.Series(codes, dtype="int64"),
    "float": lambda codes: pd.Series([-0.0 if code == 5 else np.nan if code == 4 else code for code in codes], dtype="float64"),
    "string": lambda codes: pd.Series([f"{code}" for code in codes], dtype="string[pyarrow]"),
    "Int64": lambda codes: pd.Series([pd.NA if code == 4 else code for code in codes], dtype="Int64"),
}  # fmt: skip


@st.composite
def sides(draw):
    """Draw two frames that share names, and what they are joined on."""
    kind = draw(st.sampled_from([*KEYS, "mixed"]))
    made = []
    for number, others in enumerate((["a", "b"], ["a", "c"])):
        n = draw(st.integers(0, 8))
        one = ("int64", "float")[number] if kind == "mixed" else kind
        codes = st.lists(NUMBERS, min_size=n, max_size=n)
        columns = {"k": KEYS[one](draw(codes)), "j": KEYS[one](draw(codes))}
        values = st.lists(st.sampled_from([0.0, 1.0, 2.5, np.nan]), min_size=n, max_size=n)
        columns |= {name: np.array(draw(values), "float64") for name in others}
        made.append(pd.DataFrame(columns))
    left, right = made
    on = draw(st.sampled_from(["on", "apart", "crossed"]))
    if on == "on":
        left, right = left.drop(columns="j"), right.drop(columns=draw(st.sampled_from([["j"], []])))
        return left, right, {"on": "k"}
    if on == "apart":
        right = right.drop(columns=draw(st.sampled_from([["k"], []])))
        return left.drop(columns="j"), right, {"left_on": "k", "right_on": "j"}
    return left, right, {"left_on": ["k", "j"], "right_on": ["j", "k"]}


@st.composite
def conditions(draw, columns, depth=2):
    """Draw a condition as a function of a frame, of pandas or of dask."""
    if depth and draw(st.booleans()):
        parts = draw(st.lists(conditions(columns, depth - 1), min_size=2, max_size=2))
        joined = draw(st.sampled_from([operator.and_, operator.and_, operator.or_]))
        return lambda frame: joined(*(part(frame) for part in parts))
    name, other = draw(st.sampled_from(columns)), draw(st.sampled_from(columns))
    number = draw(NUMBERS)
    return draw(
        st.sampled_from(
            [
                lambda frame: frame[name] == _like(frame[name], number),
                lambda frame: frame[name] != _like(frame[name], number),
                lambda frame: frame[name].isin([_like(frame[name], number), _like(frame[name], 1)]),
                lambda frame: frame[name].isna(),
                lambda frame: frame[name].notnull(),
                lambda frame: frame[name].isna() | frame[other].notnull(),
                lambda frame: ~(frame[name] == _like(frame[name], number)),
                lambda frame: _number(frame[name]) + _number(frame[other]) > number,
                lambda frame: _number(frame[name]) > _number(frame[name]).mean(),
                lambda frame: (_number(frame[name]) - _number(frame[name]).mean()) > 0,
                lambda frame: frame[name].fillna(_like(frame[name], 1)) == _like(frame[name], 1),
                # A float's two zeros are equal, and tell sides apart.
                lambda frame: np.signbit(_number(frame[name])) == (number == 0),
            ]
        )
    )


def _like(series, number):
    return f"{number}" if isinstance(series.dtype, pd.StringDtype) else number


def _number(series):
    return series.astype("float64")


def rows(frame):
    """The rows of a frame in an order of their own, whatever type holds them."""
    plain = frame.astype(object).where(frame.notna(), None)
    return sorted(
        repr([float(value) if isinstance(value, (int, float)) else value for value in row])
        for row in plain.itertuples(index=False)
    )


def expected_of(left, right, how, **arguments):
    """What pandas makes of it; it has no semi and anti joins in all versions."""
    if how not in ("leftsemi", "leftanti"):
        on = (
            {}
            if how == "cross"
            else {name: value for name, value in arguments.items() if name.endswith("on")}
        )
        return left.merge(
            right, how=how, **on, suffixes=arguments["suffixes"], indicator=arguments["indicator"]
        )
    keys = [arguments.get("on") or arguments[f"{side}_on"] for side in ("left", "right")]
    keys = [key if isinstance(key, list) else [key] for key in keys]
    other = right[keys[1]].drop_duplicates().set_axis(keys[0], axis=1)
    found = left.merge(other, how="left", on=keys[0], indicator="__found")["__found"] == "both"
    return left[(found if how == "leftsemi" else ~found).to_numpy()]


@examples(40)
@given(
    data=st.data(),
    both=sides(),
    how=st.sampled_from(ALL_HOWS),
    suffixes=st.sampled_from(SUFFIXES),
    indicator=st.sampled_from([False, False, False, True]),
    strategy=st.sampled_from(["staged", "broadcast", "sorted"]),
)
def test_filters(data, both, how, suffixes, indicator, strategy, tmp_path_factory):
    left, right, on = both
    indicator = indicator and how not in ("leftsemi", "leftanti", "cross")
    arguments = {"how": how, "suffixes": suffixes, "indicator": indicator, **({} if how == "cross" else on)}
    try:
        whole = expected_of(left, right, **{**on, **arguments})
    except ValueError:
        reject()
    if strategy == "sorted":
        first = on.get("on") or (on["left_on"], on["right_on"])
        if how == "cross" or isinstance(first[0], list):
            reject()
        keys = (first, first) if isinstance(first, str) else first
        left, right = (
            frame.sort_values(key, kind="stable") for frame, key in zip((left, right), keys, strict=True)
        )
    names = [name for name in whole.columns if name != "_merge"]
    condition = data.draw(conditions(names))
    wanted = data.draw(st.sampled_from([None, *names]))
    frames = [in_dask(side, data.draw(st.integers(1, 3))) for side in (left, right)]
    with dask.config.set(scheduler="sync"):
        try:
            merged = safeframe.merge(
                *frames, **arguments, strategy=strategy, staging=str(tmp_path_factory.getbasetemp())
            )
        except safeframe.SchemaMismatchError:
            reject()  # Int64 with float keys, say
        except safeframe.ValidationError:
            if strategy == "staged":
                raise  # any join can be staged
            reject()
        found = merged[condition(merged)]
        expected = whole[condition(whole).fillna(value=False).astype(bool)]
        if data.draw(st.booleans()):
            # Twice filtered, and of the filtered rows at that.
            again = data.draw(conditions(names, depth=0))
            found, expected = found[again(found)], expected[again(expected).fillna(value=False).astype(bool)]
        if wanted is not None:
            found, expected = found[[wanted]], expected[[wanted]]
        assert rows(found.compute()) == rows(expected)


@pytest.mark.parametrize("strategy", ["staged", "broadcast", "sorted", "table"])
@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("suffixes", SUFFIXES)
def test_a_column_of_the_other_sides_name(strategy, how, suffixes, tmp_path, monkeypatch):
    """dask looks a filter's columns up by name in both sides, and moves them to the wrong one."""
    left = pd.DataFrame({"k": np.arange(10), "a": np.arange(10)})
    right = pd.DataFrame({"k": np.arange(10), "a": np.arange(10) * 100})
    with dask.config.set(scheduler="sync"):
        if strategy == "table":
            monkeypatch.setattr(options, "TABLE_MIN_ROWS", 1)
            frames = [in_files(side, [5], tmp_path / name) for side, name in ((left, "l"), (right, "r"))]
        else:
            frames = [in_dask(side, 2) for side in (left, right)]
        try:
            merged = safeframe.merge(
                *frames, on="k", how=how, suffixes=suffixes, staging=str(tmp_path),
                strategy=None if strategy == "table" else strategy,
            )  # fmt: skip
        except safeframe.ValidationError:
            assert (strategy, how) == ("broadcast", "outer")
            return
        if strategy == "table" and safeframe.explain(merged).run.table is None:
            assert how in ("inner", "outer")
        whole = left.merge(right, on="k", how=how, suffixes=suffixes)
        for name in whole.columns:
            assert rows(merged[merged[name] > 3].compute()) == rows(whole[whole[name] > 3])
            both = (whole[name] > 3) & (whole["k"] < 7)
            assert rows(merged[(merged[name] > 3) & (merged["k"] < 7)].compute()) == rows(whole[both])


MOVED = [
    ("inner", lambda m: m.b > 1, True),
    ("inner", lambda m: (m.c > 1) & (m.b > 1), True),
    ("inner", lambda m: (m.c > 1) | (m.b > 1), False),
    ("left", lambda m: m.b > 1, True),
    ("left", lambda m: m.c > 1, False),
    ("left", lambda m: m.c.isna(), False),
    ("left", lambda m: (m.c.isna()) & (m.b > 1), True),
    ("left", lambda m: m.k > 1, True),
    ("right", lambda m: m.c > 1, True),
    ("right", lambda m: m.k > 1, True),
    ("outer", lambda m: m.k > 1, False),
    ("outer", lambda m: m.b > 1, False),
    ("inner", lambda m: m.b > m.b.mean(), False),
    ("inner", lambda m: (m.b - m.b.mean()) > 0, False),
    ("inner", lambda m: (m.b > 1) & (m.c > m.c.mean()), False),
    ("leftanti", lambda m: m.b > 1, True),
    ("cross", lambda m: m.c > 1, True),
]


@pytest.mark.parametrize(("how", "condition", "moves"), MOVED)
def test_which_filters_move(how, condition, moves, tmp_path):
    left = pd.DataFrame({"k": [1, 2, 3, 4], "b": [1.0, 2.0, 3.0, 4.0]})
    right = pd.DataFrame({"k" if how != "cross" else "j": [2, 3, 5, 6], "c": [1.0, 2.0, 3.0, 4.0]})
    on = {} if how == "cross" else {"on": "k"}
    merged = safeframe.merge(
        in_dask(left, 2), in_dask(right, 2), how=how, **on, strategy="staged", staging=str(tmp_path)
    )
    simple = merged[condition(merged)].expr.simplify()
    assert any(isinstance(part, FilteredMerge) for part in simple.walk()) is moves


def test_filters_of_files(monkeypatch):
    """A filter that reaches parquet files leaves row groups out, and whole partitions."""
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 1)
    left = pd.DataFrame({"k": np.arange(12), "a": np.arange(12)})
    right = pd.DataFrame({"k": np.arange(0, 12, 2), "b": np.arange(6)})
    with tempfile.TemporaryDirectory() as directory, dask.config.set(scheduler="sync"):
        frames = [
            in_files(side, [3, 6], Path(directory) / name) for side, name in ((left, "l"), (right, "r"))
        ]
        for how in ("left", "inner", "right"):
            whole = left.merge(right, how=how, on="k")
            for strategy in ("staged", "broadcast", "sorted", None):
                merged = safeframe.merge(*frames, how=how, on="k", strategy=strategy, staging=directory)
                for name, low in (("a", 7), ("k", 7), ("b", 4), ("a", 99)):
                    found = merged[merged[name] > low].compute()
                    assert rows(found) == rows(whole[whole[name] > low]), (how, strategy, name)


@pytest.mark.parametrize("strategy", ["staged", "broadcast", "sorted", "sorted-one-side", None])
@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("columns", [None, ["b"]])
def test_filters_of_a_key_that_is_an_index(how, columns, strategy, tmp_path):
    """A condition of the key is one of the other side's index, which is a column only once it was added."""
    left = pd.DataFrame({"k": [1, 2, 3, 4] * 3, "a": np.arange(12)})
    right = pd.DataFrame({"b": np.arange(6.0)}, index=pd.Index([1, 2, 3, 5, 6, 6]))
    arguments = {"left_on": "k", "right_index": True, "how": how}
    if strategy == "broadcast" and how == "outer":
        strategy = "staged"
    if strategy == "sorted":
        left = left.sort_values("k", ignore_index=True)
    frames = in_dask(left, 3), in_dask(right, 2)
    try:
        merged = safeframe.merge(*frames, **arguments, strategy=strategy, staging=str(tmp_path))
    except safeframe.errors.ValidationError:
        pytest.skip(f"{strategy} cannot run this")
    expected = left.merge(right, **arguments)
    with dask.config.set(scheduler="sync"):
        for condition in (
            lambda m: m.k > 1,
            lambda m: (m.k > 1) & (m.b < 4),
            lambda m: (m.b < 4) & (m.k != 3),
        ):
            found, wanted = merged[condition(merged)], expected[condition(expected)]
            if columns is not None:
                found, wanted = found[columns], wanted[columns]
            assert rows(found.compute().reset_index(drop=True)) == rows(wanted.reset_index(drop=True))

"""Every public function, each argument of it, and values that are none: an error of ours, in words."""

from __future__ import annotations

import inspect

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import safeframe

PANDAS = pd.DataFrame({"key": np.arange(20) % 5, "a": np.arange(20)})
ARRAY = da.ones((8, 8), chunks=(2, 8))
BAD = {
    "None": None,
    "-1": -1,
    "0": 0,
    "nan": float("nan"),
    "''": "",
    "nonsense": "nonsense",
    "[]": [],
    "{}": {},
    "object": object(),
    "True": True,
    "frame": PANDAS,
    "array": ARRAY,
    "('', '')": ("", ""),
    "[None]": [None],
    "bytes": b"x",
}

# What is of use after all: by argument, and for a function alone.
GOOD = {
    "staging": {"nonsense"},
    "indicator": {"''", "nonsense", "True"},
    "suffixes": {"('', '')"},
    "partition_on": {"''", "[]"},
    "storage_options": {"{}"},
    "custom_metadata": {"{}"},
    "compute_kwargs": {"{}"},
    "schema": {"{}"},
    "compression": {"{}"},
    "write_metadata_file": {"True"},
    "path": {"nonsense"},
    "names": {"''", "nonsense", "[None]"},
    "lags": {"-1", "0"},
    "fill_value": {"-1", "0", "True"},
    "order_by": {"[]"},
    "chunks": {"-1", "''", "{}", "True", "('', '')"},
    "array": {"array"},
    "collection": {"array"},
    "left": {"frame"},
    "right": {"frame"},
    "broadcast": {"0", "True"},
    "progress": {"True"},
    "sort": {"True"},
    "split_every": {"True"},
    "split_out": {"True"},
    "spec": {"[]", "{}"},
    "sort_function_kwargs": {"{}"},
    # pandas' and dask's own, and without effect there as well.
    "copy": set(BAD),
    "force": set(BAD),
}
MERGES = ("merge", "sorted_merge", "plan_merge", "plan_sorted_merge", "estimate_merge")
DISTINCT = ("drop_duplicates", "duplicated", "nunique")
BY_COLUMN = ("set_index", "sort_values", "shuffle", "p2p_shuffle")


def calls(tmp_path):
    """Make a call of each function that there is, with good arguments."""
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    right = dd.from_pandas(PANDAS[:5].rename(columns={"a": "b"}), npartitions=1)
    bag = db.from_sequence(range(10), npartitions=2)
    lag = ((left, "key", "a", [1]), {"order_by": "a"})
    sort = {"sort": True}
    return {
        **{name: ((left, right), {"on": "key", **(sort if "sorted" in name else {})}) for name in MERGES},
        **{name: ((left, "key"), {}) for one in BY_COLUMN for name in (one, f"plan_{one}")},
        **{name: ((left, "key"), {}) for one in DISTINCT for name in (one, f"plan_{one}")},
        "unique": ((left, "key"), {}),
        "plan_unique": ((left, "key"), {}),
        "key_statistics": ((left, "key"), {}),
        "estimate": ((left,), {}),
        "explain": ((left,), {}),
        "rebalance_partitions": ((left,), {}),
        "plan_rebalance": ((left,), {}),
        "groupby_lag_transform": lag,
        "plan_lag": lag,
        "groupby": ((left, "key"), {}),
        "plan_groupby": ((left, "key", "sum"), {}),
        "value_counts": ((left, "key"), {}),
        "plan_value_counts": ((left, "key"), {}),
        "rechunk": ((ARRAY, (8, 2)), {}),
        "plan_rechunk": ((ARRAY, (8, 2)), {}),
        "bag_groupby": ((bag, abs), {}),
        "plan_bag_groupby": ((bag, abs), {}),
        "to_parquet": ((left, str(tmp_path / "out")), {"overwrite": True, "progress": False}),
        "tune": ((None,), {}),
        "measure": ((), {}),
        "doctor": ((), {}),
    }


def what_is_said(function, arguments):
    """Return the error of a call that has to be one of ours, or None where there is none."""
    signature = inspect.signature(function)
    first = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    rest = {name: value for name, value in arguments.items() if name not in first}
    try:
        made = function(*(arguments[name] for name in first), **rest)
        if function is safeframe.measure:
            with made:
                pass
    except safeframe.SafeframeError as error:
        return str(error)
    return None


FUNCTIONS = [name for name in safeframe.__all__ if inspect.isfunction(getattr(safeframe, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::safeframe.SafeframeWarning")
def test_bad_values_are_said_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a relative path is a good one
    function = getattr(safeframe, name)
    args, kwargs = calls(tmp_path)[name]
    signature = inspect.signature(function)
    given = signature.bind(*args, **kwargs).arguments
    taken = []
    with dask.config.set(scheduler="synchronous"):
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            for label, bad in BAD.items():
                default = parameter.default
                if bad is default or (isinstance(default, bool) and label == "True"):
                    continue
                said = what_is_said(function, {**given, parameter.name: bad})
                if said is None and label != "None" and label not in GOOD.get(parameter.name, ()):
                    taken.append((parameter.name, label))
                assert said is None or "Hint: " in said, (parameter.name, label)
    assert not taken


@pytest.mark.parametrize("name", ["merge", "set_index", "sort_values", "shuffle", "rebalance_partitions"])
def test_a_method_says_the_same(name):
    ddf = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    right = {"merge": [ddf], "rebalance_partitions": []}.get(name, ["key"])
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(safeframe.ValidationError, match="strategy='stagd'"),
    ):
        getattr(ddf.safe, name)(*right, **({"on": "key"} if name == "merge" else {}), strategy="stagd")


def misspelt():
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    many = {"by": "key", "columns": "a", "lags": 1, "order_by": "a"}
    return {
        "strategy": (lambda: safeframe.merge(left, left, on="key", strategy="stagd"), "'staged'"),
        "strategy of sorts": (lambda: safeframe.set_index(left, "key", strategy="stged"), "'staged'"),
        "strategy of lags": (
            lambda: safeframe.groupby_lag_transform(left, **many, strategy="hallo"),
            "'halo'",
        ),
        "strategy of rebalancing": (
            lambda: safeframe.rebalance_partitions(left, strategy="slices"),
            "'sliced'",
        ),
        "strategy of writing": (lambda: safeframe.to_parquet(left, "out", strategy="row"), "'rows'"),
        "how": (lambda: safeframe.merge(left, left, on="key", how="iner"), "'inner'"),
        "validate": (lambda: safeframe.merge(left, left, on="key", validate="one_to_onne"), "'one_to_one'"),
        "na_position": (lambda: safeframe.sort_values(left, "a", na_position="fist"), "'first'"),
        "column": (lambda: safeframe.sort_values(left, "A"), "'a'"),
        "key": (lambda: safeframe.merge(left, left, on="kye"), "'key'"),
        "lag": (lambda: safeframe.groupby_lag_transform(left, **{**many, "by": "keys"}), "'key'"),
    }


@pytest.mark.parametrize("name", misspelt())
def test_what_was_probably_meant(name):
    call, meant = misspelt()[name]
    with dask.config.set(scheduler="synchronous"), pytest.raises(safeframe.SafeframeError) as info:
        call()
    assert f"Did you mean {meant}" in str(info.value)


ARROW = {
    "dictionary": pa.array([str(n % 3) for n in range(20)]).dictionary_encode(),
    "list": pa.array([[n] for n in range(20)]),
}


@pytest.mark.parametrize("recipe", ["set_index", "sort_values"])
@pytest.mark.parametrize("kind", ARROW)
def test_values_of_arrow_s_that_have_no_order(recipe, kind):
    frame = PANDAS.assign(a=pd.Series(pd.arrays.ArrowExtensionArray(ARROW[kind])))
    ddf = dd.from_pandas(frame, npartitions=2, sort=False)
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(safeframe.UnsupportedError, match=r"'a' is .*no order(.|\n)*Hint: "),
    ):
        getattr(safeframe, recipe)(ddf, "a")


def test_names_that_name_nothing():
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    many = {"by": "key", "lags": 1, "order_by": "a"}
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(safeframe.UnsupportedError, match="NAType"):
            safeframe.shuffle(left, pd.NA)
        with pytest.raises(safeframe.ValidationError, match=r"names= holds \['k'\]"):
            safeframe.groupby_lag_transform(left, columns="a", names=[["k"]], **many)
        made = safeframe.groupby_lag_transform(left, columns=pd.Index(["a"]), **many)
        assert list(made.columns) == ["key", "a", "a_lag_1"]
        with pytest.raises(safeframe.SchemaMismatchError, match="is a int; a dask collection"):
            safeframe.explain(3)


def test_a_misspelt_argument_is_python_s_own_error():
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    with pytest.raises(TypeError, match="stratgy"):
        safeframe.merge(left, left, on="key", stratgy="staged")


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory_limit": "lots"},
        {"memory_limit": -1},
        {"memory_limit": True},
        {"memory_limit": None},
        {"memory_limit": []},
        {"n_workers": "many"},
        {"n_workers": -1},
        {"threads_per_worker": 0},
        {"threads_per_worker": 1.5},
    ],
)
def test_a_cluster_of_nonsense(arguments):
    with pytest.raises(safeframe.ValidationError, match=rf"{next(iter(arguments))}=(.|\n)*Hint: "):
        safeframe.LocalCluster(**arguments)


def test_suffixes_that_make_one_name_of_two():
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    with dask.config.set(scheduler="synchronous"):
        for suffixes in [("", ""), (None, None)]:
            with pytest.raises(safeframe.ValidationError, match=r"(.|\n)*Hint: .*suffixes="):
                safeframe.merge(left, left, on="key", suffixes=suffixes)


@pytest.mark.parametrize("name", ["merge", "set_index", "sort_values", "to_parquet"])
def test_a_size_is_said_by_its_argument(name):
    left = dd.from_pandas(PANDAS, npartitions=2, sort=False)
    more = {"merge": [left], "to_parquet": ["out"]}.get(name, ["key"])
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(safeframe.ValidationError, match="memory='1 lot'"),
    ):
        getattr(safeframe, name)(left, *more, **({"on": "key"} if name == "merge" else {}), memory="1 lot")

"""safeframe.groupby and value_counts give what pandas gives, by every way."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

KINDS = sorted(KEY_KINDS)
REDUCED = (
    "sum", "mean", "count", "min", "max", "prod", "var", "std", "sem", "skew", "first", "last", "any", "all",
    "idxmin", "idxmax",
)  # fmt: skip
WHOLE = ("median", "nunique")
STRATEGIES = st.sampled_from(["tree", "staged"])
SPECS = st.sampled_from(
    [
        (("sum",), {}),
        ((["min", "mean"],), {}),
        (({"row": "sum", "both": ["max", "var"]},), {}),
        (({"both": "median"},), {}),
        ((), {"total": ("row", "sum"), "some": ("both", "nunique")}),
        ((), {"total": pd.NamedAgg("row", "sum"), "n": ("both", "count")}),
    ]
)


def same(found, expected):
    """Compare a lazy result with pandas', whatever the order of its rows."""
    with dask.config.set(scheduler="sync"):
        parts = dask.compute(*found.to_delayed())
    meta = found._meta
    joined = pd.concat(parts) if len(parts) > 1 else parts[0]
    if isinstance(expected, pd.Series):
        assert joined.name == expected.name == meta.name
        joined, expected, meta = joined.to_frame("x"), expected.to_frame("x"), meta.to_frame("x")
    assert list(joined.columns) == list(expected.columns) == list(meta.columns)
    assert joined.index.names == expected.index.names == meta.index.names
    pd.testing.assert_frame_equal(
        in_order(joined),
        in_order(expected),
        check_index_type=False,
        check_categorical=False,
        rtol=1e-9,
        atol=1e-9,
    )


def in_order(frame):
    levels = range(frame.index.nlevels)
    keys = pd.DataFrame({f"k{i}": frame.index.get_level_values(i).array for i in levels})
    order = (
        keys.reset_index(drop=True).sort_values(list(keys.columns), kind="stable", na_position="last").index
    )
    return frame.take(order.to_numpy())


def frames(data, kinds):
    names = [f"k{i}" for i in range(len(kinds))]
    return names, data.draw(key_frames(kinds, names=names, extra="row"))


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
    function=st.sampled_from(REDUCED),
    strategy=STRATEGIES,
    dropna=st.booleans(),
)
def test_reduced(data, kinds, function, strategy, dropna, tmp_path_factory):
    names, frame = frames(data, kinds)
    by = names if len(names) > 1 else names[0]
    ddf = data.draw(partitioned(frame, index=True))
    groups = safeframe.groupby(
        ddf, by, dropna=dropna, strategy=strategy, staging=str(tmp_path_factory.getbasetemp())
    )
    expected = frame.groupby(by, dropna=dropna, observed=True)
    columns = ["row", "both"]
    same(getattr(groups[columns], function)(), getattr(expected[columns], function)())
    same(getattr(groups["both"], function)(), getattr(expected["both"], function)())


@given(data=st.data(), kind=st.sampled_from(KINDS), spec=SPECS, sizes=st.sampled_from([None, 1, 3]))
def test_forms_of_agg(data, kind, spec, sizes, tmp_path_factory):
    _, frame = frames(data, [kind])
    args, named = spec
    groups = safeframe.groupby(
        data.draw(partitioned(frame)), "k0", npartitions=sizes, staging=str(tmp_path_factory.getbasetemp())
    )
    same(groups.agg(*args, **named), frame.groupby("k0", observed=True).agg(*args, **named))


@given(data=st.data(), kind=st.sampled_from(KINDS), function=st.sampled_from(WHOLE), in_order=st.booleans())
def test_whole_groups(data, kind, function, in_order, tmp_path_factory):
    _, frame = frames(data, [kind])
    staging = str(tmp_path_factory.getbasetemp())
    ddf = data.draw(partitioned(frame))
    if in_order:
        ddf = safeframe.shuffle(ddf, "k0", npartitions=2, staging=staging)
    groups = safeframe.groupby(ddf, "k0", staging=staging)
    expected = frame.groupby("k0", observed=True)
    same(getattr(groups[["row", "both"]], function)(), getattr(expected[["row", "both"]], function)())
    same(groups.size(), expected.size())


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
    strategy=st.sampled_from(["staged", None]),
)
def test_in_order_of_keys(data, kinds, strategy, tmp_path_factory):
    names, frame = frames(data, kinds)
    by = names if len(names) > 1 else names[0]
    groups = safeframe.groupby(
        data.draw(partitioned(frame)),
        by,
        sort=True,
        strategy=strategy,
        partition_size=100 if strategy else None,
        staging=str(tmp_path_factory.getbasetemp()),
    )
    found = groups["both"].sum()
    with dask.config.set(scheduler="sync"):
        joined = pd.concat(dask.compute(*found.to_delayed()))
    expected = frame.groupby(by, sort=True, observed=True)["both"].sum()
    pd.testing.assert_series_equal(joined, expected, check_index_type=False, check_categorical=False)


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
    normalize=st.booleans(),
    dropna=st.booleans(),
    sort=st.booleans(),
    strategy=STRATEGIES,
)
def test_value_counts(data, kinds, normalize, dropna, sort, strategy, tmp_path_factory):
    names, frame = frames(data, kinds)
    subset = names if len(names) > 1 else names[0]
    found = safeframe.value_counts(
        data.draw(partitioned(frame)),
        subset,
        normalize=normalize,
        dropna=dropna,
        sort=sort,
        # Of categories, pandas counts those that do not occur.
        strategy=None if "category" in kinds else strategy,
        npartitions=None if strategy == "tree" or "category" in kinds else 2,
        staging=str(tmp_path_factory.getbasetemp()),
    )
    expected = frame.value_counts(subset, normalize=normalize, dropna=dropna)
    same(found, expected)
    if sort:
        with dask.config.set(scheduler="sync"):
            counts = found.compute().to_numpy()
        assert (np.diff(counts) <= 0).all()


@pytest.mark.parametrize("strategy", ["tree", "staged"])
@given(data=st.data(), function=st.sampled_from(["sum", "count", "min", "mean", "first"]))
def test_categories_that_do_not_occur(data, function, strategy, tmp_path_factory):
    # With a key that has no categories, pandas takes its values of rows that are in no group, too: groups are whole.
    names, frame = frames(data, ["category", "category" if strategy == "tree" else "int64"])
    groups = safeframe.groupby(
        data.draw(partitioned(frame)),
        names,
        observed=False,
        strategy=strategy,
        staging=str(tmp_path_factory.getbasetemp()),
    )
    expected = frame.groupby(names, observed=False)
    same(getattr(groups["both"], function)(), getattr(expected["both"], function)())


@pytest.mark.parametrize("shrink", [0.0, 1e9], ids=["rows", "states"])
@given(data=st.data(), kind=st.sampled_from(KINDS), function=st.sampled_from(REDUCED), dropna=st.booleans())
def test_shards_are_read_in_slices(data, kind, function, dropna, shrink, tmp_path_factory):
    """Shards of many slices, of rows and of partial states, which no small frame has by itself."""
    _, frame = frames(data, [kind])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "LEAST_SLICE_NBYTES", 64)
        patch.setattr(options, "SLICE_NBYTES", 64)
        patch.setattr(options, "STATES_SHRINK", shrink)
        groups = safeframe.groupby(
            data.draw(partitioned(frame, index=True)),
            "k0",
            dropna=dropna,
            strategy="staged",
            npartitions=2,
            staging=str(tmp_path_factory.getbasetemp()),
        )
        expected = frame.groupby("k0", dropna=dropna, observed=True)
        same(getattr(groups["both"], function)(), getattr(expected["both"], function)())


@given(
    data=st.data(),
    kind=st.sampled_from(KINDS),
    function=st.sampled_from(["sum", "last", "median"]),
    strategy=st.sampled_from([None, "staged"]),
)
def test_in_order_of_first_rows(data, kind, function, strategy, tmp_path_factory):
    _, frame = frames(data, [kind])
    groups = safeframe.groupby(
        data.draw(partitioned(frame)),
        "k0",
        sort=False,
        strategy=strategy,
        staging=str(tmp_path_factory.getbasetemp()),
    )
    found = getattr(groups["both"], function)()
    with dask.config.set(scheduler="sync"):
        joined = found.compute()
    expected = getattr(frame.groupby("k0", sort=False, observed=True)["both"], function)()
    pd.testing.assert_series_equal(joined, expected, check_index_type=False, check_categorical=False)


def test_one_partition_has_an_order_of_first_rows():
    frame = pd.DataFrame({"k": [1, 2], "v": [1, 2]})
    with pytest.raises(safeframe.ValidationError, match="makes one partition, and 3 are requested"):
        safeframe.groupby(dd.from_pandas(frame, npartitions=2), "k", sort=False, npartitions=3).sum()


@pytest.mark.parametrize("strategy", ["tree", "staged"])
@pytest.mark.parametrize("by", ["k", ["k", "s"]])
def test_results_are_written_with_their_index(by, strategy, tmp_path):
    frame = pd.DataFrame({"k": [1, 1, 2, 2], "s": [7, 8, 7, 7], "v": [1.0, 2.0, 3.0, 4.0]})
    ddf = dd.from_pandas(frame, npartitions=2)
    groups = safeframe.groupby(ddf, by, strategy=strategy, staging=str(tmp_path / "staging"))
    results = {
        "one": lambda: groups.agg(total=("v", "sum")),
        "two": lambda: groups["v"].quantile([0.25, 0.5]).to_frame(),
    }
    for name, make in results.items():
        if name == "two" and strategy == "tree":
            continue  # quantiles need groups whole
        found = make()
        with dask.config.set(scheduler="sync"):
            safeframe.to_parquet(found, tmp_path / name)
            expected = found.compute()
        levels = [
            level if given is None else given
            for level, given in zip(["", "level_1", "level_2"], expected.index.names, strict=False)
        ]
        expected.index = expected.index.set_names(levels[: expected.index.nlevels])
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), expected)

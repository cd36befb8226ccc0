"""Keys, forms and names of groups as pandas has them, where a small frame shows them."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import KeyNotFoundError, UnsupportedError, ValidationError
from tests.property.test_groupby_properties import same

ROWS = 60
FRAME = pd.DataFrame(
    {
        "k": np.arange(ROWS) * 7 % 5,
        "v": np.where(np.arange(ROWS) % 7, np.arange(ROWS) / 3, np.nan),
        "w": np.arange(ROWS)[::-1] % 9,
    },
    index=pd.Index(np.arange(ROWS) * 2, name="ix"),
)


@pytest.fixture
def grouped(tmp_path):
    """Group the frame, or another, in partitions, as ``safeframe.groupby`` does."""

    def group(by, frame=FRAME, **arguments):
        ddf = dd.from_pandas(frame, npartitions=4, sort=False)
        by = by(ddf) if callable(by) else by
        return safeframe.groupby(ddf, by, staging=str(tmp_path), **arguments)

    return group


def of_pandas(by, frame=FRAME, **arguments):
    return frame.groupby(by(frame) if callable(by) else by, **arguments)


ALIKE = {
    "options of a function by its name": ("k", lambda g: g.v.agg("std", ddof=0)),
    "least values of a sum": ("k", lambda g: g[["v"]].agg("sum", min_count=100)),
    "options of several functions": ("k", lambda g: g.v.agg(["std", "var"], ddof=0)),
    "sum of all by a series": (lambda frame: frame.k % 3, lambda g: g.sum()),
    "running sum by a series": (lambda frame: frame.k % 3, lambda g: g.cumsum()),
    "rows by a series": (lambda frame: frame.k % 3, lambda g: g.head(2)),
    "two series of one name": (lambda frame: [frame.k % 3, frame.k % 2], lambda g: g.v.sum()),
    "a series and a column": (lambda frame: [frame.k % 3, frame.k], lambda g: g.sum()),
    "rows by the index": ("ix", lambda g: g.head(2)),
    "running sum by the index": ("ix", lambda g: g.v.cumsum()),
    "labels by the index": ("ix", lambda g: g.w.idxmin()),
    "the key": ("k", lambda g: g.k.sum()),
    "rows of a group by a series": (lambda frame: frame.k % 3, lambda g: g.get_group(2)),
    "rows of a group by the index": ("ix", lambda g: g.get_group(4)),
    "third rows": ("k", lambda g: g.nth(2)),
    "changes": ("k", lambda g: g[["w"]].pct_change()),
    "largest values": ("k", lambda g: g.v.nlargest(2)),
    "least values, all of the last": ("k", lambda g: g.w.nsmallest(1, keep="all")),
    "largest values by a series": (lambda frame: frame.k % 3, lambda g: g.v.nlargest(3)),
    "largest values by the index": ("ix", lambda g: g.v.nlargest(1, keep="last")),
    "no values": ("k", lambda g: g.v.nlargest(0)),
    "numbers of groups": ("k", lambda g: g.v.describe()),
    "kurtosis": ("k", lambda g: g.v.kurt()),
}


@pytest.mark.parametrize("case", ALIKE)
def test_as_pandas(case, grouped):
    by, call = ALIKE[case]
    if case == "kurtosis" and not hasattr(pd.api.typing.SeriesGroupBy, "kurt"):
        with pytest.raises(UnsupportedError, match=r"pandas 2.* has no kurt\(\) of groups"):
            call(grouped(by))
        return
    same(call(grouped(by)), call(of_pandas(by)))


@pytest.mark.parametrize(
    "call",
    [
        lambda g: g.w.transform("sum"),
        lambda g: g.w.cumsum(),
        lambda g: g.w.cumcount(),
        lambda g: g.w.shift(),
        lambda g: g.w.rank(),
        lambda g: g.w.ffill(),
    ],
)
@pytest.mark.parametrize("strategy", ["staged", None])
def test_rows_without_a_key_stay(call, strategy, grouped):
    same(call(grouped("v", strategy=strategy, npartitions=3)), call(of_pandas("v")))


@pytest.mark.parametrize("keys", ["float64", "Int64", "str"])
@pytest.mark.parametrize("nulls", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        lambda g: g.w.cumsum(),
        lambda g: g.w.transform("sum"),
        lambda g: g.w.rank(),
        lambda g: g[["w"]].shift(),
        lambda g: g[["w"]].ffill(),
    ],
)
@pytest.mark.parametrize("npartitions", [None, 3])
def test_all_partitions_have_the_promised_types(call, npartitions, keys, nulls, grouped):
    frame = FRAME.assign(k=FRAME.k.astype(keys))
    if nulls:
        frame["k"] = frame.k.mask(FRAME.w == 0)
    found, expected = call(grouped("k", frame, npartitions=npartitions)), call(of_pandas("k", frame))
    expected = expected.to_frame() if isinstance(expected, pd.Series) else expected
    for part in [found._meta, *dask.compute(*found.to_delayed())]:
        part = part.to_frame() if isinstance(part, pd.Series) else part
        assert part.dtypes.to_list() == expected.dtypes.to_list()


def test_several_keys_of_which_any_may_be_null(grouped):
    frame = FRAME.assign(s=np.where(FRAME.w % 2, "a", "b"))
    found = grouped(["k", "s"], frame).w.cumsum()
    assert {part.dtype for part in dask.compute(*found.to_delayed())} == {found.dtype}
    same(found, of_pandas(["k", "s"], frame).w.cumsum().astype(found.dtype))


@pytest.mark.parametrize(
    "keys",
    [
        FRAME.k,
        FRAME.k.where(FRAME.k > 0) / 3,
        FRAME.k.astype("Int16"),
        pd.Timestamp("2024", tz="Europe/Berlin") + pd.to_timedelta(FRAME.k, "h"),
        pd.Series(pd.to_datetime(FRAME.k, unit="D")).astype("date32[pyarrow]"),
    ],
    ids=["int", "float", "Int16", "times", "dates"],
)
def test_groups_in_order_have_known_divisions(keys, grouped):
    frame = FRAME.assign(k=keys)
    found = grouped("k", frame, sort=True).v.sum()
    expected = frame.groupby("k").v.sum()
    assert found.divisions == (expected.index[0], expected.index[-1])
    same(found.loc[expected.index[1]], expected.iloc[1:2])


def test_an_index_of_several_levels_has_no_divisions(grouped):
    assert not grouped("k", sort=True).v.quantile([0.1, 0.5]).known_divisions
    assert not grouped("k", sort=True)[["v", "w"]].corr().known_divisions


def test_keys_that_have_the_name_of_a_value_are_no_columns(grouped):
    found = grouped(lambda frame: frame.k % 3, as_index=False).sum().compute()
    expected = of_pandas(lambda frame: frame.k % 3, as_index=False).sum()
    pd.testing.assert_frame_equal(
        found.sort_values("w", ignore_index=True), expected.sort_values("w", ignore_index=True)
    )
    found = grouped("k", as_index=False)[["k", "w"]].sum().compute()
    assert list(found.columns) == ["k", "w"]
    assert sorted(found.k) == sorted(FRAME.groupby("k").k.sum())


def test_a_column_named_by_a_tuple(grouped):
    frame = pd.DataFrame({("a", "b"): [1, 2, 1], "v": [3, 4, 5]})
    same(grouped(("a", "b"), frame).v.sum(), frame.groupby([("a", "b")]).v.sum())


def test_no_column_of_the_users_is_taken_for_a_hidden_key(grouped):
    frame = FRAME.rename(columns={"w": "__key_0"})
    same(grouped(lambda f: f.k % 3, frame).sum(), of_pandas(lambda f: f.k % 3, frame).sum())


@pytest.mark.parametrize("subset", ["size", ["size", "v"]])
def test_counts_of_a_column_named_size(subset, tmp_path):
    frame = pd.DataFrame({"size": [1, 2, 1, 3] * 5, "v": [4, 5] * 10})
    ddf = dd.from_pandas(frame, npartitions=3)
    found = safeframe.value_counts(ddf, subset, npartitions=2, strategy="staged", staging=str(tmp_path))
    same(found, frame.value_counts(subset))


def test_shares_of_no_rows_are_none():
    frame = pd.DataFrame({"c": pd.Categorical(["x"], categories=["x", "y"])}).iloc[:0]
    found = safeframe.value_counts(dd.from_pandas(frame, npartitions=1), "c", normalize=True)
    same(found, frame.value_counts("c", normalize=True))


def test_partitions_by_the_argument_of_dask(tmp_path):
    ddf = dd.from_pandas(FRAME, npartitions=3)
    assert (
        safeframe.value_counts(ddf, "w", split_out=3, split_every=2, staging=str(tmp_path)).npartitions == 3
    )


def test_meta_of_pairs(grouped):
    found = grouped("k")[["v", "w"]].apply(lambda group: group.head(1), meta=[("v", "f8"), ("w", "i8")])
    assert len(found.compute()) == 5


def test_what_is_not_there_is_said(grouped):
    with pytest.raises(KeyNotFoundError, match="no column 'zz'"):
        grouped("k").agg({"zz": "sum"})
    with pytest.raises(ValidationError, match="No function is named"):
        grouped("k").agg()
    with pytest.raises(UnsupportedError, match="one column, and none is picked"):
        grouped("k").nlargest(2)
    with pytest.raises(ValidationError, match="keep='both'"):
        grouped("k").v.nlargest(2, keep="both")
    with pytest.raises(ValidationError, match=r"n=2\.5"):
        grouped("k").v.nsmallest(2.5)


LOOKED_AT = {
    "a function by name": lambda g: g.agg({"v": "median"}),
    "named functions": lambda g: g.agg(half=("v", "median"), n=("v", "nunique")),
    "a function of the user's": lambda g: g.agg({"v": ["sum", _spread]}),
    "a function that pandas has not": lambda g: g.agg({"v": "mode"}),
    "numbers alone": lambda g: g.median(numeric_only=True),
}


def _spread(values):
    return values.max() - values.min()


@pytest.mark.parametrize("what", LOOKED_AT)
def test_no_other_columns_than_those_looked_at_are_moved(what, tmp_path):
    frame = FRAME[["k", "v"]]
    wide = frame.assign(**{f"text{number}": "a long text" * 20 for number in range(5)})
    found = []
    for one in (frame, wide):
        ddf = dd.from_pandas(one, npartitions=4, sort=False)
        found.append(LOOKED_AT[what](safeframe.groupby(ddf, "k", staging=str(tmp_path))))
    narrow, others = (result.expr.plan for result in found)
    assert narrow.strategy == others.strategy == "staged"
    assert others.staging_nbytes == narrow.staging_nbytes
    pd.testing.assert_frame_equal(found[1].compute().sort_index(), found[0].compute().sort_index())


@pytest.mark.parametrize("strategy", ["tree", "staged"])
def test_groups_of_several_keys_are_written_with_all_of_them(strategy, grouped, tmp_path):
    frame = FRAME.assign(s=np.where(FRAME.w % 2, "a", "b"))
    found = grouped(["k", "s"], frame, strategy=strategy)[["v"]].sum()
    safeframe.to_parquet(found, str(tmp_path / "groups"))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "groups").sort_index(),
        frame.groupby(["k", "s"])[["v"]].sum(),
        check_index_type=False,
    )

"""safeframe's drop_duplicates, duplicated, unique and nunique give what pandas gives, however rows are partitioned."""

from __future__ import annotations

import decimal

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

ODD = {
    "zeros": lambda codes: pd.Series([(0.0, -0.0, np.nan, 1.5)[c % 4] for c in codes], dtype="float64"),
    "large": lambda codes: pd.Series([2**53 + c % 3 for c in codes], dtype="int64"),
    "uint64": lambda codes: pd.Series([2**64 - 1 - c for c in codes], dtype="uint64"),
    "Float64": lambda codes: pd.Series([pd.NA if c == 0 else c / 4 for c in codes], dtype="Float64"),
    "nulls": lambda codes: pd.Series([(None, np.nan, pd.NA, "a", "b")[c % 5] for c in codes], dtype=object),
    "objects": lambda codes: pd.Series(
        [(1, True, 1.0, "1", (1, 2), None)[c % 6] for c in codes], dtype=object
    ),
    "bytes": lambda codes: pd.Series([b"a" * (c % 3) for c in codes], dtype=object),
    "decimals": lambda codes: pd.Series([decimal.Decimal(c % 3) / 4 for c in codes], dtype=object),
    "wide decimals": lambda codes: pd.Series(
        [None if c == 0 else decimal.Decimal(c % 3) for c in codes], dtype=pd.ArrowDtype(pa.decimal128(38, 2))
    ),
    "arrow string": lambda codes: pd.Series(
        [None if c == 0 else "k" * c for c in codes], dtype=pd.ArrowDtype(pa.string())
    ),
    "arrow tz": lambda codes: pd.Series(
        pd.to_datetime([None if c == 0 else c for c in codes], unit="s").tz_localize("UTC")
    ).astype(pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))),
    "ordered category": lambda codes: pd.Series(
        pd.Categorical([3 - c % 3 for c in codes], categories=[3, 1, 2], ordered=True)
    ),
}
"""Keys whose equality is a question, from small codes."""
KINDS = {**KEY_KINDS, **ODD}
KEEP = st.sampled_from(["first", "last", False])
STRATEGIES = st.sampled_from([None, "tree", "staged"])
FEW = settings(max_examples=max(5, settings().max_examples // 4))
"""Of tests that there are of each kind of keys."""
SYNC = {"scheduler": "sync", "dataframe.convert-string": False}


@st.composite
def keyed(draw, kinds):
    """Draw a frame with a key column of each kind, its index that of the rows, and a way to cut it."""
    n_rows = draw(st.integers(0, 24))
    few = draw(st.booleans())
    codes = st.integers(0, 1 if few else 7)
    columns = {
        f"k{number}": KINDS[kind](draw(st.lists(codes, min_size=n_rows, max_size=n_rows)))
        for number, kind in enumerate(kinds)
    }
    return pd.DataFrame({**columns, "v": np.arange(n_rows, dtype="int64")})


def same(found, expected):
    """Compare rows in their order, under their index."""
    if isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected, check_index_type=False)
        return
    assert list(found.columns) == list(expected.columns)
    assert found["v"].tolist() == expected["v"].tolist()
    pd.testing.assert_frame_equal(
        found, expected, check_index_type=False, check_categorical=False, check_column_type=False
    )


def hold(frame, ddf, subset, keep, strategy, ignore_index):
    hold_rows(frame, ddf, subset, keep, strategy, ignore_index)
    with dask.config.set(SYNC):
        marks = safeframe.duplicated(ddf, subset, keep=keep, strategy=strategy)
        assert marks.npartitions == ddf.npartitions
        same(marks.compute(), frame.duplicated(subset, keep=keep))
        only = safeframe.drop_duplicates(ddf, subset, keep=keep, strategy=strategy)["v"]
        assert only.compute().tolist() == frame.drop_duplicates(subset, keep=keep)["v"].tolist()


def hold_rows(frame, ddf, subset, keep, strategy, ignore_index):
    with dask.config.set(SYNC):
        found = safeframe.drop_duplicates(
            ddf, subset, keep=keep, strategy=strategy, ignore_index=ignore_index
        )
        assert found.npartitions == ddf.npartitions
        same(found.compute(), frame.drop_duplicates(subset, keep=keep, ignore_index=ignore_index))
        plan = safeframe.explain(found)
        kept = int((~frame.duplicated(subset, keep=keep)).sum())
        assert plan.output_rows.lower <= kept <= plan.output_rows.upper


@pytest.mark.parametrize("kind", sorted(KINDS))
@FEW
@given(data=st.data(), keep=KEEP, strategy=STRATEGIES, ignore_index=st.booleans())
def test_one_key(kind, data, keep, strategy, ignore_index):
    frame = data.draw(keyed([kind]))
    ddf = data.draw(partitioned(frame, index=True))
    hold_rows(frame, ddf, data.draw(st.sampled_from(["k0", ["k0"]])), keep, strategy, ignore_index)


@given(data=st.data(), keep=KEEP, strategy=STRATEGIES, ignore_index=st.booleans())
def test_several_keys(data, keep, strategy, ignore_index):
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=3))
    frame = data.draw(keyed(kinds))
    ddf = data.draw(partitioned(frame, index=True))
    hold(frame, ddf, [f"k{number}" for number in range(len(kinds))], keep, strategy, ignore_index)


@given(data=st.data(), keep=KEEP, strategy=STRATEGIES)
def test_all_columns(data, keep, strategy):
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
    frame = data.draw(keyed(kinds)).assign(v=0)
    hold(frame, data.draw(partitioned(frame, index=True)), None, keep, strategy, ignore_index=False)


@pytest.mark.parametrize("kind", sorted(KINDS))
@FEW
@given(data=st.data(), strategy=STRATEGIES, dropna=st.booleans())
def test_values(kind, data, strategy, dropna):
    frame = data.draw(keyed([kind]))
    ddf = data.draw(partitioned(frame, index=True))
    with dask.config.set(SYNC):
        found = safeframe.unique(ddf, "k0", strategy=strategy).compute()
        expected = frame["k0"].drop_duplicates(ignore_index=True)
        same(found, expected)
        count = safeframe.nunique(ddf["k0"], dropna=dropna, strategy=strategy).compute()
        assert type(count) is int
        assert count == frame["k0"].nunique(dropna=dropna)


@given(data=st.data(), strategy=STRATEGIES, dropna=st.booleans())
def test_counts_of_a_frame(data, strategy, dropna):
    frame = data.draw(keyed(data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3))))
    ddf = data.draw(partitioned(frame, index=True))
    with dask.config.set(SYNC):
        counts = safeframe.nunique(ddf, dropna=dropna, strategy=strategy).compute()
        pd.testing.assert_series_equal(counts, frame.nunique(dropna=dropna))


@given(data=st.data(), keep=KEEP)
def test_partitions_that_other_tasks_make(data, keep):
    frame = data.draw(key_frames(["int64"], names=["k0"], extra="v"))
    ddf = data.draw(partitioned(frame, index=True))
    with dask.config.set(SYNC):
        made = ddf.repartition(npartitions=1) if ddf.npartitions > 1 else ddf
        moved = dd.concat([made, made.assign(v=made["v"] + 100)])
        whole = moved.compute()
        found = safeframe.drop_duplicates(moved, "k0", keep=keep).compute()
        same(found, whole.drop_duplicates("k0", keep=keep))

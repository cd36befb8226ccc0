"""safeframe.set_index and sort_values give the rows of pandas, in its order."""

from __future__ import annotations

import itertools

import dask
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

KINDS = sorted(KEY_KINDS)
SIZES = st.sampled_from(
    [{}, {"npartitions": 1}, {"npartitions": 3}, {"partition_size": 100}, {"partition_size": 700}]
)


def parts_of(collection):
    with dask.config.set(scheduler="sync"):
        parts = dask.compute(*collection.to_delayed())
    plan = safeframe.explain(collection)
    assert len(parts) == plan.output_partitions == collection.npartitions
    for part in parts:
        assert list(part.dtypes) == list(collection.dtypes), "every partition has the promised types"
        assert part.index.dtype == collection._meta.index.dtype
        assert len(part) * plan.row_nbytes <= plan.largest_partition_nbytes + plan.row_nbytes
    return parts


def within_divisions(parts, divisions):
    assert None not in divisions
    assert all(low <= high for low, high in itertools.pairwise(divisions))
    last = len(parts) - 1
    for number, part in enumerate(parts):
        keys = part.index.dropna()
        keys = keys.astype(object) if isinstance(keys.dtype, pd.CategoricalDtype) else keys
        if len(keys) == 0:
            continue
        assert divisions[number] <= keys.min()
        assert keys.max() <= divisions[-1] if number == last else keys.max() < divisions[number + 1]


@given(data=st.data(), kind=st.sampled_from(KINDS), size=SIZES, drop=st.booleans(), in_order=st.booleans())
def test_set_index(data, kind, size, drop, in_order, tmp_path_factory):
    frame = data.draw(key_frames([kind], names=["k"], extra="l"))
    if in_order:
        frame = frame.sort_values("k", kind="stable", ignore_index=True)
    indexed = safeframe.set_index(
        data.draw(partitioned(frame)), "k", drop=drop, staging=str(tmp_path_factory.getbasetemp()), **size
    )
    parts = parts_of(indexed)
    expected = frame.sort_values("k", kind="stable").set_index("k", drop=drop)
    pd.testing.assert_frame_equal(pd.concat(parts), expected, check_categorical=False, check_index_type=False)
    if frame["k"].notna().any():
        within_divisions(parts, indexed.divisions)
    for one, next_one in itertools.pairwise(parts):
        assert not set(one.index.dropna()) & set(next_one.index.dropna()), "a key is in one partition"


@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    size=SIZES,
    na_position=st.sampled_from(["first", "last"]),
    ignore_index=st.booleans(),
)
def test_sort_values(data, kinds, size, na_position, ignore_index, tmp_path_factory):
    names = [f"k{i}" for i in range(len(kinds))]
    frame = data.draw(key_frames(kinds, names=names, extra="l"))
    ascending = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    ordered = safeframe.sort_values(
        data.draw(partitioned(frame)),
        names,
        ascending=ascending,
        na_position=na_position,
        ignore_index=ignore_index,
        staging=str(tmp_path_factory.getbasetemp()),
        **size,
    )
    found = pd.concat(parts_of(ordered))
    # The row numbers tell rows of equal keys apart; the partitions' own indexes do not.
    expected = frame.sort_values(names, ascending=ascending, na_position=na_position, kind="stable")
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.reset_index(drop=True), check_categorical=False
    )


@given(data=st.data(), n=st.integers(1, 6))
def test_partitions_are_even_where_keys_are(data, n, tmp_path_factory):
    rows = data.draw(st.integers(n * 20, 400))
    frame = pd.DataFrame({"k": data.draw(st.permutations(range(rows)))})
    indexed = safeframe.set_index(
        data.draw(partitioned(frame)), "k", npartitions=n, staging=str(tmp_path_factory.getbasetemp())
    )
    sizes = [len(part) for part in parts_of(indexed)]
    assert len(sizes) == n
    assert max(sizes) <= rows / n + 1

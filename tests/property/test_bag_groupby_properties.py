"""Groups of bags against a dict, made item by item."""

from __future__ import annotations

import math
from itertools import pairwise

import dask
import dask.bag as db
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.facts.bag import BagLimit

KEYS = {
    "ints": st.integers(-3, 3),
    "large ints": st.integers(-(2**80), 2**80),
    "floats": st.sampled_from([0.0, -0.0, 1.5, math.inf, math.nan, 2.0]),
    "strings": st.sampled_from(["", "a", "é", "🎈", "b" * 40]),
    "bytes": st.sampled_from([b"", b"a", b"\0"]),
    "tuples": st.tuples(st.integers(0, 1), st.sampled_from(["x", None, math.nan])),
    "equal in Python": st.sampled_from([1, 1.0, True, 0, False, 0.0, 2, "1", b"1"]),
    "none": st.none(),
    "anything": st.one_of(
        st.none(), st.integers(0, 2), st.text(max_size=1), st.binary(max_size=1), st.booleans(), st.floats()
    ),
}
ITEMS = {
    "ints": st.integers(-1000, 1000),
    "texts": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "floats": st.floats(allow_nan=False),
    "dicts": st.dictionaries(st.text(max_size=1), st.integers(), max_size=2),
    "mixed": st.one_of(st.integers(), st.none(), st.text(max_size=3), st.booleans()),
}


@st.composite
def bags(draw):
    """Draw pairs of a key and an item, cut into partitions, empty ones among them."""
    pair = st.tuples(KEYS[draw(st.sampled_from(sorted(KEYS)))], ITEMS[draw(st.sampled_from(sorted(ITEMS)))])
    pairs = draw(st.lists(pair, max_size=30))
    cuts = sorted(draw(st.lists(st.integers(0, len(pairs)), max_size=4)))
    return [pairs[low:high] for low, high in pairwise([0, *cuts, len(pairs)])]


def settled(key):
    if isinstance(key, tuple):
        return ("tuple", *map(settled, key))
    return "not a number" if isinstance(key, float) and math.isnan(key) else (key,)


def grouped(partitions):
    groups: dict[object, list[object]] = {}
    for pair in (pair for part in partitions for pair in part):
        groups.setdefault(settled(pair[0]), []).append(pair)
    return groups


def bag_of(partitions):
    return db.from_delayed([dask.delayed(part, pure=False, traverse=False) for part in partitions])


def first(pair):
    return pair[0]


@given(bags(), st.one_of(st.none(), st.integers(1, 5)), st.booleans())
def test_groups_are_those_of_a_dict(partitions, npartitions, lazy):
    bag = bag_of(partitions)
    if lazy:
        bag = bag.map(lambda pair: pair)  # whose partitions are iterators
    with dask.config.set(scheduler="sync"):
        result = safeframe.bag_groupby(bag, first, npartitions=npartitions)
        assert result.npartitions == (npartitions or 1)
        found = result.compute()
    expected = grouped(partitions)
    assert len(found) == len(expected), "each key once"
    for key, items in found:
        assert repr(items) == repr(expected[settled(key)]), "all its items, in their order"
        assert repr(key) == repr(items[0][0]), "the first of equal keys"


@given(bags(), st.integers(1, 4))
def test_cut_groups_are_whole_when_put_together(partitions, npartitions):
    with dask.config.set(scheduler="sync"), pytest.MonkeyPatch.context() as patch:
        real = BagLimit
        # A limit that some groups exceed, partitions as many as they may need.
        patch.setattr(
            "safeframe.planning.bag.BagLimit",
            lambda **given: real(**given | {"nbytes": 1000, "partitions": 40}),
        )
        patch.setattr("safeframe.options.BAG_GROUP_NBYTES", 1)
        result = safeframe.bag_groupby(
            bag_of(partitions), first, npartitions=npartitions, split_large_groups=True
        )
        parts = dask.compute(*(part for part in safeframe_partitions(result, 40)))
    expected = grouped(partitions)
    found: dict[object, list[object]] = {}
    for key, items in (pair for part in parts for pair in part):
        assert items
        found.setdefault(settled(key), []).extend(items)
    assert found.keys() == expected.keys()
    for key, items in found.items():
        assert sorted(map(repr, items)) == sorted(map(repr, expected[key]))


def safeframe_partitions(result, n):
    """Return all partitions of a result that has more of them than it says."""
    return db.Bag(result.dask, result.name, n).to_delayed()


@given(bags())
def test_key_is_called_once_for_each_item(partitions):
    seen = []

    def key(pair):
        seen.append(id(pair))
        return pair[0]

    with dask.config.set(scheduler="sync"):
        result = safeframe.bag_groupby(bag_of(partitions), key)
        assert not seen, "sizes are learnt without keys"
        result.compute()
    assert len(seen) == sum(map(len, partitions))

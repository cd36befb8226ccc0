"""What is pickled of a frame that is sorted: not the keys that were sampled for its plan."""

from __future__ import annotations

import gc
import pickle

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.prepare.sort import order

ROWS = 20_000
FRAME = pd.DataFrame(
    {
        "k": np.random.default_rng(0).permutation(ROWS),
        "s": [f"s{i % 7_000:05}" for i in range(ROWS)],
        "v": np.arange(ROWS),
    }
)


def frame():
    return dd.from_map(part, range(5), meta=FRAME.iloc[:0])


def part(number):
    return FRAME.iloc[number * ROWS // 5 : (number + 1) * ROWS // 5]


SORTED = {
    "set_index": lambda: safeframe.set_index(frame(), "k", npartitions=7),
    "divisions": lambda: safeframe.set_index(frame(), "k", divisions=[0, ROWS // 2, ROWS]),
    "sort_values": lambda: safeframe.sort_values(frame(), ["s", "k"], npartitions=7),
    "lag": lambda: safeframe.groupby_lag_transform(frame(), "s", "v", 1, order_by="k", npartitions=7),
}


def elsewhere(collection):
    """Return a collection as another process has it, and its name here."""
    pickled, name = pickle.dumps(collection), collection._name
    del collection
    gc.collect()  # an expression that is still there is taken instead of the pickled one
    return pickle.loads(pickled), name, len(pickled)


@pytest.mark.parametrize("name", SORTED)
def test_the_sample_is_not_pickled(name):
    expected = SORTED[name]().compute()
    found, token, nbytes = elsewhere(SORTED[name]())
    assert nbytes < 40_000  # one array of the sample alone is 160,000 bytes
    assert found._name == token
    pd.testing.assert_frame_equal(found.compute(), expected)


def test_a_pickled_sort_gets_other_sizes_and_moves_once():
    here = safeframe.rebalance_partitions(SORTED["set_index"](), npartitions=3)
    found, _, _ = elsewhere(SORTED["set_index"]())
    there = safeframe.rebalance_partitions(found, npartitions=3)
    assert there.divisions == here.divisions
    assert type(there.expr) is type(here.expr)
    pd.testing.assert_frame_equal(there.compute(), here.compute())


def test_keys_of_a_sort_with_other_sizes_are_not_read_again(monkeypatch):
    made = SORTED["set_index"]()
    monkeypatch.setattr(order, "gather_quantiles", lambda *_: pytest.fail("keys were read again"))
    assert safeframe.rebalance_partitions(made, npartitions=3).npartitions == 3

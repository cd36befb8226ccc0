"""Shards by the hash of a key."""

from __future__ import annotations

import numpy as np
import pandas as pd

from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.mixing import below_fraction
from safeframe.kernels.keys.nulls import NULL_SHARD
from safeframe.kernels.routing.hashes import HashRouter
from safeframe.kernels.routing.shards import hash_shards


def test_keys_spread_evenly_and_so_do_those_of_a_sample():
    codes = np.arange(200_000, dtype=np.uint64)
    for chosen in (codes, codes[below_fraction(codes, 0.1)]):
        rows = np.bincount(hash_shards(chosen, 37), minlength=37)
        assert rows.min() > 0.8 * len(chosen) / 37
        assert rows.max() < 1.2 * len(chosen) / 37


def test_equal_keys_share_a_shard_and_nulls_have_theirs():
    frame = pd.DataFrame({"k": [1.0, 2.0, None, 1.0, None]})
    router = HashRouter(("k",), KeySchema(columns=(KeyColumn(kind="float"),)), 1000)
    shards = router.shards(frame, 0)
    assert shards[0] == shards[3] != shards[1]
    assert shards[2] == shards[4] == NULL_SHARD


def test_null_in_one_of_two_columns_is_a_value():
    frame = pd.DataFrame({"a": [1, 1, 1], "b": ["x", None, None]})
    router = HashRouter(
        ("a", "b"), KeySchema(columns=(KeyColumn(kind="int"), KeyColumn(kind="string"))), 1000
    )
    shards = router.shards(frame, 0)
    assert shards[1] == shards[2] != shards[0]

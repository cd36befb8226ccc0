"""Whether a side's keys make a table."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.facts.merge import KeyTable
from safeframe.sizing.keys.table import count_unmatched, look_at_keys

INT = KeySchema(columns=(KeyColumn(kind="int"),))
ZERO = 2**63


def look(keys, npartitions=3, dtype="int64"):
    frame = dd.from_pandas(pd.DataFrame({"k": pd.array(keys, dtype)}), npartitions=npartitions, sort=False)
    with dask.config.set(scheduler="sync"):
        found = look_at_keys(frame, ("k",), INT, rows=len(keys), build_side="right")
    return found if isinstance(found, str) else found[0]


def unmatched(build, probe, dtype="int64", npartitions=3):
    """Count the rows of one side that the other has no key for."""
    frames = [
        dd.from_pandas(pd.DataFrame({"k": pd.array(keys, dtype)}), npartitions=npartitions, sort=False)
        for keys in (build, probe)
    ]
    with dask.config.set(scheduler="sync"):
        _, presence = look_at_keys(frames[0], ("k",), INT, rows=len(build), build_side="right")
        return count_unmatched(frames[1], ("k",), INT, presence)


@pytest.mark.parametrize("first", [-1000, -3, 0, 5, 2**62])
def test_unique_keys_close_to_each_other(first):
    keys = first + np.random.default_rng(1).permutation(300)[:200]
    span = int(keys.max() - keys.min()) + 1
    assert look(keys) == KeyTable(base=ZERO + int(keys.min()), span=span, rows=200, build_side="right")


def test_the_ends_of_the_integers():
    keys = [2**63 - 2, 2**63 - 1, 2**63 - 3]
    assert look(keys) == KeyTable(base=2**64 - 3, span=3, rows=3, build_side="right")
    assert look([-(2**63), -(2**63) + 2]) == KeyTable(base=0, span=3, rows=2, build_side="right")


@pytest.mark.parametrize("first", [-(2**63), -1000, -3, 0, 5, 2**63 - 301])
def test_rows_without_a_key_of_the_other_side(first):
    rng = np.random.default_rng(2)
    build = first + rng.permutation(300)[:200]
    probe = np.concatenate([first + rng.integers(0, 300, 500), [-(2**63), 2**63 - 1, 0]])
    assert unmatched(build, probe) == int((~np.isin(probe, build)).sum())
    assert unmatched(build, rng.choice(build, 50)) == 0
    assert unmatched([1, 2, 3], [1, None, 2, 7], "Int64") == 2


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([1, 2, 3, 2], "3 keys in 4 rows"),
        ([1, 2, None, 3], "1 rows without a key, of 4"),
        ([1, 2, 10**6, 10**6 + 1], "4 keys are spread over more than 16 numbers"),
        ([-(2**63), 2**63 - 1], "2 keys are spread over more than 8 numbers"),
        ([], "0 rows without a key, of 0"),
    ],
)
def test_keys_that_make_none(keys, why):
    assert why in look(keys, dtype="Int64")


def test_parts_that_lie_far_from_each_other_are_not_joined(monkeypatch):
    monkeypatch.setattr(options, "TABLE_NEAR_NBYTES", 0)
    assert "spread over" in look([1, 2, 3, 10**9, 10**9 + 1, 10**9 + 2], npartitions=2)

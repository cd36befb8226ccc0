"""A threshold that is foreseen from a few partitions never cuts into the sample of all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.summary import combine, sample_size, summarise
from safeframe.kernels.keys.threshold import foreseen_fraction, smallest_of

INT = KeySchema(columns=(KeyColumn(kind="int"),))


def summary(keys, capacity, fraction=1.0):
    return summarise([pd.Series(keys, dtype="int64")], INT, capacity, fraction=fraction)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hashes", [2**10, 2**14])
def test_partitions_that_fit_the_capacity_foresee_that_all_do_not(monkeypatch, seed, hashes):
    monkeypatch.setattr(options, "THRESHOLD_HASHES", hashes)
    rng = np.random.default_rng(seed)
    capacity = 2**14
    parts = [rng.integers(0, 40_000, 15_000) for _ in range(8)]
    first = [summary(part, capacity) for part in parts[:4]]
    assert all(one.exact for one in first)
    told = [smallest_of(one) for one in first]
    assert sum(one.hashes.nbytes for one in told) <= 4 * 8 * hashes
    fraction = foreseen_fraction(told)
    whole = combine([summary(part, capacity) for part in parts])
    assert whole.fraction <= fraction < 2 * sample_size(capacity) / 33_000
    lean = combine([*first, *(summary(part, capacity, fraction) for part in parts[4:])])
    assert lean.fraction == whole.fraction
    np.testing.assert_array_equal(lean.codes, whole.codes)
    np.testing.assert_array_equal(lean.counts, whole.counts)
    np.testing.assert_array_equal(lean.partitions.checksums, whole.partitions.checksums)


def test_keys_that_may_all_fit_are_all_kept():
    capacity = 2**14
    told = [smallest_of(summary(np.arange(16_000), capacity)) for _ in range(4)]
    assert foreseen_fraction(told) == 1.0
    assert foreseen_fraction([]) == 1.0
    assert foreseen_fraction([smallest_of(summary([], capacity))]) == 1.0


def test_a_threshold_that_is_known_stands():
    part = summary(np.arange(100_000), 2**10)
    assert not part.exact
    empty = summary([], 2**10)
    for told in ([part], [part, empty], [empty, part]):
        assert foreseen_fraction([smallest_of(one) for one in told]) == part.fraction

"""Sizes of many partitions, in few numbers that are true of them."""

from __future__ import annotations

import numpy as np

from safeframe.facts.spread import Spread


def test_few_partitions_are_kept_one_by_one() -> None:
    spread = Spread.of("left", np.array([31.5, 7.0, 13.0]))
    assert spread == Spread(name="left", partitions=3, nbytes=(7, 13, 31))
    assert (spread.smallest_nbytes, spread.median_nbytes, spread.largest_nbytes) == (7, 13, 31)


def test_many_are_thinned_with_their_ends_and_middle() -> None:
    sizes = np.random.default_rng(0).permutation(100_001)
    spread = Spread.of("left", sizes)
    assert spread.partitions == 100_001
    assert len(spread.nbytes) == 33
    assert (spread.smallest_nbytes, spread.median_nbytes, spread.largest_nbytes) == (0, 50_000, 100_000)
    assert list(spread.nbytes) == sorted(spread.nbytes)


def test_sizes_that_several_have_are_as_if_they_were_listed() -> None:
    sizes, times = np.array([17, 3, 11, 5]), np.array([20, 0, 41, 7])
    assert Spread.of("result", sizes, times) == Spread.of("result", np.repeat(sizes, times))
    # Far more than can be listed.
    assert Spread.of("result", sizes, times * 10**12).partitions == 68 * 10**12


def test_no_partitions() -> None:
    for spread in (Spread.of("left", np.empty(0)), Spread.of("left", np.array([3]), np.array([0]))):
        assert spread == Spread(name="left", partitions=0, nbytes=())
        assert spread.largest_nbytes == spread.smallest_nbytes == spread.median_nbytes == 0


def test_where_some_were_measured_it_is_said_of_how_many() -> None:
    spread = Spread.of("bag", np.array([3, 5, 2]), partitions=20)
    assert (spread.partitions, spread.measured, spread.nbytes) == (20, 3, (2, 3, 5))
    assert str(spread).startswith("bag: 20 partitions, 3 of them measured, of 2 B to 5 B")
    assert Spread.of("bag", np.array([3, 5, 2]), partitions=3).measured is None

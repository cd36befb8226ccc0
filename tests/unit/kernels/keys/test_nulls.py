"""What follows from the rule of null keys for arrays of codes and shards."""

from __future__ import annotations

import numpy as np
import pytest

from safeframe.kernels.keys.nulls import (
    as_value,
    count_nulls,
    if_any,
    planned_number,
    positions_nulls_last,
    send_nulls,
    without_nulls,
)

NULL = np.array([False, True, False, True])


def test_where_no_key_is_null_nothing_is_left_out_counted_or_sent() -> None:
    codes = np.arange(4, dtype=np.uint64)
    assert if_any(NULL & False) is None
    assert if_any(NULL) is NULL
    assert without_nulls(codes, None) is codes
    assert as_value(codes, None) is codes
    assert (count_nulls(None), count_nulls(NULL)) == (0, 2)
    send_nulls(codes, None, 9)
    assert codes.tolist() == [0, 1, 2, 3]


def test_null_keys_are_left_out_and_sent_to_a_shard_of_their_own() -> None:
    shards = np.arange(4)
    assert without_nulls(shards, NULL).tolist() == [0, 2]
    send_nulls(shards, NULL, 9)
    assert shards.tolist() == [0, 9, 2, 9]


def test_a_null_of_several_columns_is_a_value_that_equals_itself() -> None:
    hashes = as_value(np.arange(4, dtype=np.uint64), NULL)
    assert hashes[1] == hashes[3]
    assert len(set(hashes.tolist())) == 3


@pytest.mark.parametrize(
    ("null", "positions"),
    [
        (NULL, [0, 2, 1, 3]),
        ([False, False, True], None),
        ([True, True], None),
        ([True, False], [1, 0]),
    ],
)
def test_positions_keep_the_order_of_rows(null: list[bool], positions: list[int] | None) -> None:
    found = positions_nulls_last(np.array(null))
    assert (None if found is None else found.tolist()) == positions


def test_nulls_first_are_the_planned_last() -> None:
    assert [planned_number(number, 4, 1) for number in range(4)] == [3, 0, 1, 2]
    assert [planned_number(number, 3, 0) for number in range(3)] == [0, 1, 2]

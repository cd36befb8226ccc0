"""Sides that are not in the order, or not of the rows, that a merge in key order was planned with."""

from __future__ import annotations

import pickle
import uuid
from dataclasses import replace
from itertools import count

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.prepare.merge import facts as merge_facts

pytestmark = pytest.mark.usefixtures("_in_this_process")

META = pd.DataFrame({"k": pd.Series(dtype="int64"), "v": pd.Series(dtype="int64")})


def frame_of(*parts):
    """A frame of one partition for each list of keys."""
    pieces = [pd.DataFrame({"k": pd.Series(keys, dtype="int64"), "v": range(len(keys))}) for keys in parts]
    return dd.from_map(lambda i: pieces[i], range(len(pieces)), meta=META)


def changing(*parts, then):
    """A frame whose partitions are others once they have been read: ``then`` by partition number."""
    reads = [count() for _ in parts]

    def make(number: int) -> pd.DataFrame:
        first = next(reads[number]) == 0
        keys = parts[number] if first else then.get(number, parts[number])
        return pd.DataFrame({"k": pd.Series(keys, dtype="int64"), "v": range(len(keys))})

    # Of a name of its own: dask would give the frame of an earlier test, read already, for one made like it.
    return dd.from_map(make, range(len(parts)), meta=META, label=f"changing-{uuid.uuid4().hex}")


RIGHT = ([1, 2, 3], [3, 4, 9])


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        ("left", (frame_of([1, 2], [5, 9], [8, 11]), frame_of(*RIGHT))),
        ("right", (frame_of(*RIGHT), frame_of([1, 2], [5, 9], [8, 11]))),
        ("left", (frame_of([1, 2], [5, 9], [], [8, 11]), frame_of([9], [1]))),
    ],
)
def test_a_side_that_is_not_in_order_is_named_with_both_ranges(side, sides):
    after = 2 if sides[0].npartitions < 4 else 3
    with pytest.raises(safeframe.ValidationError) as info:
        safeframe.sorted_merge(*sides, on="k")
    message = str(info.value)
    assert f"The {side} side is not in the order of 'k' after partition 1" in message
    assert f"from 5 to 9, and the following partition {after} from 8 to 11" in message
    assert "Hint: " in message
    assert "sort=True" in message
    assert "safeframe.merge" in message
    assert info.value.figures == {"side": side, "partition": 1}
    assert str(pickle.loads(pickle.dumps(info.value))) == message
    with pytest.raises(safeframe.ValidationError, match="not in the order"):
        safeframe.plan_sorted_merge(*sides, on="k")


def test_a_side_in_falling_order_is_not_in_key_order():
    with pytest.raises(safeframe.ValidationError, match="after partition 0: it holds keys from 8 to 9"):
        safeframe.sorted_merge(frame_of([9, 8], [7, 6]), frame_of(*RIGHT), on="k")


def test_times_are_named_as_times():
    days = pd.to_datetime(["2024-01-03", "2024-01-01"])
    side = dd.from_pandas(pd.DataFrame({"t": days}), npartitions=2, sort=False)
    with pytest.raises(safeframe.ValidationError, match=r"Timestamp\('2024-01-03 00:00:00'\)"):
        safeframe.sorted_merge(side, side, on="t")


def test_strings_are_named_as_strings():
    side = dd.from_pandas(pd.DataFrame({"w": ["b", "c", "b", "x"]}), npartitions=2, sort=False)
    message = (
        "after partition 0: it holds keys from 'b' to 'c', and the following partition 1 from 'b' to 'x'"
    )
    with pytest.raises(safeframe.ValidationError, match=message):
        safeframe.sorted_merge(side, side, on="w")


@pytest.mark.parametrize("key", [["a", "b"], "mixed"])
def test_keys_that_are_not_counted_in_their_order(key):
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2], "mixed": [1, 2]})
    other = frame.astype({"mixed": float})
    sides = dd.from_pandas(frame, npartitions=2), dd.from_pandas(other, npartitions=2)
    with pytest.raises(safeframe.UnsupportedError, match=r"do not have their order(.|\n)*safeframe\.merge"):
        safeframe.sorted_merge(*sides, on=key, sort=True)


@pytest.mark.parametrize("sort", [False, True])
def test_several_key_columns_are_refused_by_name(sort):
    frame = pd.DataFrame({"day": [1, 1, 2, 3], "hour": [5, 7, 0, 2], "v": range(4)})
    side = dd.from_pandas(frame, npartitions=2, sort=False)
    with pytest.raises(safeframe.UnsupportedError) as info:
        safeframe.sorted_merge(side, side, on=["day", "hour"], sort=sort)
    assert "sorted_merge on ['day', 'hour']" in str(info.value)
    assert "Use safeframe.merge, which needs no order, and safeframe.sort_values" in str(info.value)
    with pytest.raises(safeframe.UnsupportedError, match=r"'day', 'hour'"):
        safeframe.plan_sorted_merge(side, side, on=["day", "hour"], sort=sort)


def test_what_the_refusal_of_several_key_columns_says_to_do_gives_the_rows_in_order(tmp_path):
    left = pd.DataFrame({"day": [1, 1, 2, 3], "hour": [5, 7, 0, 2], "l": range(4)})
    right = pd.DataFrame({"day": [1, 2, 2, 4], "hour": [7, 0, 0, 1], "r": range(4)})
    sides = (dd.from_pandas(side, npartitions=2, sort=False) for side in (left, right))
    keys = ["day", "hour"]
    merged = safeframe.merge(*sides, on=keys, how="outer", staging=str(tmp_path))
    found = safeframe.sort_values(merged, [*keys, "r"], staging=str(tmp_path)).compute()
    expected = left.merge(right, on=keys, how="outer").sort_values([*keys, "r"], ignore_index=True)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


@pytest.fixture
def nowhere(monkeypatch):
    """Workers that share no directory: P2P alone could move rows, and does not keep their order."""
    shared = merge_facts.staging_facts
    monkeypatch.setattr(
        merge_facts,
        "staging_facts",
        lambda given: replace(shared(given), directory=None, unavailable="the workers are on 2 hosts"),
    )


def test_without_a_shared_directory_sides_in_order_are_merged_in_place(nowhere):
    merged = safeframe.sorted_merge(frame_of(*RIGHT), frame_of([1, 2], [4, 9, 9]), on="k")
    assert safeframe.explain(merged).strategy == "sorted"
    assert merged.compute()["k"].tolist() == [1, 2, 4, 9, 9]


def test_without_a_shared_directory_a_side_that_would_have_to_move_is_refused(nowhere):
    with pytest.raises(safeframe.ValidationError) as info:
        safeframe.sorted_merge(frame_of(*RIGHT), frame_of([9, 1], [4, 2]), on="k", sort=True)
    message = str(info.value)
    assert "No strategy can run this sorted_merge." in message
    assert "sorted: the right partitions are not in key order" in message
    assert "sorted-one-side: the workers are on 2 hosts; staged: the workers are on 2 hosts" in message
    assert "Hint: Name a directory in staging= that all workers can reach" in message


def test_p2p_does_not_keep_the_order(nowhere):
    with pytest.raises(safeframe.ValidationError, match="strategy='p2p' is not a strategy of sorted_merge"):
        safeframe.sorted_merge(frame_of(*RIGHT), frame_of(*RIGHT), on="k", strategy="p2p")


def test_strings_that_are_something_else_in_one_partition():
    words = [
        pd.DataFrame({"w": pd.Series(["a"], dtype=object)}),
        pd.DataFrame({"w": pd.Series([1], dtype=object)}),
    ]
    right = dd.from_pandas(pd.DataFrame({"w": ["a", "b"]}), npartitions=1)
    with dask.config.set({"dataframe.convert-string": False}):
        left = dd.from_map(lambda i: words[i], [0, 1], meta=words[0].iloc[:0])
    with pytest.raises(safeframe.SchemaMismatchError, match="'w' has values other than strings"):
        safeframe.sorted_merge(left, right, on="w", sort=True)


def test_a_strategy_that_does_not_keep_the_order():
    with pytest.raises(
        safeframe.ValidationError, match="strategy='broadcast' is not a strategy of sorted_merge"
    ):
        safeframe.sorted_merge(frame_of(*RIGHT), frame_of(*RIGHT), on="k", strategy="broadcast")


PARTS = ([1, 2, 5], [5, 7, 8], [9, 9, 12])

CHANGES = [
    ({1: [5, 7]}, safeframe.RowConservationError, "Partition 1 of the {side} side has 2 rows, and had 3"),
    ({1: [5, 7, 8, 8]}, safeframe.RowConservationError, "has 4 rows, and had 3"),
    ({1: [5, 7, 10]}, safeframe.RowConservationError, "holds keys from 5 to 10, and held keys from 5 to 8"),
    (
        {2: [8, 9, 12]},
        safeframe.RowConservationError,
        "Partition 2 .* from 8 to 12, and held keys from 9 to 12",
    ),
    (
        {2: [9, 10, 12]},
        safeframe.RowConservationError,
        "does not hold the keys .* though they are in the same range",
    ),
    ({2: [9, 12, 12]}, safeframe.RowConservationError, "does not hold the keys"),
]


@pytest.mark.parametrize(("then", "error", "message"), CHANGES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("strategy", ["sorted", "sorted-one-side"])
def test_a_partition_that_changed_since_the_plan(then, error, message, side, strategy, tmp_path):
    other = frame_of([1, 5, 7], [8, 9, 10]) if strategy == "sorted" else frame_of([9, 1, 8], [5, 7, 10])
    source = changing(*PARTS, then=then)
    sides = (source, other) if side == "left" else (other, source)
    sort = strategy != "sorted"
    merged = safeframe.sorted_merge(*sides, on="k", how="outer", sort=sort, staging=str(tmp_path))
    assert safeframe.explain(merged).strategy == strategy
    with pytest.raises(error, match=message.format(side=side)) as info:
        merged.compute()
    assert "make the collection again" in str(info.value)
    assert not list(tmp_path.rglob("*.staged"))


def test_partitions_that_changed_places(tmp_path):
    source = changing(*PARTS, then={0: PARTS[2], 2: PARTS[0]})
    merged = safeframe.merge(source, frame_of(*RIGHT), on="k", strategy="sorted")
    with pytest.raises(
        safeframe.RowConservationError,
        match=r"Partition [02] of the left side holds keys from (9 to 12|1 to 5)",
    ):
        merged.compute()


def test_rows_that_only_changed_places_within_their_partition_are_the_same():
    source = changing(*PARTS, then={0: [5, 1, 2], 1: [8, 7, 5]})
    merged = safeframe.sorted_merge(source, frame_of([1, 5], [8]), on="k", how="left")
    assert merged.compute()["k"].tolist() == [1, 2, 5, 5, 7, 8, 9, 9, 12]


def test_nulls_that_came_in_since(tmp_path):
    pieces = iter([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    meta = pd.DataFrame({"k": pd.Series(dtype="float64")})
    source = dd.from_map(lambda _: pd.DataFrame({"k": next(pieces)}), [0], meta=meta)
    merged = safeframe.sorted_merge(
        source, dd.from_pandas(pd.DataFrame({"k": [1.0, 2.0]}), npartitions=1), on="k"
    )
    with pytest.raises(safeframe.RowConservationError, match="has 1 rows with a null key, and had 0"):
        merged.compute()


def test_a_moved_key_of_other_rows_than_planned(tmp_path):
    moved = changing([9, 5, 5, 5, 5, 5], [5, 5, 5, 1], then={1: [5, 5, 1]})
    merged = safeframe.sorted_merge(
        frame_of([1, 5, 5, 5], [5, 5, 9]),
        moved,
        on="k",
        sort=True,
        partition_size=24 * 10,
        staging=str(tmp_path),
    )
    plan = safeframe.explain(merged)
    assert plan.strategy == "sorted-one-side"
    assert plan.run.layout.single_key.any()
    with pytest.raises(safeframe.RowConservationError, match="The right side has 9 rows, and had 10"):
        merged.compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_a_partition_of_other_types_than_promised():
    pieces = [pd.DataFrame({"k": [1], "v": [1]}), pd.DataFrame({"k": [2], "v": [1.5]})]
    side = dd.from_map(lambda i: pieces[i], [0, 1], meta=META)
    merged = safeframe.sorted_merge(side, frame_of(*RIGHT), on="k")
    with pytest.raises(safeframe.SchemaMismatchError, match="'v' is float64 in one partition"):
        merged.compute()


def test_a_plan_that_does_not_fit_raises_when_it_runs():
    sides = frame_of(*RIGHT), frame_of(*PARTS)
    plan = safeframe.plan_sorted_merge(*sides, on="k", memory="1MiB", strategy="sorted")
    assert not plan.fits
    with pytest.raises(MemoryError, match="1 MiB is allowed"):
        safeframe.sorted_merge(*sides, on="k", memory="1MiB", strategy="sorted").compute()


def test_max_output_and_validate_refuse_as_they_do_for_merge():
    sides = frame_of(*RIGHT), frame_of(*PARTS)
    with pytest.raises(safeframe.OutputTooLargeError, match="max_output= allows 10 B"):
        safeframe.sorted_merge(*sides, on="k", max_output="10B")
    with pytest.raises(safeframe.ValidationError, match="a key of the left side has 2 rows"):
        safeframe.sorted_merge(*sides, on="k", validate="1:m")


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (["b", "bb", "d"], "holds keys from 'b' to 'd', and held keys from 'b' to 'c'"),
        (["b", "bb", "c"], "does not hold the keys"),
    ],
)
def test_strings_that_changed_since_the_plan(then, message):
    now = [["b", "ba", "c"], then]
    meta = dd.from_pandas(pd.DataFrame({"w": ["b"]}), npartitions=1)._meta
    source = dd.from_map(lambda i: pd.DataFrame({"w": now[i]}, dtype=meta["w"].dtype), [0], meta=meta)
    other = dd.from_pandas(pd.DataFrame({"w": ["b", "bb"]}), npartitions=1)
    merged = safeframe.sorted_merge(source, other, on="w", how="left")
    now[0] = now[1]
    with pytest.raises(safeframe.RowConservationError, match=message):
        merged.compute()

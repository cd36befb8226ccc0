"""What goes wrong while a bag is grouped: a typed error, with both numbers and a hint."""

from __future__ import annotations

import pickle

import dask.bag as db
import pytest

import safeframe
from safeframe.engine.bag import blocks as bag_blocks
from safeframe.engine.bag import tasks as bag_tasks

pytestmark = pytest.mark.usefixtures("_in_this_process")


def bag(n=60, npartitions=3):
    return db.from_sequence(range(n), npartitions=npartitions)


@pytest.mark.parametrize(
    ("key", "arguments", "message"),
    [
        ("name", {}, "key='name' is not callable"),
        (abs, {"npartitions": 0}, "npartitions=0 is not a number"),
        (abs, {"npartitions": 1.5}, r"npartitions=1\.5"),
        (abs, {"npartitions": True}, "npartitions=True"),
        (abs, {"memory": "much"}, "memory='much'"),
    ],
)
def test_bad_arguments(key, arguments, message):
    with pytest.raises(safeframe.ValidationError, match=message) as info:
        safeframe.bag_groupby(bag(), key, **arguments)
    assert "Hint: " in str(info.value)
    assert str(pickle.loads(pickle.dumps(info.value))) == str(info.value)


def test_what_is_no_bag():
    with pytest.raises(safeframe.SchemaMismatchError, match="bag is a list; a dask bag is expected"):
        safeframe.bag_groupby([1, 2], abs)


def test_keys_that_cannot_be_hashed(tmp_path):
    with pytest.raises(safeframe.SchemaMismatchError, match="cannot be hashed"):
        safeframe.bag_groupby(bag(), lambda item: [item], staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_keys_whose_hash_is_of_this_process(tmp_path):
    with pytest.raises(safeframe.UnsupportedError, match=r"builtins\.object, whose hash may differ"):
        safeframe.bag_groupby(bag(), lambda item: object(), staging=str(tmp_path)).compute()


def test_a_key_function_that_fails(tmp_path):
    def failing(item):
        return 1 / (item - 50)

    with pytest.raises(ZeroDivisionError):
        safeframe.bag_groupby(bag(), failing, staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_items_that_nothing_can_move(tmp_path):
    functions = bag().map(lambda item: lambda: item)
    with pytest.raises(safeframe.UnsupportedError, match="cannot be moved between processes"):
        safeframe.bag_groupby(functions, id, staging=str(tmp_path)).compute()


def memory_for(task_nbytes):
    """Return what a worker may use where a task may use so many bytes."""
    budget = safeframe.plan_bag_groupby(bag(), abs).budget
    return int((budget.reserved_nbytes + budget.threads_per_worker * task_nbytes) / budget.headroom_fraction)


def test_a_group_that_is_too_large():
    memory = memory_for(12 * 2**20)
    result = safeframe.bag_groupby(bag(200_000), lambda item: "all of them", memory=memory)
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"The key 'all of them' has 200,000 items, 7.63 MiB .* may have \d"
    ) as info:
        result.compute()
    assert info.value.figures["key"] == "'all of them'"
    assert info.value.figures["items"] == 200_000
    assert isinstance(info.value, MemoryError)


def test_a_bag_that_is_larger_than_its_first_partitions_say():
    def grown(numbers):
        (number,) = numbers
        return list(range(number * 10**6, number * 10**6 + (200_000 if number in (4, 5) else 10)))

    uneven = db.from_sequence(range(10), npartitions=10).map_partitions(grown)
    memory = memory_for(20 * 2**20)
    result = safeframe.bag_groupby(uneven, abs, npartitions=1, memory=memory)
    with pytest.raises(safeframe.MemoryBudgetError, match="of 1 partitions the largest would have") as info:
        result.compute()
    assert "npartitions=" in info.value.hint


def test_items_that_are_lost(tmp_path, monkeypatch):
    real = bag_blocks.unpack_values
    monkeypatch.setattr(bag_blocks, "unpack_values", lambda *given: real(*given)[:-1])
    with pytest.raises(safeframe.RowConservationError, match=r"rows went in and .* came out"):
        safeframe.bag_groupby(bag(), lambda item: 1, staging=str(tmp_path)).compute()


def test_a_block_that_is_counted_wrong(tmp_path, monkeypatch):
    real = bag_tasks.block_frame

    def losing(*arguments):
        frame, sizes = real(*arguments)
        sizes.items[0] += 1
        return frame, sizes

    monkeypatch.setattr(bag_tasks, "block_frame", losing)
    with pytest.raises(safeframe.RowConservationError, match="63 rows went in and 60 came out"):
        safeframe.bag_groupby(bag(), lambda item: 1, staging=str(tmp_path)).compute()


def test_a_full_disk(small_disk):
    words = bag(4000, 4).map(lambda item: str(item) * 2000)
    with pytest.raises(safeframe.StagingFullError, match="free"):
        safeframe.bag_groupby(words, len, staging=str(small_disk)).compute()
    assert not list(small_disk.rglob("*.staged"))

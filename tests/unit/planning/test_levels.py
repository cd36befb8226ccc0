"""How many levels an exchange has, and what there is of pieces, requests and manifest."""

from __future__ import annotations

import pytest

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.planning.levels import exchange_size
from safeframe.planning.memory import default_shard_nbytes

GIB = 2**30
MIB = 2**20


def room_of(n_workers, allowed_mib):
    return Budget(
        n_workers=n_workers,
        threads_per_worker=1,
        allowed_nbytes=allowed_mib * MIB,
        reserved_nbytes=160 * MIB,
        transport_nbytes=0,
        headroom_fraction=0.8,
        measured=True,
    ).task_nbytes


def size_of(gib, workers, allowed_mib, written_mib=150):
    room = room_of(workers, allowed_mib)
    return exchange_size(
        nbytes=gib * GIB,
        tasks=-(-gib * GIB // options.GROUP_NBYTES),
        written_nbytes=written_mib * MIB,
        n_shards=-(-gib * GIB // default_shard_nbytes(room)),
        n_processes=workers,
        task_nbytes=room,
    )


def test_a_tebibyte_on_64_workers_of_a_gibibyte_fits():
    size = size_of(1024, 64, 1024)
    assert size.coarse
    assert size.piece_nbytes >= options.LEAST_PIECE_NBYTES
    assert size.requests < 3_500_000
    assert size.manifest_nbytes < 4 * MIB
    assert size.worker_nbytes < room_of(64, 1024) / 16
    assert f"{size.coarse} coarse shards, then" in str(size)
    one_level = size.shards * 1024 * GIB / (150 * MIB)
    assert one_level > 10 * size.pieces


@pytest.mark.parametrize("gib", [1, 6, 12, 24])
@pytest.mark.parametrize(("allowed_mib", "least"), [(598, 2**17), (1024, 2**18)])
def test_up_to_24_gigabytes_pieces_are_not_small(gib, allowed_mib, least):
    size = size_of(gib, 4, allowed_mib)
    assert size.worker_nbytes < room_of(4, allowed_mib) / 16
    assert size.piece_nbytes >= least, str(size)


def test_small_exchanges_have_one_level_however_small_their_pieces_are():
    size = exchange_size(
        nbytes=1e6, tasks=100, written_nbytes=1e6, n_shards=1000, n_processes=4, task_nbytes=300 * MIB
    )
    assert (size.coarse, size.width, size.pieces) == (0, 0, 100_000)


def test_where_indexes_take_too_much_of_a_small_task_there_are_two_levels():
    few = {"nbytes": 1e9, "tasks": 100, "written_nbytes": 1e8, "n_shards": 1000, "n_processes": 4}
    assert exchange_size(**few, task_nbytes=200 * MIB).coarse == 0
    small = exchange_size(**few, task_nbytes=16 * MIB)
    assert small.coarse
    assert small.index_nbytes <= 16 * MIB / 32


@pytest.mark.parametrize("n_shards", [4, 5, 17, 1000, 20_001])
def test_every_shard_is_in_a_coarse_one(n_shards):
    size = exchange_size(
        nbytes=1e10,
        tasks=100_000,
        written_nbytes=1e8,
        n_shards=n_shards,
        n_processes=4,
        task_nbytes=300 * MIB,
    )
    assert size.coarse
    assert (size.coarse - 1) * size.width < n_shards <= size.coarse * size.width

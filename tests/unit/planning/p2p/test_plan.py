"""What P2P may hold, how many partitions it makes, and what is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from safeframe import options
from safeframe.errors import UnsupportedError
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import KeyCounting, ShuffleKeys
from safeframe.facts.p2p import P2PDisk, P2PFacts, P2PSettings
from safeframe.planning.p2p.layout import lay_out_p2p, transport_nbytes
from safeframe.planning.p2p.plan import plan_p2p_shuffle
from tests.unit.planning.budgets import budget_of

MIB = 2**20
DEFAULTS = P2PSettings(
    comm_nbytes=1024 * MIB,
    storage_nbytes=100 * MIB,
    message_nbytes=2 * MIB,
    concurrency=10,
    slice_nbytes=MIB,
)


def keys_of(rows, keys, null_rows=0):
    counts = np.full(keys, rows // keys, np.int64)
    return ShuffleKeys(
        codes=np.arange(keys, dtype=np.uint64),
        counts=counts,
        exact=True,
        rows=int(counts.sum()) + null_rows,
        null_rows=null_rows,
        heaviest_key="",
    )


def facts_of(rows=10_000_000, *, limit=598 * MIB, partitions=80, keys=10_000, threads=1, disks=None):
    disk = P2PDisk(host="h", directory="/scratch", workers=4, free_nbytes=2**40, in_memory=False)
    return P2PFacts(
        budget=budget_of(limit, reserved_nbytes=230 * MIB, threads=threads),
        live=DEFAULTS,
        disks=(disk,) if disks is None else disks,
        unavailable="",
        profile=FrameProfile(
            columns=(ColumnProfile(name="k", dtype="int64", row_nbytes=80.0, exact=True),),
            index_row_nbytes=0.0,
            partitions=partitions,
            rows=Estimate.computed(rows),
            largest_partition_rows=Estimate.computed(rows // partitions),
        ),
        partition_rows=(rows // partitions,) * partitions,
        index_row_nbytes=8.0,
        piece_header_nbytes=2000,
        keys=keys_of(rows, keys),
    )


def test_defaults_of_dask_do_not_fit_and_what_is_chosen_does():
    facts = facts_of()
    held = transport_nbytes(DEFAULTS, n_workers=4, threads=1, n_shards=80, header_nbytes=2000, even=True)
    assert held > facts.budget.allowed_nbytes
    plan = plan_p2p_shuffle(facts)
    assert plan.fits
    share = (facts.budget.usable_nbytes - facts.budget.reserved_nbytes) * options.P2P_TRANSPORT_FRACTION
    assert 0 < plan.budget.transport_nbytes <= share
    assert any("1 GiB and 100 MiB" in reason for reason in plan.reasons)
    assert plan.projected_worker_nbytes <= plan.budget.allowed_nbytes


@pytest.mark.parametrize(
    "larger",
    [
        {"comm_nbytes": 2048 * MIB},
        {"storage_nbytes": 200 * MIB},
        {"message_nbytes": 4 * MIB},
        {"concurrency": 11},
        {"slice_nbytes": 2 * MIB},
    ],
)
def test_every_setting_counts(larger):
    def held(settings):
        return transport_nbytes(settings, n_workers=4, threads=2, n_shards=80, header_nbytes=2000, even=False)

    assert held(replace(DEFAULTS, **larger)) > held(DEFAULTS)


def test_rows_that_may_all_go_to_one_worker_cost_more():
    def held(*, even):
        return transport_nbytes(DEFAULTS, n_workers=4, threads=1, n_shards=80, header_nbytes=0, even=even)

    assert held(even=False) > held(even=True)


def test_buffers_that_are_smaller_already_stay():
    facts = replace(facts_of(), live=replace(DEFAULTS, comm_nbytes=MIB, storage_nbytes=MIB))
    plan = plan_p2p_shuffle(facts)
    settings = plan.run.way.settings
    assert (settings.comm_nbytes, settings.storage_nbytes) == (MIB, MIB)
    assert not any("are set to" in reason for reason in plan.reasons)


def test_partitions_keep_to_the_target():
    plan = plan_p2p_shuffle(facts_of(), partition_nbytes=8 * MIB)
    assert plan.largest_partition_nbytes <= 8 * MIB
    assert plan.output_partitions >= 960_000_000 / (8 * MIB)
    assert plan_p2p_shuffle(facts_of(), npartitions=7).output_partitions == 7


def test_an_input_partition_that_is_too_large_does_not_fit():
    plan = plan_p2p_shuffle(facts_of(partitions=4))
    assert not plan.fits
    assert {step.kind for step in plan.over_budget} == {"send partitions"}
    with pytest.raises(MemoryError, match=r"598 MiB is allowed(.|\n)*a partition of .* × 2"):
        plan.validate()


def test_a_key_that_is_larger_than_a_worker_does_not_fit():
    facts = facts_of(partitions=400)
    assert facts.keys is not None
    counts = facts.keys.counts.copy()
    counts[7] = 5_000_000
    facts = replace(
        facts, keys=replace(facts.keys, counts=counts, rows=int(counts.sum()), heaviest_key="'hot'")
    )
    plan = plan_p2p_shuffle(facts)
    assert {step.kind for step in plan.over_budget} == {"receive partitions"}
    assert any("the key 'hot' has 5,000,000 rows" in reason for reason in plan.reasons)


def test_nulls_are_a_key():
    facts = facts_of()
    plan = plan_p2p_shuffle(replace(facts, keys=keys_of(10_000_000, 10_000, null_rows=6_000_000)))
    assert not plan.fits


def test_keys_that_were_not_all_counted_are_bounded():
    facts = facts_of()
    assert facts.keys is not None
    heavy = replace(facts.keys, codes=facts.keys.codes[:10], counts=facts.keys.counts[:10], exact=False)
    exact = plan_p2p_shuffle(facts, npartitions=80)
    bounded = plan_p2p_shuffle(replace(facts, keys=heavy), npartitions=80)
    assert bounded.largest_partition_nbytes > exact.largest_partition_nbytes


def test_several_workers_on_one_disk_share_its_room():
    def disk(host, workers, free):
        return P2PDisk(host=host, directory=f"/{host}", workers=workers, free_nbytes=free, in_memory=False)

    total = plan_p2p_shuffle(facts_of()).staging_nbytes
    half = total // 2
    assert plan_p2p_shuffle(facts_of(disks=(disk("a", 2, half + MIB), disk("b", 2, 2**40)))).fits
    plan = plan_p2p_shuffle(facts_of(disks=(disk("a", 3, half + MIB), disk("b", 1, 2**40))))
    assert not plan.fits
    assert plan.run.way.disk.host == "a"
    assert plan.staging_nbytes == pytest.approx(total * 3 / 4, rel=1e-6)


def test_a_disk_of_memory_is_memory():
    disk = P2PDisk(host="h", directory="/dev/shm/x", workers=4, free_nbytes=2**40, in_memory=True)
    plan = plan_p2p_shuffle(facts_of(disks=(disk,)))
    assert plan.budget.transport_nbytes > plan.staging_nbytes // 4
    assert not plan.fits
    assert any("/dev/shm/x is in memory" in reason for reason in plan.reasons)


def test_without_p2p_there_is_no_plan():
    facts = replace(facts_of(), unavailable="there is no distributed client", live=None, disks=())
    with pytest.raises(UnsupportedError, match=r"no distributed client(.|\n)*strategy='staged'"):
        plan_p2p_shuffle(facts)
    with pytest.raises(UnsupportedError):
        lay_out_p2p(facts, n_shards=3, largest_rows=10, even=True)


def test_facts_travel():
    facts = replace(facts_of(), keys=None)
    assert pickle.loads(pickle.dumps(facts)) == facts


def test_what_counting_keys_took_is_said_and_refuses_nothing():
    facts = facts_of()
    assert facts.keys is not None
    plan = plan_p2p_shuffle(
        replace(
            facts,
            keys=replace(
                facts.keys,
                counting=KeyCounting(tasks=7, slice_rows=10, slice_nbytes=80, summary_nbytes=2**40),
            ),
        )
    )
    assert plan.fits
    assert plan.counting is not None
    assert plan.counting.tasks == 7
    assert plan.projected_worker_nbytes > 2**40

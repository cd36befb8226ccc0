"""What the ladder of a merge takes in each situation, as text that a change of choice shows up in.

``SAFEFRAME_UPDATE_SNAPSHOTS=1 pytest tests/unit/planning/merge/test_plan_snapshots.py`` writes
the files again; the diff is then for review.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from safeframe.errors import ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import KeyColumn, KeySchema, KeyStatistics, PartitionKeys
from safeframe.facts.merge import MergeFacts, SideFacts
from safeframe.facts.p2p import P2PDisk, P2PFacts, P2PSettings
from safeframe.facts.strategies import MERGE_STRATEGIES
from safeframe.kernels.keys.mixing import below_fraction
from safeframe.planning.merge.plan import plan_merge
from safeframe.planning.merge.size import estimate_join
from tests.unit.planning.budgets import budget_of

SNAPSHOTS = Path(__file__).parent / "snapshots"
MIB = 2**20

SHARED = StagingFacts(directory="/scratch", free_nbytes=2**40, unavailable="")
BUCKET = StagingFacts(directory="s3://bucket/scratch", free_nbytes=None, unavailable="")
NOWHERE = StagingFacts(directory=None, free_nbytes=None, unavailable="the workers are on 2 hosts")


def side(
    rows, keys, *, partitions=40, width=40, order="mixed", heavy=None, nulls=0, kind="uint", fraction=1.0
):
    """Make the facts of a side with ``keys`` keys of the same rows, and of some heavy ones."""
    codes = np.arange(keys, dtype=np.uint64) * np.uint64(3)
    counts = np.full(keys, rows // keys, np.int64)
    for key, key_rows in (heavy or {}).items():
        counts[key] = key_rows
    total = int(counts.sum()) + nulls
    cuts = np.linspace(0, keys, partitions + 1).astype(int)
    lows, highs = cuts[:-1], cuts[1:] - 1
    ends = np.concatenate([[0], np.cumsum(counts)])
    part_rows = np.diff(ends[cuts]) if order == "sorted" else np.full(partitions, total // partitions)
    part_nulls = np.full(partitions, nulls // partitions)
    kept = below_fraction(codes, fraction)
    top = np.argsort(-counts, kind="stable")[:8]
    top.sort()
    return SideFacts(
        keys=KeyStatistics(
            on=("k",),
            schema=KeySchema(columns=(KeyColumn(kind=kind),)),
            rows=total,
            null_rows=nulls,
            codes=codes[kept],
            counts=counts[kept],
            exact=fraction >= 1.0,
            sample_fraction=fraction,
            heavy_codes=codes[top],
            heavy_counts=counts[top],
            heavy_error=0,
            distinct=Estimate.computed(keys),
            minimum=None,
            maximum=None,
            labels={int(code): int(code) for code in codes[top]},
            partitions=PartitionKeys(
                rows=part_rows,
                null_rows=part_nulls,
                first=codes[lows] if order == "sorted" else np.zeros(partitions, np.uint64),
                last=codes[highs] if order == "sorted" else np.full(partitions, codes[-1]),
                increasing=np.full(partitions, order == "sorted"),
                first_rows=counts[lows],
                last_rows=counts[highs],
                checksums=np.arange(partitions, dtype=np.uint64),
            ),
            capacity=keys,
        ),
        profile=FrameProfile(
            columns=(ColumnProfile(name="k", dtype="int64", row_nbytes=float(width), exact=True),),
            index_row_nbytes=0.0,
            partitions=partitions,
            rows=Estimate.computed(total),
            largest_partition_rows=Estimate.computed(int(part_rows.max())),
        ),
    )


def p2p_of(one, budget, unavailable=""):
    defaults = P2PSettings(
        comm_nbytes=1024 * MIB,
        storage_nbytes=100 * MIB,
        message_nbytes=2 * MIB,
        concurrency=10,
        slice_nbytes=MIB,
    )
    disk = P2PDisk(host="a", directory="/local", workers=4, free_nbytes=2**40, in_memory=False)
    return P2PFacts(
        budget=budget,
        live=None if unavailable else defaults,
        disks=() if unavailable else (disk,),
        unavailable=unavailable,
        profile=one.profile,
        partition_rows=tuple(one.keys.partitions.rows.tolist()),
        index_row_nbytes=8.0,
        piece_header_nbytes=1000,
    )


def facts(left, right, how="inner", *, memory=1024, no_p2p="", refused="", **given):
    budget = budget_of(memory * MIB, reserved_nbytes=230 * MIB)
    # A semi or anti join has the left side's columns alone.
    right_nbytes = 0.0 if how in ("leftsemi", "leftanti") else right.profile.row_nbytes
    estimate = estimate_join(
        left.keys, right.keys, how, row_nbytes=left.profile.row_nbytes + right_nbytes, on=left.keys.on
    )
    options = {"staging": SHARED, "partition_nbytes": None, "strategy": None, **given}
    p2p = None if refused else (p2p_of(left, budget, no_p2p), p2p_of(right, budget, no_p2p))
    return MergeFacts(
        how=how,
        left=left,
        right=right,
        estimate=estimate,
        budget=budget,
        p2p=p2p,
        p2p_refused=refused,
        **options,
    )


KEYS = 20_000
LARGE = side(100 * KEYS, KEYS, width=2000, partitions=200)
LARGE_SORTED = side(100 * KEYS, KEYS, width=2000, partitions=200, order="sorted")
UNIQUE = side(KEYS, KEYS, width=10_000)
UNIQUE_SORTED = side(KEYS, KEYS, width=10_000, order="sorted")
SMALL = side(KEYS // 10, KEYS // 10, width=100, partitions=2)
HEAVY = side(100 * KEYS, KEYS, width=2000, partitions=200, heavy={7: 20 * KEYS})
NULLS = side(100 * KEYS, KEYS, width=2000, partitions=200, nulls=10 * KEYS)
SAMPLED = side(100 * KEYS, KEYS, width=2000, partitions=200, fraction=0.1)
# A semi or anti join takes the keys of its right side alone; a cross join has one key, of all rows.
ONLY_KEYS = side(100 * KEYS, 10 * KEYS, width=100)
ONLY_KEYS_SORTED = side(100 * KEYS, 10 * KEYS, width=100, order="sorted")
ALL_LARGE = side(100 * KEYS, 1, width=2000, partitions=200)
ALL_FEW = side(4, 1, width=100, partitions=2)
ALL_SMALL = side(20, 1, width=100, partitions=2)
ALL_MIDDLING = side(2000, 1, width=10_000, partitions=4)

SITUATIONS = {
    "both sides in order": facts(LARGE_SORTED, UNIQUE_SORTED),
    "left side in order": facts(LARGE_SORTED, UNIQUE, "outer"),
    "right side in order": facts(LARGE, UNIQUE_SORTED, "outer"),
    "neither side in order": facts(LARGE, UNIQUE),
    "strings in order": facts(side(KEYS, 1000, width=10_000, order="sorted", kind="string"), UNIQUE),
    "small right, inner": facts(LARGE, SMALL),
    "small right, left": facts(LARGE, SMALL, "left"),
    "small right, right": facts(LARGE, SMALL, "right"),
    "small right, outer": facts(LARGE, SMALL, "outer"),
    "small left, inner": facts(SMALL, LARGE),
    "small left, left": facts(SMALL, LARGE, "left"),
    "small left, right": facts(SMALL, LARGE, "right"),
    "small left, outer": facts(SMALL, LARGE, "outer"),
    "small right that multiplies": facts(LARGE, side(KEYS // 10, 10, width=100, partitions=2)),
    "heavy key": facts(HEAVY, UNIQUE, "left"),
    "heavy key on both sides": facts(HEAVY, side(KEYS, KEYS, width=10_000, heavy={7: 1000}), "left"),
    "many nulls": facts(NULLS, side(KEYS, KEYS, width=10_000, nulls=40), "outer"),
    "sampled keys": facts(SAMPLED, SAMPLED, "left"),
    "object store": facts(LARGE, UNIQUE, staging=BUCKET),
    "full disk": facts(
        LARGE, UNIQUE, staging=StagingFacts(directory="/scratch", free_nbytes=MIB, unavailable="")
    ),
    "no shared directory": facts(LARGE, UNIQUE, staging=NOWHERE),
    "no shared directory, both sides in order": facts(LARGE_SORTED, UNIQUE_SORTED, staging=NOWHERE),
    "no shared directory, left side in order": facts(LARGE_SORTED, UNIQUE, "outer", staging=NOWHERE),
    "no shared directory, small right": facts(LARGE, SMALL, staging=NOWHERE),
    "no shared directory, heavy key": facts(HEAVY, UNIQUE, "left", staging=NOWHERE),
    "no shared directory, many nulls": facts(NULLS, UNIQUE, "outer", staging=NOWHERE),
    "no shared directory, sampled keys": facts(SAMPLED, SAMPLED, "left", staging=NOWHERE),
    "no shared directory, no client": facts(
        LARGE, UNIQUE, staging=NOWHERE, no_p2p="there is no distributed client"
    ),
    "no shared directory, a column that P2P cannot carry": facts(
        LARGE, UNIQUE, staging=NOWHERE, refused="Column 'z' is complex128: P2P does not carry it"
    ),
    "tiny memory": facts(LARGE, UNIQUE, memory=500),
    "no memory": facts(LARGE, UNIQUE, memory=260),
    "small partitions": facts(LARGE, UNIQUE, partition_nbytes=4 * MIB),
    **{
        f"{name}, {situation}": facts(*sides, how, **given)
        for name, how in (("semi", "leftsemi"), ("anti", "leftanti"))
        for situation, sides, given in (
            ("both sides in order", (LARGE_SORTED, ONLY_KEYS_SORTED), {}),
            ("small right", (LARGE, SMALL), {}),
            ("small left", (SMALL, ONLY_KEYS), {}),
            ("left side in order", (LARGE_SORTED, ONLY_KEYS), {}),
            ("right side in order", (LARGE, ONLY_KEYS_SORTED), {}),
            ("neither side in order", (LARGE, ONLY_KEYS), {}),
            ("heavy key", (HEAVY, ONLY_KEYS), {}),
            ("no shared directory", (LARGE, ONLY_KEYS), {"staging": NOWHERE}),
            ("no shared directory, heavy key", (HEAVY, ONLY_KEYS), {"staging": NOWHERE}),
        )
    },
    "cross, small right": facts(ALL_LARGE, ALL_FEW, "cross"),
    "cross, small left": facts(ALL_FEW, ALL_LARGE, "cross"),
    "cross, small right that multiplies": facts(ALL_LARGE, ALL_SMALL, "cross"),
    "cross, two large sides": facts(ALL_MIDDLING, ALL_LARGE, "cross"),
    "cross, no shared directory": facts(ALL_MIDDLING, ALL_LARGE, "cross", staging=NOWHERE),
    "cross, no shared directory, small right": facts(ALL_LARGE, ALL_FEW, "cross", staging=NOWHERE),
    **{
        f"cross, forced {name}": facts(ALL_MIDDLING, ALL_LARGE, "cross", strategy=name)
        for name in MERGE_STRATEGIES
    },
    **{f"forced {name}": facts(LARGE_SORTED, SMALL, "left", strategy=name) for name in MERGE_STRATEGIES},
    **{f"forced {name}, outer": facts(LARGE, UNIQUE, "outer", strategy=name) for name in MERGE_STRATEGIES},
    "forced sorted, both sides in order": facts(LARGE_SORTED, UNIQUE_SORTED, "outer", strategy="sorted"),
    "forced staged, no shared directory": facts(LARGE, UNIQUE, staging=NOWHERE, strategy="staged"),
    "forced p2p, no client": facts(LARGE, UNIQUE, strategy="p2p", no_p2p="there is no distributed client"),
    "forced p2p, heavy key": facts(HEAVY, UNIQUE, "left", strategy="p2p"),
    "forced magic": facts(LARGE, UNIQUE, strategy="magic"),
}


def choice_of(given: MergeFacts) -> str:
    """Print what is chosen and why, and why each other strategy is not; no figure that only says how much."""
    try:
        plan = plan_merge(given)
    except ValidationError as error:
        return f"ValidationError: {error}\n"
    lines = [f"{plan.strategy}: {'FITS' if plan.fits else 'DOES NOT FIT'}"]
    lines += [f"  because {reason}" for reason in plan.reasons]
    lines += [f"  advice: {plan.advice}"] if plan.advice else []
    lines += [f"  step: {step.kind}" for step in plan.steps]
    lines += [f"not {other.strategy}: {other.reason}" for other in plan.rejected]
    return "\n".join(lines) + "\n"


def file_of(name: str) -> Path:
    return SNAPSHOTS / f"{name.replace(', ', '-').replace(' ', '_')}.txt"


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_choice_is_that_of_the_snapshot(name):
    found = choice_of(SITUATIONS[name])
    file = file_of(name)
    if os.environ.get("SAFEFRAME_UPDATE_SNAPSHOTS") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_every_snapshot_is_of_a_situation():
    assert {file.name for file in SNAPSHOTS.iterdir()} == {file_of(name).name for name in SITUATIONS}


def test_every_strategy_is_taken_somewhere_of_itself():
    files = [file_of(name) for name, given in SITUATIONS.items() if given.strategy is None]
    taken = {file.read_text(encoding="utf-8").partition(":")[0] for file in files}
    assert taken >= set(MERGE_STRATEGIES)

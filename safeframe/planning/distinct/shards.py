"""Shards that keys are staged in, and the numbers of rows that come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from safeframe import options
from safeframe.facts.distinct import DistinctFacts
from safeframe.facts.exchange import ExchangeSize
from safeframe.facts.keys import ShuffleKeys
from safeframe.facts.layout import StageTasks
from safeframe.planning.exchange import slice_nbytes_of, stage_tasks
from safeframe.planning.memory import default_shard_nbytes
from safeframe.planning.sort.hash_shards import largest_shard_rows, shards_for

_NUMBER_NBYTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """Shards of keys."""

    n_shards: int
    row_nbytes: float
    """Bytes of a row as it is staged: its key and its number."""
    reduced: bool
    """Whether stage tasks leave out keys that they have met."""
    staged_rows: int
    """Rows that are staged, at most."""
    largest_rows: int
    """Rows of the largest shard."""
    group: StageTasks
    names_kept: bool
    """Whether the rows that stay are named, rather than those that go."""
    answer_nbytes: int
    """Bytes of the numbers that come back, at most."""
    answers: ExchangeSize | None
    """Files and pieces of these; None where none come back."""
    at_once: int
    """Shards of one task."""
    held_nbytes: int
    """Bytes of numbers that wait to be written."""


def shard_plan(facts: DistinctFacts) -> ShardPlan:
    """Choose the shards."""
    numbers = 0 if facts.wanted == "count" else _NUMBER_NBYTES
    width = facts.key_row_nbytes + numbers
    task_nbytes = max(facts.budget.task_nbytes, 0)
    threads = facts.budget.n_workers * facts.budget.threads_per_worker
    target = max(1, int(default_shard_nbytes(task_nbytes) / max(width, 1.0)))
    keys = facts.keys
    heaviest = max(int(keys.counts.max(initial=0)), keys.null_rows)
    few = facts.distinct.upper <= options.DISTINCT_REDUCED_FRACTION * facts.rows
    reduced = facts.wanted == "count" or few or heaviest > target
    if reduced:
        keys = _reduced(facts, keys, width)
    n = max(threads, shards_for(keys, target))
    group = stage_tasks(facts.partition_rows, width, facts.budget, facts.source, n)
    kept, gone = facts.kept.upper, facts.rows - facts.kept.lower
    names_kept = reduced or kept <= gone
    found = 0 if facts.wanted == "count" else min(kept if names_kept else gone, facts.rows)
    at_once = max(1, n // (options.GROUP_ROUNDS * threads))
    tasks = math.ceil(n / at_once)
    held = slice_nbytes_of(task_nbytes)
    answers = None
    if found:
        answers = _answers(tasks, len(facts.partition_rows), _NUMBER_NBYTES * found, facts.budget.n_workers)
    return ShardPlan(
        n_shards=n,
        row_nbytes=width,
        reduced=reduced,
        staged_rows=keys.rows,
        largest_rows=min(largest_shard_rows(keys, n), max(keys.rows, 1)),
        group=group,
        names_kept=names_kept,
        answer_nbytes=_NUMBER_NBYTES * found,
        answers=answers,
        at_once=at_once,
        held_nbytes=held,
    )


def _answers(files: int, partitions: int, nbytes: int, n_processes: int) -> ExchangeSize:
    """Return what the numbers of rows take that come back: one level of a few files, whose shards are partitions."""
    pieces = files * partitions
    return ExchangeSize(
        files=files,
        shards=partitions,
        coarse=0,
        pieces=pieces,
        piece_nbytes=nbytes // max(pieces, 1),
        requests=pieces + files * (n_processes + 1),
        manifest_nbytes=options.MANIFEST_FILE_NBYTES * files + options.MANIFEST_SHARD_NBYTES * partitions,
        index_nbytes=min(options.INDEX_ENTRY_NBYTES * pieces, options.INDEX_CACHE_NBYTES),
    )


def _reduced(facts: DistinctFacts, keys: ShuffleKeys, width: float) -> ShuffleKeys:
    """Return the rows per key that are left of all slices, each of which has one of a key, or two."""
    slice_rows = slice_nbytes_of(max(facts.budget.task_nbytes, 0)) / max(width, 1.0)
    slices = int(np.ceil(facts.partition_rows / max(slice_rows, 1.0)).sum())
    # Row groups and pages may end slices earlier.
    most = (
        (2 if facts.keep is False else 1) * options.DISTINCT_SLICES * max(slices, len(facts.partition_rows))
    )
    counts = np.minimum(keys.counts, most)
    nulls = min(keys.null_rows, most)
    gone = int(keys.counts.sum() - counts.sum()) + keys.null_rows - nulls
    return replace(keys, counts=counts, null_rows=nulls, rows=keys.rows - gone)

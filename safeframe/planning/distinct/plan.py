"""Chooses how rows whose key was met before are found.

1. ``known``: their number is asked for, and was counted when the plan was made.
2. ``whole``: all rows of a key are in one partition; each is looked at alone.
3. ``tree``: there are few keys, and all of them in one task.
4. ``staged``: keys pass through files, into shards by their hash; numbers of rows come back.

The payload never moves: partitions are filtered where they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from safeframe import options
from safeframe.facts.distinct import (
    DistinctFacts,
    DistinctRun,
    DistinctWay,
    Keep,
    KeyTree,
    KnownKeys,
    StagedKeys,
    WholeKeys,
)
from safeframe.facts.estimate import Estimate, format_rows
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan, Step
from safeframe.facts.spread import Spread
from safeframe.planning.counting import counting_step
from safeframe.planning.distinct.output import (
    input_row_nbytes,
    largest_rows,
    output_slices,
    output_step,
    written_step,
)
from safeframe.planning.distinct.shards import shard_plan
from safeframe.planning.exchange import (
    again_steps,
    slice_nbytes_of,
    stage_step,
    staged_nbytes,
    with_manifests,
)
from safeframe.planning.ladder import Rung, climb, task_fits
from safeframe.planning.memory import default_partition_nbytes
from safeframe.units import format_count, format_nbytes

_KINDS_OF_NULLS = 8
"""None, NaN, NA, NaT and those of numpy and decimals: more than a column of Python objects has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """What a strategy would do."""

    way: DistinctWay
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    staging_nbytes: int = 0

    @property
    def peak_nbytes(self) -> int:
        return max((step.task_peak_nbytes for step in self.steps), default=0)


def plan_distinct(facts: DistinctFacts) -> Plan:
    """Choose the strategy and say what it costs; a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    known: dict[str, Rung[_Offer]] = {}
    if facts.wanted == "count":
        known["known"] = lambda: facts.uncounted or _known(facts)
    chosen = climb(
        {
            **known,
            "whole": lambda: facts.apart or _whole(facts),
            "tree": lambda: _tree(facts),
            "staged": lambda: _staged(facts),
        },
        recipe=facts.recipe,
        requested=facts.strategy,
        unfit=lambda offer: task_fits(offer.peak_nbytes, facts.budget),
        needs=lambda offer: offer.peak_nbytes,
    )
    offer = chosen.offer
    staged = isinstance(offer.way, StagedKeys)
    row_nbytes = facts.output_width.bounding
    made = facts.profile.rows if facts.wanted == "marks" else facts.kept
    # All that stay may be of one partition, and no more.
    rows = min(largest_rows(facts), made.upper) if made.exact else largest_rows(facts)
    largest = math.ceil(rows * row_nbytes)
    return Plan(
        recipe=facts.recipe,
        strategy=chosen.strategy,
        reasons=(*offer.reasons, f"distinct keys: {format_rows(facts.distinct)}", *_stay(facts)),
        rejected=chosen.rejected,
        steps=offer.steps,
        counting=counting_step([facts.keys.counting]),
        budget=facts.budget,
        output_rows=made,
        output_nbytes=facts.output_width.of_all(made),
        output_width=facts.output_width,
        output_partitions=len(facts.partition_rows),
        partition_nbytes=max(largest, 1),
        largest_partition_nbytes=largest,
        row_nbytes=row_nbytes,
        staging_nbytes=offer.staging_nbytes,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        run=DistinctRun(way=offer.way, distinct=facts.distinct, rows=facts.rows, slices=output_slices(facts)),
        partitions_before=(
            Spread.of(
                "frame", facts.partition_rows * (facts.profile.width + facts.profile.index_width).bounding
            ),
        ),
        advice=_advice(facts, offer),
    )


def _advice(facts: DistinctFacts, offer: _Offer) -> str:
    if facts.waits and not isinstance(offer.way, WholeKeys):
        return "Write the frame with safeframe.to_parquet first: partitions that are read do not wait."
    if output_slices(facts) is not None:
        return (
            "safeframe.to_parquet writes the rows that stay slice by slice; safeframe.rebalance_partitions makes smaller "
            "partitions first."
        )
    return ""


def _stay(facts: DistinctFacts) -> tuple[str, ...]:
    if facts.wanted == "count":
        return ()
    return ("partitions stay where they are, and are filtered by the numbers of their rows",)


def _known(facts: DistinctFacts) -> _Offer:
    how = "all values were counted when the plan was made"
    return _Offer(way=KnownKeys(), reasons=(how,), steps=())


def _whole(facts: DistinctFacts) -> _Offer:
    return _Offer(
        way=WholeKeys(),
        reasons=("the rows of a key are in one partition already: no key moves",),
        steps=(output_step(facts, numbered=True),),
    )


def _tree(facts: DistinctFacts) -> _Offer | str:
    """Join all keys in one task: where they are few, or nothing else can run."""
    per_key = 2 if facts.keep is False else 1
    rows = min(facts.distinct.upper * per_key, facts.rows)
    width = facts.key_row_nbytes + 8
    nbytes = int(rows * width)
    task_nbytes = max(facts.budget.task_nbytes, 0)
    few = default_partition_nbytes(task_nbytes, width)
    if facts.strategy is None and facts.staging.directory is not None:
        if not facts.keys.exact:
            return f"there are too many keys to count: {format_rows(facts.distinct)}"
        if nbytes > few:
            return f"{format_count(rows)} keys take {format_nbytes(nbytes)}, more than the {format_nbytes(few)} of a partition"
        if facts.waits:
            return "partitions are made by tasks that need others, and would wait in memory"
    tables = options.DISTINCT_FAN_IN
    slice_nbytes = slice_nbytes_of(task_nbytes)
    slice_rows = min(largest_rows(facts), math.ceil(slice_nbytes / max(width, 1.0)))
    whole = int(options.WHOLE_COPIES * largest_rows(facts) * width) if facts.source.whole else 0
    read = (
        whole + facts.source.reader_nbytes + _numbered_nbytes(rows + slice_rows, width) + _made_nbytes(facts)
    )
    joined = _numbered_nbytes(tables * rows, width)
    n = len(facts.partition_rows)
    group = (
        max(1, min(options.KEY_TASK_PARTITIONS, n // options.KEY_MIN_TASKS)) if facts.source.self_made else 1
    )
    waits = _waiting_nbytes(facts)
    peak = max(read, joined) + waits
    step = Step(
        kind="join keys",
        tasks=math.ceil(n / group),
        task_peak_nbytes=peak,
        reason=(
            f"up to {tables} tables of {format_nbytes(nbytes)} × {options.FETCH_COPIES:g}, and "
            f"{_ROW_NBYTES} B for each of their {format_count(tables * rows)} rows"
        )
        + (f", and {format_nbytes(waits)} of partitions that wait" if waits else ""),
    )
    steps = [step]
    if facts.wanted != "count":
        output = output_step(facts, numbered=False)
        if not waits:
            output = written_step(output, facts)
        more = 8 * rows + waits
        written = output.written and replace(
            output.written, task_peak_nbytes=output.written.task_peak_nbytes + more
        )
        steps.append(replace(output, task_peak_nbytes=output.task_peak_nbytes + more, written=written))
    return _Offer(
        way=KeyTree(group=group, slice_nbytes=slice_nbytes),
        reasons=(f"all keys fit a task: {format_nbytes(nbytes)} with the numbers of their rows",),
        steps=tuple(steps),
    )


_ROW_NBYTES = options.ROW_INDEX_NBYTES + options.DISTINCT_ROW_NBYTES


def _numbered_nbytes(rows: int, row_nbytes: float) -> int:
    """Return what numbering the keys of so many rows takes, with the keys."""
    return int(options.FETCH_COPIES * rows * row_nbytes) + _ROW_NBYTES * rows


def _parks(facts: DistinctFacts) -> bool:
    """Whether partitions wait in files, where keys are staged."""
    return facts.waits and not facts.unparked and facts.wanted != "count"


def _waiting_nbytes(facts: DistinctFacts) -> int:
    """Bound the partitions that wait in a worker until their rows are known, by thread; see ``planning.lag``."""
    if not facts.waits or facts.wanted == "count":
        return 0
    return math.ceil(facts.rows * input_row_nbytes(facts) / facts.budget.threads_per_worker)


def _made_nbytes(facts: DistinctFacts) -> int:
    """Return what a partition takes beside its keys, where these are not read alone."""
    if facts.keys_alone:
        return 0
    rows = largest_rows(facts)
    copies = options.STAGE_COPIES + options.WAITING_COLUMN_COPIES if _parks(facts) else options.WHOLE_COPIES
    return int(copies * rows * input_row_nbytes(facts)) + options.STAGED_ROW_NBYTES * rows


def _staged(facts: DistinctFacts) -> _Offer | str:
    staging = facts.staging
    if staging.directory is None:
        return staging.unavailable
    shards = shard_plan(facts)
    group, width = shards.group, shards.row_nbytes
    parks = _parks(facts)
    waits = 0 if parks else _waiting_nbytes(facts)
    parked_nbytes = int(facts.rows * input_row_nbytes(facts)) if parks else 0
    slice_rows = largest_rows(facts)
    if group.slice_nbytes is not None:
        slice_rows = min(slice_rows, math.ceil(group.slice_nbytes / max(width, 1.0)))
    numbered = _ROW_NBYTES * slice_rows if shards.reduced else 0
    stage = stage_step("stage keys", facts.partition_rows, width, facts.source, group)
    stage = replace(
        stage,
        task_peak_nbytes=stage.task_peak_nbytes + numbered + waits + _made_nbytes(facts),
        reason=stage.reason
        + (
            f", and {_ROW_NBYTES} B for each of {format_count(slice_rows)} rows whose keys are numbered"
            if numbered
            else ""
        )
        + (f", and {format_nbytes(waits)} of partitions that wait" if waits else ""),
    )
    find = Step(
        kind="count keys of shards" if facts.wanted == "count" else "find rows in shards",
        tasks=math.ceil(shards.n_shards / shards.at_once),
        task_peak_nbytes=_numbered_nbytes(shards.largest_rows, width) + shards.held_nbytes,
        reason=(
            f"a shard of {format_nbytes(shards.largest_rows * width)} × {options.FETCH_COPIES:g}, {_ROW_NBYTES} B for each "
            f"of its {format_count(shards.largest_rows)} rows, and {format_nbytes(shards.held_nbytes)} of numbers that wait "
            "to be written"
        ),
    )
    steps = [stage, *again_steps("stage coarse shards again", width, group), with_manifests(find, group.size)]
    if facts.wanted != "count":
        output = output_step(facts, numbered=False)
        output = with_manifests(output if parks else written_step(output, facts), shards.answers)
        steps.append(replace(output, task_peak_nbytes=output.task_peak_nbytes + waits))
    reasons = [
        (
            f"keys pass through {staging.directory} into {format_count(shards.n_shards)} shards by their hash: "
            f"{format_count(shards.staged_rows)} rows, {format_nbytes(shards.staged_rows * width)}"
        )
    ]
    if shards.reduced:
        reasons.append("tasks leave out keys that they have met")
    if parks:
        reasons.append(
            f"partitions are made by tasks that need others, and wait in files: {format_nbytes(parked_nbytes)}"
        )
    if facts.wanted != "count":
        which = "that stay" if shards.names_kept else "that go"
        reasons.append(f"numbers of the rows {which} come back: {format_nbytes(shards.answer_nbytes)}")
    return _Offer(
        way=StagedKeys(
            directory=staging.directory,
            n_shards=shards.n_shards,
            group=group,
            reduced=shards.reduced,
            names_kept=shards.names_kept,
            shards_at_once=shards.at_once,
            held_nbytes=shards.held_nbytes,
            parked=parks,
        ),
        reasons=tuple(reasons),
        steps=tuple(steps),
        staging_nbytes=staged_nbytes((shards.staged_rows * width, group.size))
        + shards.answer_nbytes
        + parked_nbytes,
    )


def distinct_keys(keys: KeyStatistics) -> Estimate:
    """Return the number of distinct keys, with those that have no value.

    These are one key, but for a single column of Python objects: None and NaN differ there, as in pandas.
    """
    found, nulls = keys.distinct, keys.null_rows
    kinds = min(nulls, _KINDS_OF_NULLS if keys.schema.columns[0].kind == "object" else 1)
    return Estimate(
        lower=min(found.lower + int(nulls > 0), keys.rows),
        expected=min(found.expected + int(nulls > 0), keys.rows),
        upper=min(found.upper + kinds, keys.rows),
        method=found.method,
        exact=found.exact and kinds <= 1,
    )


def kept_rows(keys: KeyStatistics, keep: Keep) -> Estimate:
    """Return the number of rows that stay.

    Parameters
    ----------
    keys
        What was counted.
    keep
        Which row of a key stays.
    """
    distinct = distinct_keys(keys)
    if keep is not False:
        return distinct
    once = int((keys.counts == 1).sum())
    if keys.exact and distinct.exact:
        return Estimate.computed(once + int(keys.null_rows == 1))
    share = once / max(len(keys.counts), 1)
    return replace(distinct, lower=0, expected=int(share * distinct.expected), exact=False)

"""Chooses how a merge runs: a ladder of strategies, cheapest first.

1. ``sorted``: the partitions of both sides hold ranges of the key that do not
   overlap, so that each output partition needs a few neighbours of either side.
2. ``broadcast``: one side is small, in bytes, and no partition's result is too
   large; every worker holds the small side whole.
3. ``sorted-one-side``: one side's partitions are in key order; the rows of the
   other one pass through a directory that the workers share.
4. ``staged``: rows of both sides do.
5. ``p2p``: there is no such directory; dask's P2P moves the rows between the workers.

Each rung gives a plan's steps or the reason why it cannot be taken. The first
that can is taken; a plan whose only strategy does not fit is still a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from safeframe.choices import check_choice
from safeframe.errors import ValidationError
from safeframe.facts.keys import Codes
from safeframe.facts.layout import OrderedLayout
from safeframe.facts.merge import MergeFacts
from safeframe.facts.plan import Candidate, Plan
from safeframe.planning.memory import default_shard_nbytes
from safeframe.planning.merge.broadcast import by_broadcast
from safeframe.planning.merge.choice import Choice, bounding_widths, output_target
from safeframe.planning.merge.in_order import by_one_side, by_sorted
from safeframe.planning.merge.key_loads import key_loads, loads_in_order
from safeframe.planning.merge.p2p import by_p2p
from safeframe.planning.merge.shards import LayoutFigures, lay_out
from safeframe.planning.merge.staged import by_staged
from safeframe.planning.merge.without_rows import plan_write

__all__ = ["MERGE_STRATEGIES", "ORDERED_STRATEGIES", "check_strategy", "plan_merge"]

MERGE_STRATEGIES = ("sorted", "broadcast", "sorted-one-side", "staged", "p2p")
"""Strategies in the order in which they are tried."""
ORDERED_STRATEGIES = ("sorted", "sorted-one-side", "staged")
"""Those that can give their result in the order of its keys."""


def check_strategy(strategy: str | None, *, in_order: bool) -> None:
    """Refuse a strategy that a merge, or one whose result is in key order, does not have.

    Raises
    ------
    ValidationError
        With those that there are.
    """
    names = ORDERED_STRATEGIES if in_order else MERGE_STRATEGIES
    if strategy is not None:
        check_choice(strategy, names, argument="strategy", what=f"a strategy of {_recipe(in_order=in_order)}")


def _check_writable(facts: MergeFacts, strategy: str, choice: Choice) -> None:
    """Refuse to move a side whose rows would not come back as they were."""
    if strategy in ("sorted", "broadcast"):
        return
    stays = choice.ordered
    for side, part in (
        (facts.left, None if stays is None else stays.left),
        (facts.right, None if stays is None else stays.right),
    ):
        if part is None:
            side.profile.check_writable()


def _recipe(*, in_order: bool) -> str:
    return "sorted_merge" if in_order else "merge"


def plan_merge(facts: MergeFacts) -> Plan:
    """Choose the strategy of a merge and say what it costs.

    Parameters
    ----------
    facts
        Key statistics, sizes and budget.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run
        on these inputs.
    """
    task_nbytes = max(facts.budget.task_nbytes, 0)
    widths = bounding_widths(facts)
    target = output_target(facts, widths, task_nbytes)
    loads = loads_in_order(key_loads(facts.left.keys, facts.right.keys, facts.how), facts.left.keys.schema)

    def laid_out(cuts: Codes | None = None) -> LayoutFigures:
        return lay_out(
            loads,
            left_row_nbytes=widths.left,
            right_row_nbytes=widths.right,
            output_row_nbytes=widths.output,
            shard_nbytes=default_shard_nbytes(task_nbytes),
            partition_nbytes=target.partition_nbytes,
            packed_nbytes=target.packed_nbytes,
            cuts=cuts,
            whole_keys=facts.ordered,
        )

    figures = laid_out()
    rungs: dict[str, Callable[[], Choice | str]] = {
        "sorted": lambda: by_sorted(facts, widths, laid_out),
        "broadcast": lambda: by_broadcast(facts, widths, target.partition_nbytes),
        "sorted-one-side": lambda: by_one_side(facts, widths, laid_out),
        "staged": lambda: by_staged(facts, widths, figures),
        "p2p": lambda: by_p2p(facts, widths, loads),
    }
    recipe = _recipe(in_order=facts.ordered)
    check_strategy(facts.strategy, in_order=facts.ordered)
    if facts.ordered:
        # The other ways do not give the result in the order of its keys.
        rungs = {name: rungs[name] for name in ORDERED_STRATEGIES}
    rejected = []
    taken: tuple[str, Choice] | None = None
    for name, rung in rungs.items():
        wanted = facts.strategy in (None, name)
        if not wanted or taken is not None:
            why = (
                f"{taken[0]} comes first and fits" if taken else f"strategy={facts.strategy!r} was asked for"
            )
            rejected.append(Candidate(strategy=name, reason=why))
            continue
        choice = rung()
        if isinstance(choice, str):
            rejected.append(Candidate(strategy=name, reason=choice))
        else:
            taken = (name, choice)
    if taken is None and facts.strategy is not None:
        why = next(candidate.reason for candidate in rejected if candidate.strategy == facts.strategy)
        msg = f"strategy={facts.strategy!r} cannot run this {recipe}: {why}."
        hint = "Leave strategy= out to have one chosen."
        if facts.strategy == "staged":
            hint = "Name a directory that all workers reach in staging=, or leave strategy= out."
        raise ValidationError(msg, hint=hint)
    if taken is None:
        why = "; ".join(f"{candidate.strategy}: {candidate.reason}" for candidate in rejected)
        msg = f"No strategy can run this {recipe}. {why}."
        hint = "Name a directory that all workers reach in staging=, or leave strategy= out."
        raise ValidationError(msg, hint=hint)
    strategy, choice = taken
    _check_writable(facts, strategy, choice)
    free_nbytes, directory = None, None
    if choice.p2p is not None:
        free_nbytes, directory = choice.p2p.disk.free_nbytes, choice.p2p.disk.directory
    elif strategy in ("staged", "sorted-one-side"):
        free_nbytes, directory = facts.staging.free_nbytes, facts.staging.directory
    ordered = choice.ordered
    if facts.ordered and ordered is None:
        ordered = OrderedLayout(
            left=None, right=None, left_rows=figures.left_rows, right_rows=figures.right_rows
        )
    write = plan_write(facts, widths, loads)
    return Plan(
        recipe=recipe,
        strategy=strategy,
        reasons=choice.reasons,
        rejected=tuple(rejected),
        steps=choice.steps,
        budget=facts.budget if choice.p2p is None else choice.p2p.budget,
        output_rows=facts.estimate.rows,
        output_nbytes=facts.estimate.nbytes,
        output_width=facts.estimate.width,
        output_partitions=choice.output_partitions,
        partition_nbytes=choice.partition_nbytes or target.partition_nbytes,
        largest_partition_nbytes=math.ceil(choice.largest_rows * widths.output),
        row_nbytes=widths.output,
        staging_nbytes=choice.staging_nbytes,
        staging_free_nbytes=free_nbytes,
        staging_directory=directory,
        layout=choice.layout,
        build_side=choice.build_side,
        ordered=ordered,
        merge=facts.estimate,
        p2p=None if choice.p2p is None else choice.p2p.settings,
        advice=choice.advice,
        write=None if isinstance(write, str) else write,
        write_refused=write if isinstance(write, str) else "",
    )

"""Everything that decides how a merge runs: from its arguments to the facts that a plan is made of.

Keys are resolved once and sizes are gathered once. What a merge that looks up in a
table needs to know is found out first; where it cannot run, what was measured for it
is used for all other ways.

Covers: the checks of arguments before anything is read, the order in which facts are gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dask.dataframe as dd

from safeframe import config
from safeframe.engine.planned.sources import source_files
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How, MergeEstimate, MergeFacts, TableFacts
from safeframe.facts.p2p import P2PFacts
from safeframe.facts.strategies import MERGE_STRATEGIES, ORDERED_STRATEGIES
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import Side, as_frame, given_budget
from safeframe.prepare.dask_arguments import MergeMoves
from safeframe.prepare.merge.keys import KeyArguments, KeyedSides, keyed_sides
from safeframe.prepare.merge.result import check_validate, check_validate_kind, refuse_larger
from safeframe.prepare.merge.rounded_integers import match_counted
from safeframe.prepare.merge.sizes import JoinSizes, check_how, look_at_p2p, size_join
from safeframe.prepare.merge.table import NoTable, TableSizes, size_table
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.units import parse_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRequest:
    """What a user asks of a merge, and where it is to run."""

    keys: KeyArguments
    """What is compared, and what the result is called."""
    moves: MergeMoves
    """How rows are to move."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows may be staged."""
    partition_nbytes: int | None
    """Bytes that an output partition may have; None to derive them."""
    max_nbytes: int | None
    """Bytes that the result may have; None for any number."""
    validate: str | None
    """Which side is to have each key once; None for neither."""
    statistics: tuple[KeyStatistics, KeyStatistics] | None
    """Key statistics that were gathered before."""
    check_order: Callable[[JoinSizes], None] | None
    """Raises where the sides are in no order that the result may have; None where it needs none."""

    def check_size(self, estimate: MergeEstimate) -> None:
        """Raise when the result may be larger than the user allows."""
        if self.max_nbytes is not None:
            refuse_larger(estimate, self.max_nbytes)

    @property
    def needs_counts(self) -> str:
        """Why rows are not to be looked up in a table, whatever the sides are; empty where they may be."""
        if self.check_order is not None:
            return "the result is to be in key order"
        if not self.moves.may_broadcast:
            return "broadcast=False was given"
        if self.moves.npartitions is not None:
            return "the other side's rows would stay in their partitions, and npartitions= was given"
        if self.validate is not None:
            return "validate= needs the keys of both sides counted"
        return "" if self.statistics is None else "the keys of both sides are counted already"


def merge_request(
    recipe: str,
    keys: KeyArguments,
    moves: MergeMoves,
    *,
    partition_size: str | int | None,
    memory: str | int | None,
    staging: str | None,
    max_output: str | int | None,
    validate: str | None,
    statistics: tuple[KeyStatistics, KeyStatistics] | None,
    check_order: Callable[[JoinSizes], None] | None = None,
) -> MergeRequest:
    """Check what is wrong in itself, before anything is read, and look at the workers."""
    max_nbytes, partition_nbytes = _checked_sizes(
        recipe,
        keys.how,
        moves.strategy,
        MERGE_STRATEGIES if check_order is None else ORDERED_STRATEGIES,
        partition_size=partition_size,
        max_output=max_output,
        validate=validate,
    )
    set_up_workers()
    return MergeRequest(
        keys=keys,
        moves=moves,
        budget=given_budget(memory),
        staging=staging_facts(staging),
        partition_nbytes=partition_nbytes,
        max_nbytes=max_nbytes,
        validate=validate,
        statistics=statistics,
        check_order=check_order,
    )


def _checked_sizes(
    recipe: str,
    how: How,
    strategy: str | None,
    strategies: Sequence[str],
    *,
    partition_size: str | int | None,
    max_output: str | int | None,
    validate: str | None,
) -> tuple[int | None, int | None]:
    """Check arguments that need neither frames nor workers; return the bytes of the result and of a partition."""
    max_nbytes = None if max_output is None else parse_nbytes(max_output, argument="max_output")
    if validate is not None:
        check_validate_kind(validate)
    check_strategy(strategy, strategies, recipe=recipe)
    check_how(how, recipe)
    return max_nbytes, config.partition_nbytes(partition_size)


def check_merge(
    left: Side,
    right: Side,
    keys: KeyArguments,
    moves: MergeMoves,
    *,
    partition_size: str | int | None = None,
    max_output: str | int | None = None,
    validate: str | None = None,
) -> KeyedSides:
    """Check all that a merge refuses by its arguments and by the columns of its sides, and return the sides as joined.

    For who has no workers yet: nothing is read, and nobody is asked.

    Raises
    ------
    SafeframeError
        As :func:`merge_request` and :func:`safeframe.prepare.merge.keys.keyed_sides` raise it.
    """
    _checked_sizes(
        "merge",
        keys.how,
        moves.strategy,
        MERGE_STRATEGIES,
        partition_size=partition_size,
        max_output=max_output,
        validate=validate,
    )
    return keyed_sides(as_frame(left, "left"), as_frame(right, "right"), keys)


def merge_facts(left: Side, right: Side, request: MergeRequest) -> tuple[JoinSizes, MergeFacts]:
    """Gather what decides how a merge runs; what the sizes forbid is refused before anything is planned.

    Notes
    -----
    **Eager.** See :func:`safeframe.prepare.merge.table.size_table` and
    :func:`safeframe.prepare.merge.sizes.size_join`.
    """
    left, right = as_frame(left, "left"), as_frame(right, "right")
    sources = source_files(left, right)
    sides = keyed_sides(left, right, request.keys)
    found = _table(sides, (left, right), request)
    table: TableFacts | str
    p2p: tuple[P2PFacts, P2PFacts] | None = None
    p2p_refused = ""
    if isinstance(found, TableSizes):
        sizes, table = found.sizes, found.facts
    else:
        sizes, table = _counted(sides, request, found), found.reason
        if request.check_order is None:
            p2p, p2p_refused = look_at_p2p(sizes, request.budget, request.moves.strategy, request.staging)
    return sizes, MergeFacts(
        how=request.keys.how,
        left=sizes.left,
        right=sizes.right,
        estimate=sizes.estimate,
        budget=request.budget,
        staging=request.staging,
        partition_nbytes=request.partition_nbytes,
        strategy=request.moves.strategy,
        npartitions=request.moves.npartitions,
        may_broadcast=request.moves.may_broadcast,
        ordered=request.check_order is not None,
        index_is_key=sizes.sides.index_is_key,
        p2p=p2p,
        p2p_refused=p2p_refused,
        table=table,
        sources=sources,
    )


def _table(
    sides: KeyedSides, frames: tuple[dd.DataFrame, dd.DataFrame], request: MergeRequest
) -> TableSizes | NoTable:
    if request.moves.strategy not in (None, "broadcast"):
        return NoTable(f"strategy={request.moves.strategy!r} was requested")
    if why := request.needs_counts:
        return NoTable(why)
    return size_table(
        sides,
        frames,
        budget=request.budget,
        staging=request.staging,
        partition_nbytes=request.partition_nbytes,
        check_size=request.check_size,
    )


def _counted(sides: KeyedSides, request: MergeRequest, refused: NoTable) -> JoinSizes:
    """Size the merge by the keys of both sides, and hold it to what the user says of it."""
    in_order = request.check_order is not None
    sizes = size_join(
        sides,
        request.statistics,
        profiles=refused.profiles,
        in_order=in_order,
        room_nbytes=request.budget.task_nbytes,
    )
    if request.check_order is not None:
        request.check_order(sizes)
    if request.validate is not None:
        check_validate(request.validate, sizes.left.keys, sizes.right.keys)
    request.check_size(sizes.estimate)
    return match_counted(sizes)

"""What a rung of a merge's ladder says; the widths of rows and the target that all of them reckon with."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe import options
from safeframe.facts.layout import OrderedLayout, ShardLayout
from safeframe.facts.merge import MergeFacts
from safeframe.facts.plan import Step
from safeframe.planning.memory import default_partition_nbytes, largest_partition_nbytes, least_partitions
from safeframe.planning.p2p.layout import P2PLayout

__all__ = ["Choice", "Target", "Widths", "bounding_widths", "output_target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a rung of the ladder would do."""

    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    output_partitions: int
    largest_rows: int
    layout: ShardLayout | None = None
    build_side: str | None = None
    staging_nbytes: int = 0
    ordered: OrderedLayout | None = None
    partition_nbytes: int | None = None
    """The target for an output partition, where it is not that of the other rungs."""
    p2p: P2PLayout | None = None
    """How P2P moves the rows, where it does."""
    advice: str = ""
    """What else can be done where the plan does not fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Widths:
    """Bytes per row that bound, rather than expect."""

    left: float
    right: float
    output: float


def bounding_widths(facts: MergeFacts) -> Widths:
    """Return bytes per row that bound rather than expect, where they come from a sample."""
    return Widths(
        left=facts.left.profile.width.bounding,
        right=facts.right.profile.width.bounding,
        output=facts.estimate.width.bounding,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """How large output partitions are to be."""

    partition_nbytes: int
    """Bytes that none exceeds."""
    packed_nbytes: int
    """Bytes up to which keys that stay whole share one: less where there would be too few partitions."""


def output_target(facts: MergeFacts, widths: Widths, task_nbytes: int) -> Target:
    """Choose how large output partitions are: what the user says, or what leaves room for steps that follow."""
    if facts.partition_nbytes is not None:
        return Target(partition_nbytes=facts.partition_nbytes, packed_nbytes=facts.partition_nbytes)
    nbytes = facts.estimate.rows.expected * widths.output
    if facts.npartitions is not None:
        share = int(nbytes / facts.npartitions) + 1
        return Target(partition_nbytes=share, packed_nbytes=share)
    default = default_partition_nbytes(task_nbytes, widths.output)
    # So many partitions that the scheduler is the bound: then rather fewer, and larger.
    default = max(
        default, min(largest_partition_nbytes(task_nbytes), int(nbytes / options.MAX_OUTPUT_PARTITIONS))
    )
    inputs = max(len(side.keys.partitions.rows) for side in (facts.left, facts.right))
    share = int(nbytes // least_partitions(nbytes, inputs, facts.budget)) + 1
    # A key is cut where it is worth a partition of its own, and not for the number of them alone.
    return Target(
        partition_nbytes=min(default, max(share, options.KEPT_PARTITION_NBYTES)),
        packed_nbytes=min(default, share),
    )

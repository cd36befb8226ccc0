"""What a strategy of a merge offers to the ladder; the widths of rows and the target that all of them reckon with."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe import options
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.merge import MergeFacts, MergeWay, SideFacts
from safeframe.facts.plan import Cost, Step
from safeframe.facts.spread import Spread
from safeframe.planning.memory import default_partition_nbytes, largest_partition_nbytes, least_partitions


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What a strategy would do."""

    reasons: tuple[str, ...]
    """Why it can run."""
    steps: tuple[Step, ...]
    """Kinds of tasks, in the order in which they run."""
    way: MergeWay
    """How rows of both sides come together."""
    output_partitions: int
    """Partitions of the result."""
    largest_rows: int
    """Rows of the largest one."""
    cost: Cost
    """What moves."""
    partition_nbytes: int | None = None
    """The target for an output partition, where it is not that of the other rungs."""
    moved: tuple[str, ...] = ()
    """The sides whose rows are written and read again, of any type."""
    staging: StagingFacts | None = None
    """Where rows are staged; None where none are."""
    staging_nbytes: int = 0
    """Bytes that pass through there."""
    budget: Budget | None = None
    """What a worker may use, where moving rows takes some of it."""
    advice: str = ""
    """What else can be done where the plan does not fit."""
    sizes: Spread | None = None
    """Sizes of the result's partitions; None where only that of the largest is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Widths:
    """Bytes per row that bound, rather than expect."""

    left: float
    right: float
    output: float
    left_key: float
    """Bytes of the key in a row of the left side, about."""
    right_key: float

    def keys_nbytes(self, rows: tuple[float, float]) -> float:
        """Return the bytes of the keys of so many left and right rows."""
        return rows[0] * self.left_key + rows[1] * self.right_key


def bounding_widths(facts: MergeFacts) -> Widths:
    """Return bytes per row that bound rather than expect, where they come from a sample."""
    return Widths(
        left=facts.left.profile.width.bounding,
        right=facts.right.profile.width.bounding,
        output=facts.estimate.width.bounding,
        left_key=_key_width(facts.left),
        right_key=_key_width(facts.right),
    )


def _key_width(side: SideFacts) -> float:
    """Return the bytes of a row's key: those of a number, or of the columns that are hashed."""
    if side.keys.schema.injective:
        return 8.0
    columns = {column.name: column.row_nbytes for column in side.profile.columns}
    index = side.profile.index_row_nbytes or 8.0
    return sum((columns.get(str(name), index) for name in side.keys.on), start=0.0) or 8.0


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

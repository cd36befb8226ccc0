"""What decides how a merge runs, and the ways in which it does."""

from safeframe.facts.merge.facts import (
    How,
    KeyFanout,
    KeyTable,
    MergeEstimate,
    MergeFacts,
    RangeWidths,
    SideFacts,
    TableFacts,
)
from safeframe.facts.merge.ways import (
    BroadcastMerge,
    MergeRun,
    MergeWay,
    OrderedMerge,
    P2PMerge,
    SlicedMerge,
    SlicedWrite,
    StagedMerge,
    TableMerge,
    WritePlan,
)

__all__ = [
    "BroadcastMerge",
    "How",
    "KeyFanout",
    "KeyTable",
    "MergeEstimate",
    "MergeFacts",
    "MergeRun",
    "MergeWay",
    "OrderedMerge",
    "P2PMerge",
    "RangeWidths",
    "SideFacts",
    "SlicedMerge",
    "SlicedWrite",
    "StagedMerge",
    "TableFacts",
    "TableMerge",
    "WritePlan",
]

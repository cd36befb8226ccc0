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
    KeyRange,
    MergeRun,
    MergeWay,
    OrderedMerge,
    P2PMerge,
    RangesMerge,
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
    "KeyRange",
    "KeyTable",
    "MergeEstimate",
    "MergeFacts",
    "MergeRun",
    "MergeWay",
    "OrderedMerge",
    "P2PMerge",
    "RangeWidths",
    "RangesMerge",
    "SideFacts",
    "SlicedMerge",
    "SlicedWrite",
    "StagedMerge",
    "TableFacts",
    "TableMerge",
    "WritePlan",
]

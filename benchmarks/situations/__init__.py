"""Named situations: data whose result is known before any engine makes it.

Covers: the names; joins of two tables (:mod:`benchmarks.situations.joins`), frames to be
ordered (:mod:`benchmarks.situations.frames`), to be given columns of rows before
(:mod:`benchmarks.situations.lags`), to be grouped (:mod:`benchmarks.situations.groups`), or of
which rows of repeated keys are dropped (:mod:`benchmarks.situations.distinct`), ordinary data
(:mod:`benchmarks.situations.ordinary`, :mod:`benchmarks.situations.tpch`), arrays and
bags (:mod:`benchmarks.situations.collections`).
Does not cover: running anything on them (:mod:`benchmarks.engines`), or comparing
what came out (:mod:`benchmarks.check`, :mod:`benchmarks.check_order`,
:mod:`benchmarks.check_lags`, :mod:`benchmarks.check_groups`, :mod:`benchmarks.check_distinct`,
:mod:`benchmarks.check_collections`).
"""

from __future__ import annotations

from benchmarks.situations.collections import COLLECTIONS, CollectionDataset, CollectionSituation
from benchmarks.situations.distinct import DISTINCT, DistinctDataset, DistinctSituation
from benchmarks.situations.frames import FRAMES, FrameDataset, FrameSituation
from benchmarks.situations.groups import GROUPED, GroupDataset, GroupSituation, GroupTruth
from benchmarks.situations.joins import JOINS, Dataset, Situation, Truth
from benchmarks.situations.lags import LAGS, LagDataset, LagSituation, LagTruth
from benchmarks.situations.ordinary import ORDINARY_FRAMES, ORDINARY_JOINS
from benchmarks.situations.stamp import ALL_ENGINES, CLUSTER_ENGINES, TRIAL_ENGINES, VARIANT_ENGINES
from benchmarks.situations.tables import Column, Table
from benchmarks.situations.tpch import TPCH, TpchDataset, TpchSituation

__all__ = [
    "ALL_ENGINES",
    "CLUSTER_ENGINES",
    "COLLECTIONS",
    "DISTINCT",
    "FRAMES",
    "GROUPED",
    "JOINS",
    "LAGS",
    "ORDINARY_FRAMES",
    "ORDINARY_JOINS",
    "SITUATIONS",
    "TPCH",
    "TRIAL_ENGINES",
    "VARIANT_ENGINES",
    "AnyDataset",
    "AnySituation",
    "CollectionDataset",
    "CollectionSituation",
    "Column",
    "Dataset",
    "DistinctDataset",
    "DistinctSituation",
    "FrameDataset",
    "FrameSituation",
    "GroupDataset",
    "GroupSituation",
    "GroupTruth",
    "LagDataset",
    "LagSituation",
    "LagTruth",
    "Situation",
    "Table",
    "TpchDataset",
    "TpchSituation",
    "Truth",
]

AnySituation = (
    Situation
    | FrameSituation
    | LagSituation
    | GroupSituation
    | DistinctSituation
    | CollectionSituation
    | TpchSituation
)
AnyDataset = (
    Dataset | FrameDataset | LagDataset | GroupDataset | DistinctDataset | CollectionDataset | TpchDataset
)

SITUATIONS: dict[str, AnySituation] = {
    **JOINS,
    **FRAMES,
    **LAGS,
    **GROUPED,
    **DISTINCT,
    **COLLECTIONS,
    **ORDINARY_JOINS,
    **ORDINARY_FRAMES,
    **TPCH,
}
"""Every situation, by name."""

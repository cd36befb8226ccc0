"""Named situations: data whose result is known before any engine makes it.

Covers: the names; joins of two tables (:mod:`benchmarks.situations.joins`), frames to be
ordered (:mod:`benchmarks.situations.frames`) or to be given columns of rows before
(:mod:`benchmarks.situations.lags`).
Does not cover: running anything on them (:mod:`benchmarks.engines`), or comparing
what came out (:mod:`benchmarks.check`, :mod:`benchmarks.check_order`,
:mod:`benchmarks.check_lags`).
"""

from __future__ import annotations

from benchmarks.situations.frames import FRAMES, FrameDataset, FrameSituation
from benchmarks.situations.joins import JOINS, Dataset, Situation, Truth
from benchmarks.situations.lags import LAGS, LagDataset, LagSituation, LagTruth
from benchmarks.situations.stamp import ALL_ENGINES, CLUSTER_ENGINES
from benchmarks.situations.tables import Column, Table

__all__ = [
    "ALL_ENGINES",
    "CLUSTER_ENGINES",
    "FRAMES",
    "JOINS",
    "LAGS",
    "SITUATIONS",
    "AnyDataset",
    "AnySituation",
    "Column",
    "Dataset",
    "FrameDataset",
    "FrameSituation",
    "LagDataset",
    "LagSituation",
    "LagTruth",
    "Situation",
    "Table",
    "Truth",
]

AnySituation = Situation | FrameSituation | LagSituation
AnyDataset = Dataset | FrameDataset | LagDataset

SITUATIONS: dict[str, AnySituation] = {**JOINS, **FRAMES, **LAGS}
"""Every situation, by name."""

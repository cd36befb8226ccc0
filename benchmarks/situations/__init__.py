"""Named situations: data whose result is known before any engine makes it.

Covers: the names; joins of two tables (:mod:`benchmarks.situations.joins`) and frames
to be ordered (:mod:`benchmarks.situations.frames`).
Does not cover: running anything on them (:mod:`benchmarks.engines`), or comparing
what came out (:mod:`benchmarks.check`, :mod:`benchmarks.check_order`).
"""

from __future__ import annotations

from benchmarks.situations.frames import FRAMES, FrameDataset, FrameSituation
from benchmarks.situations.joins import JOINS, Dataset, Situation, Truth
from benchmarks.situations.stamp import ALL_ENGINES, CLUSTER_ENGINES, TRIAL_ENGINES
from benchmarks.situations.tables import Column, Table

__all__ = [
    "ALL_ENGINES",
    "CLUSTER_ENGINES",
    "FRAMES",
    "JOINS",
    "SITUATIONS",
    "TRIAL_ENGINES",
    "AnyDataset",
    "AnySituation",
    "Column",
    "Dataset",
    "FrameDataset",
    "FrameSituation",
    "Situation",
    "Table",
    "Truth",
]

AnySituation = Situation | FrameSituation
AnyDataset = Dataset | FrameDataset

SITUATIONS: dict[str, AnySituation] = {**JOINS, **FRAMES}
"""Every situation, by name."""

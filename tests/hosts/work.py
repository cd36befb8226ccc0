"""What tests of hosts let run there, in a module that workers can import.

Covers: recipes on small data, those of the fault machine and further ones; frames that take a while to merge.
Does not cover: hosts (:mod:`tests.hosts.cluster`).
"""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe
from tests.faults.machine.recipes import RECIPES, Recipe

__all__ = ["HOST_RECIPES", "LONG_PARTS", "long_left", "long_right", "long_tables"]

LONG_PARTS = 24
_LONG_KEYS = 40_000


def _spread(group: pd.DataFrame) -> pd.Series[Any]:
    return pd.Series({"spread": group["v"].max() - group["v"].min(), "rows": len(group)})


def _planned(left: dd.DataFrame, right: dd.DataFrame, staging: str) -> Any:
    return safeframe.merge(left, right, on="k", how="left", staging=staging)


def _applied(left: dd.DataFrame, right: dd.DataFrame, staging: str) -> Any:
    meta = {"spread": "int64", "rows": "int64"}
    return safeframe.groupby(left, "s", staging=staging).apply(_spread, meta=meta)


HOST_RECIPES: dict[str, Recipe] = RECIPES | {
    "merge, as planned": Recipe(
        _planned, lambda tables: tables.left.merge(tables.right, on="k", how="left"), staged=False
    ),
    "groupby, apply": Recipe(
        _applied, lambda tables: tables.left.groupby("s").apply(_spread).reset_index()
    ),
}  # fmt: skip
"""Every recipe, the larger ones under several strategies."""


def long_left(part: int, rows: int) -> pd.DataFrame:
    """Return a partition of the left frame of a merge that takes a while."""
    rng = np.random.default_rng(part)
    return pd.DataFrame(
        {"k": rng.integers(0, _LONG_KEYS, rows), "n": part * rows + np.arange(rows), "v": rng.random(rows)}
    )


def long_right(part: int) -> pd.DataFrame:
    """Return a partition of its right frame, which has each key once."""
    keys = np.arange(part, _LONG_KEYS, 4)
    return pd.DataFrame({"k": keys, "w": keys * 7 % 1009})


def long_tables(rows: int) -> tuple[dd.DataFrame, dd.DataFrame]:
    """Return both frames, with so many rows in each of the left one's partitions."""
    left = dd.from_map(long_left, range(LONG_PARTS), rows=rows, meta=long_left(0, 1))
    return left, dd.from_map(long_right, range(4), meta=long_right(0).head(1))

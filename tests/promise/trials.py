"""One trial of the promise: a frame, a recipe and workers, all chosen by a seed.

Covers: the choice; calling the recipe; how many rows come out.
Does not cover: running it under limits (:mod:`tests.promise.run`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pyarrow.parquet as pq

import safeframe
from tests.promise.frames import MIB, Shape, random_shape, write_files

__all__ = ["RECIPES", "Trial", "call", "expected_rows", "trial_of", "write"]

_MOST_OUT_ROWS = 8_000_000
_OPAQUE = 0.08
_IN_ORDER = 0.2

RECIPES = (
    "merge inner", "merge left", "merge outer", "merge right", "sort_values", "set_index", "shuffle", "lag",
    "groupby sum", "groupby several", "groupby median", "drop_duplicates", "value_counts", "nunique",
    "rebalance", "to_parquet",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What is tried."""

    seed: int
    recipe: str
    left: Shape
    right: Shape | None
    n_workers: int
    threads: int
    limit_nbytes: int
    opaque: bool
    """Whether partitions come from a function that returns whole frames."""
    written: bool
    """Whether the result is written, rather than counted."""

    def said(self) -> str:
        """Return it in one line."""
        left = self.left
        return (
            f"seed {self.seed}: {self.recipe} of {left.rows:,} rows × {left.row_nbytes} B in {left.files} files, "
            f"{left.key}{' in order' if left.in_order else ''}{'' if self.right is None else f', with {self.right.rows:,}'}; {self.n_workers} × {self.threads} "
            f"threads of {self.limit_nbytes // MIB} MiB{', opaque' if self.opaque else ''}"
        )


def trial_of(seed: int) -> Trial:
    """Choose a trial."""
    rng = np.random.default_rng(seed)
    recipe = str(rng.choice(RECIPES))
    n_workers, threads = int(rng.integers(1, 5)), int(rng.choice([1, 1, 2, 4]))
    most = min(4 * 2**30, 14 * 2**30 // n_workers)
    limit = math.exp(rng.uniform(math.log(384 * MIB * max(1, threads / 2)), math.log(most)))
    left = random_shape(rng, most_nbytes=512 * MIB)
    right = None
    if recipe.startswith("merge"):
        right = random_shape(rng, most_nbytes=128 * MIB, key=left.key)
        right = replace(right, n_keys=max(1, int(left.n_keys * rng.choice([0.1, 1.0, 1.0, 3.0]))))
        while _joined(left, right) > _MOST_OUT_ROWS and right.rows > 1:
            right = replace(right, rows=right.rows // 2, files=min(right.files, right.rows // 2 or 1))
    # Drawn apart: what else a seed chooses stays what it was.
    if np.random.default_rng([seed, 1]).random() < _IN_ORDER:
        left = replace(left, in_order=True, nulls=0.0)
        right = None if right is None else replace(right, in_order=True, nulls=0.0)
    opaque = bool(rng.random() < _OPAQUE)
    if opaque:
        # A function's frames have no types of lists, and are as large as they are.
        values = tuple("text" if kind in ("list", "flag") else kind for kind in left.values)
        files = max(left.files, 1 + int(8 * left.rows * left.row_nbytes * threads / limit))
        left = replace(left, values=values, files=min(files, left.rows))
        right = None if right is None else replace(right, values=("int",))
    return Trial(
        seed=seed,
        recipe=recipe,
        left=left,
        right=right,
        n_workers=n_workers,
        threads=threads,
        limit_nbytes=int(limit),
        opaque=opaque,
        written=bool(rng.random() < 0.7),
    )


def _joined(left: Shape, right: Shape) -> float:
    """Return how many rows a merge has, about; far more than that where both sides are skewed."""
    hot = left.rows * left.hot_share * right.rows * right.hot_share
    skewed = 30.0 if left.skew and right.skew else 3.0 if left.skew or right.skew else 1.0
    hot += left.rows * left.hot_share * right.rows / max(right.n_keys, 1)
    hot += right.rows * right.hot_share * left.rows / max(left.n_keys, 1)
    return left.rows + right.rows + hot + skewed * left.rows * right.rows / max(left.n_keys, right.n_keys)


def write(trial: Trial, directory: Path) -> None:
    """Write the files of a trial."""
    write_files(trial.left, trial.seed, directory / "left")
    if trial.right is not None:
        write_files(trial.right, trial.seed + 1, directory / "right", named="w")


def _frame(trial: Trial, directory: Path) -> dd.DataFrame:
    if not trial.opaque:
        return dd.read_parquet(str(directory))
    paths = sorted(map(str, directory.glob("*.parquet")))
    return dd.from_map(_read, paths, meta=_read(paths[0]).iloc[:0])


def _read(path: str) -> Any:
    return pq.read_table(path).to_pandas()


def call(trial: Trial, directory: Path, **options: Any) -> Any:
    """Call the recipe: it plans, and returns the lazy result."""
    left, on = _frame(trial, directory / "left"), trial.left.key_names
    if trial.right is not None:
        right = _frame(trial, directory / "right")
        how: Any = trial.recipe.split()[1]
        return safeframe.merge(left, right, on=on, how=how, suffixes=("", "_r"), **options)
    calls: dict[str, Callable[[], Any]] = {
        "sort_values": lambda: safeframe.sort_values(left, on, **options),
        "set_index": lambda: safeframe.set_index(left, "k", **options),
        "shuffle": lambda: safeframe.shuffle(left, on, **options),
        "lag": lambda: safeframe.groupby_lag_transform(
            left, on, "row", 1, order_by="row", names="lagged", **options
        ),
        "groupby sum": lambda: safeframe.groupby(left, on, **options).row.sum(),
        "groupby several": lambda: safeframe.groupby(left, on, **options).row.agg(["count", "mean", "max"]),
        "groupby median": lambda: safeframe.groupby(left, on, **options).row.median(),
        "drop_duplicates": lambda: safeframe.drop_duplicates(left, on, **options),
        "value_counts": lambda: safeframe.value_counts(left, on, **options),
        "nunique": lambda: safeframe.nunique(left, on, **_without_size(options)),
        "rebalance": lambda: safeframe.rebalance_partitions(left, **options),
        "to_parquet": lambda: left,
    }
    return calls[trial.recipe]()


def _without_size(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "partition_size"}


def expected_rows(trial: Trial, directory: Path) -> int | None:
    """Return how many rows pandas has; None where a result is no frame."""
    on = trial.left.key_names
    left = pq.read_table(directory / "left", columns=on).to_pandas()
    if trial.right is not None:
        right = pq.read_table(directory / "right", columns=on).to_pandas()
        both = left.groupby(on, dropna=False).size().to_frame("l").join(
            right.groupby(on, dropna=False).size().to_frame("r"), how="outer"
        )  # fmt: skip
        how = trial.recipe.split()[1]
        left_rows, right_rows = (both[side].fillna(0).to_numpy(np.int64) for side in ("l", "r"))
        if how in ("left", "outer"):
            right_rows = np.where(left_rows > 0, np.maximum(right_rows, 1), right_rows)
        if how in ("right", "outer"):
            left_rows = np.where(right_rows > 0, np.maximum(left_rows, 1), left_rows)
        return int((left_rows * right_rows).sum())
    if trial.recipe.startswith(("groupby", "value_counts")):
        return int(left.dropna().drop_duplicates().shape[0])
    if trial.recipe == "drop_duplicates":
        return int(left.drop_duplicates().shape[0])
    return None if trial.recipe == "nunique" else trial.left.rows

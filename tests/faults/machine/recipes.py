"""Every recipe on small data: how it is asked for, and what pandas says of the same rows.

Covers: datasets of parquet files in several shapes, the call, the rows expected, whether their order is promised.
Does not cover: arguments of recipes, which have tests of their own; types of columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe

__all__ = [
    "RECIPES",
    "SHAPES",
    "Recipe",
    "Tables",
    "plain_result",
    "read_tables",
    "same_rows",
    "write_tables",
]

LEFT_FILES, RIGHT_FILES = 6, 3
_LEFT_ROWS, _RIGHT_ROWS = 3000, 300
SHAPES = ("even", "heavy", "nulls", "text")
_PARTITION_SIZE = "16KiB"
_BAG = range(600)
_ARRAY = np.arange(60 * 48, dtype=float).reshape(60, 48) * 7 % 1009


@dataclass(frozen=True)
class Tables:
    """The rows of both datasets."""

    left: pd.DataFrame
    right: pd.DataFrame


@dataclass(frozen=True)
class Recipe:
    """One recipe."""

    build: Callable[[dd.DataFrame, dd.DataFrame, str], Any]
    """Returns its lazy result, of both datasets and a staging directory."""
    expected: Callable[[Tables], Any]
    """Returns what pandas makes of them."""
    ordered: bool = False
    """Whether the order of rows is promised."""
    written: bool = False
    """Whether its result goes to parquet files."""
    reads: bool = True
    """Whether its rows come from the datasets."""
    staged: bool = True
    """Whether it stages rows."""
    counts: bool = True
    """Whether tasks run while it is planned."""
    takes_order: bool = False
    """Whether its input has to be in order."""
    phases: tuple[str, ...] = ("stage", "seal", "fetch")
    """The phases of its run, but for those of writing."""


def write_tables(shape: str, seed: int, directory: Path) -> Tables:
    """Write both datasets to ``directory/left`` and ``directory/right``."""
    rng = np.random.default_rng(seed)
    tables = Tables(_left(shape, rng), _right(shape, rng))
    for name, frame, files in (("left", tables.left, LEFT_FILES), ("right", tables.right, RIGHT_FILES)):
        (directory / name).mkdir(parents=True)
        for number in range(files):
            part = frame.iloc[len(frame) * number // files : len(frame) * (number + 1) // files]
            part.to_parquet(directory / name / f"{number}.parquet", index=False)
    return tables


def read_tables(directory: Path) -> Tables:
    """Return the rows that the datasets have now, read without dask."""
    frames = [
        pd.concat(
            [pd.read_parquet(path) for path in sorted((directory / name).glob("*.parquet"))],
            ignore_index=True,
        )
        for name in ("left", "right")
    ]
    return Tables(*frames)


def plain_result(recipe: Recipe, lazy: Any, target: Path) -> Any:
    """Compute a lazy result, or write it and read the files; return it as :func:`same_rows` takes it."""
    if recipe.written:
        safeframe.to_parquet(lazy, target, overwrite=True, write_index=False)
        paths = sorted(target.glob("*.parquet"), key=lambda path: int(path.name.split(".")[1]))
        return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    found = lazy.compute()
    if isinstance(found, pd.Series):
        return found.reset_index()
    if isinstance(found, pd.DataFrame):
        return found.reset_index() if found.index.name else found
    return dict(found) if isinstance(found, list) else found


def same_rows(recipe: Recipe, found: Any, expected: Any) -> bool:
    """Return whether a result has the rows that pandas has, in its order where that is promised."""
    if not isinstance(expected, pd.DataFrame):
        return (
            bool(np.array_equal(found, expected)) if isinstance(expected, np.ndarray) else found == expected
        )
    one, other = (_plain(frame, recipe.ordered) for frame in (found, expected))
    return one.equals(other)


def _plain(frame: pd.DataFrame, ordered: bool) -> pd.DataFrame:
    """Return rows as floats and strings, in an order that their values alone decide."""
    plain = pd.DataFrame(
        {
            str(name): frame[name].astype("float64")
            if pd.api.types.is_numeric_dtype(frame[name].dtype)
            else frame[name].astype(object).where(frame[name].notna(), "\0")
            for name in sorted(frame.columns, key=str)
        }
    )
    return (
        plain.reset_index(drop=True) if ordered else plain.sort_values(list(plain.columns), ignore_index=True)
    )


def _keys(shape: str, rows: int, rng: np.random.Generator) -> pd.Series:
    keys = rng.integers(0, 250, rows)
    if shape == "heavy":
        keys = np.where(rng.random(rows) < 0.6, 17, keys)
    if shape == "nulls":
        return pd.Series(np.where(rng.random(rows) < 0.1, np.nan, keys))
    return pd.Series(keys).map("key {:04d}".format) if shape == "text" else pd.Series(keys)


def _left(shape: str, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "k": _keys(shape, _LEFT_ROWS, rng),
            "n": np.arange(_LEFT_ROWS),
            "v": rng.permutation(_LEFT_ROWS),
            "s": pd.Series(rng.integers(0, 40, _LEFT_ROWS)).map("name {}".format),
        }
    )


def _right(shape: str, rng: np.random.Generator) -> pd.DataFrame:
    keys = _keys("text" if shape == "text" else "even", _RIGHT_ROWS, rng)
    return pd.DataFrame(
        {
            "k": keys.astype("float64") if shape == "nulls" else keys,
            "n": np.arange(_RIGHT_ROWS) * 9,
            "w": rng.permutation(_RIGHT_ROWS),
        }
    )


def _merge(how: str, strategy: str, **given: Any) -> Recipe:
    def build(left: dd.DataFrame, right: dd.DataFrame, staging: str) -> Any:
        where = {} if strategy == "p2p" else {"staging": staging}
        return safeframe.merge(
            left, right, on="k", how=how, strategy=strategy, partition_size=_PARTITION_SIZE, **where
        )

    return Recipe(build, lambda tables: tables.left.merge(tables.right, on="k", how=how), **given)


def _lagged(tables: Tables) -> pd.DataFrame:
    ordered = tables.left.sort_values("v")
    return ordered.assign(n_lag_1=ordered.groupby("k")["n"].shift(1))


RECIPES: dict[str, Recipe] = {
    "merge, inner": _merge("inner", "staged"),
    "merge, outer": _merge("outer", "staged"),
    "merge, broadcast": _merge("left", "broadcast", staged=False, counts=False),
    "merge, p2p": _merge("inner", "p2p", staged=False),
    "merge, written": _merge("left", "staged", written=True, phases=("stage", "seal")),
    "merge, totals": Recipe(
        lambda left, right, staging: (
            safeframe.merge(left, right, on="k", strategy="staged", staging=staging)
            .groupby("k")["w"]
            .sum()
            .reset_index()
        ),
        lambda tables: tables.left.merge(tables.right, on="k").groupby("k")["w"].sum().reset_index(),
        staged=False,
    ),
    "sorted_merge": Recipe(
        lambda left, right, staging: safeframe.sorted_merge(left, right[["n", "w"]], on="n", how="left"),
        lambda tables: tables.left.merge(tables.right[["n", "w"]], on="n", how="left").sort_values(
            "n", kind="stable"
        ),
        ordered=True,
        staged=False,
        takes_order=True,
    ),
    "sort_values": Recipe(
        lambda left, right, staging: safeframe.sort_values(
            left, "v", strategy="staged", staging=staging, partition_size=_PARTITION_SIZE
        ),
        lambda tables: tables.left.sort_values("v"),
        ordered=True,
    ),
    "sort_values, written": Recipe(
        lambda left, right, staging: safeframe.sort_values(
            left, "v", strategy="staged", staging=staging, partition_size=_PARTITION_SIZE
        ),
        lambda tables: tables.left.sort_values("v"),
        ordered=True,
        written=True,
        phases=("stage", "seal"),
    ),
    "set_index": Recipe(
        lambda left, right, staging: safeframe.set_index(
            left, "v", strategy="staged", staging=staging, partition_size=_PARTITION_SIZE
        ),
        lambda tables: tables.left.set_index("v").sort_index().reset_index(),
        ordered=True,
    ),
    "shuffle": Recipe(
        lambda left, right, staging: safeframe.shuffle(
            left, "k", strategy="staged", staging=staging, npartitions=5
        ),
        lambda tables: tables.left,
        counts=False,
    ),
    "p2p_shuffle": Recipe(
        lambda left, right, staging: safeframe.p2p_shuffle(left, "k", npartitions=5),
        lambda tables: tables.left,
        staged=False,
        counts=False,
    ),
    "rebalance": Recipe(
        lambda left, right, staging: safeframe.rebalance_partitions(
            left, partition_size=_PARTITION_SIZE, strategy="staged", staging=staging
        ),
        lambda tables: tables.left,
        ordered=True,
    ),
    "lag": Recipe(
        lambda left, right, staging: safeframe.groupby_lag_transform(
            left, "k", "n", 1, order_by="v", strategy="staged", staging=staging, partition_size=_PARTITION_SIZE
        ),
        _lagged,
    ),
    "groupby, staged": Recipe(
        lambda left, right, staging: safeframe.groupby(
            left, "k", strategy="staged", staging=staging, partition_size=_PARTITION_SIZE
        )["v"].agg(["sum", "min", "count"]),
        lambda tables: tables.left.groupby("k")["v"].agg(["sum", "min", "count"]).reset_index(),
    ),
    "groupby, ordered": Recipe(
        lambda left, right, staging: safeframe.groupby(
            left, "k", strategy="ordered", staging=staging, partition_size=_PARTITION_SIZE
        )["v"].median(),
        lambda tables: tables.left.groupby("k")["v"].median().reset_index(),
    ),
    "groupby, tree": Recipe(
        lambda left, right, staging: safeframe.groupby(left, "s", strategy="tree")["v"].agg(["sum", "max"]),
        lambda tables: tables.left.groupby("s")["v"].agg(["sum", "max"]).reset_index(),
        staged=False,
        phases=("stage", "fetch"),
    ),
    "drop_duplicates": Recipe(
        lambda left, right, staging: safeframe.drop_duplicates(left, "s", strategy="staged", staging=staging),
        lambda tables: tables.left.drop_duplicates("s"),
        ordered=True,
    ),
    "duplicated": Recipe(
        lambda left, right, staging: safeframe.duplicated(
            left, ["k", "s"], strategy="staged", staging=staging
        ).to_frame("d"),
        lambda tables: tables.left.duplicated(["k", "s"]).to_frame("d"),
        ordered=True,
    ),
    "unique": Recipe(
        lambda left, right, staging: safeframe.unique(
            left, "k", strategy="staged", staging=staging
        ).to_frame("k"),
        lambda tables: tables.left[["k"]].drop_duplicates(),
    ),
    "nunique": Recipe(
        lambda left, right, staging: safeframe.nunique(
            left, ["k", "s"], strategy="staged", staging=staging
        ).to_frame("d"),
        lambda tables: tables.left[["k", "s"]].nunique().to_frame("d"),
        counts=False,
    ),
    "value_counts": Recipe(
        lambda left, right, staging: safeframe.value_counts(
            left, "k", strategy="staged", staging=staging
        ),
        lambda tables: tables.left["k"].value_counts().reset_index(),
    ),
    "to_parquet": Recipe(
        lambda left, right, staging: left.assign(w=left["v"] + 1),
        lambda tables: tables.left.assign(w=tables.left["v"] + 1),
        ordered=True,
        written=True,
        staged=False,
        counts=False,
        phases=(),
    ),
    "rechunk": Recipe(
        lambda left, right, staging: safeframe.rechunk(
            da.from_array(_ARRAY, chunks=(60, 6)), (7, -1), staging=staging
        ),
        lambda tables: _ARRAY,
        reads=False,
        counts=False,
    ),
    "bag_groupby": Recipe(
        lambda left, right, staging: safeframe.bag_groupby(
            db.from_sequence(_BAG, npartitions=6), lambda item: item % 11, npartitions=4, staging=staging
        ),
        lambda tables: {key: [item for item in _BAG if item % 11 == key] for key in range(11)},
        reads=False,
    ),
}  # fmt: skip
"""Every recipe, the larger ones under several strategies."""

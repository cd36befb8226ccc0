"""Every recipe and strategy as a small frame with the same columns, and dask's own frame of the same rows.

Columns of every result: ``i`` (unique integers), ``k`` (few integers), ``a`` (integers),
``b`` (floats with nulls), ``s`` (strings with nulls), ``t`` (times). Of ``set_index`` and
``sort_values`` the rows are in the order of ``i``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe
from safeframe import options
from safeframe.facts.merge import MergeRun

__all__ = ["COLUMNS", "LOCAL", "RESULTS", "SOURCES", "Result", "frames", "made", "same_rows_in_dask"]

COLUMNS = ["i", "k", "a", "b", "s", "t"]
"""What every result has; lag features come after them."""
SOURCES = ("from_pandas", "parquet", "from_map")
_ROWS = 120


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    i = rng.permutation(_ROWS)
    left = pd.DataFrame(
        {
            "i": i,
            "k": rng.integers(0, 12, _ROWS),
            "a": rng.integers(-50, 50, _ROWS),
            "s": pd.Series(rng.choice(["u", "v", "wxyz", ""], _ROWS), dtype="str"),
        }
    )
    left.loc[left["a"] % 11 == 0, "s"] = None
    right = pd.DataFrame(
        {
            "k": np.arange(12),
            "b": np.where(np.arange(12) % 4 == 1, np.nan, np.arange(12) / 4),
            "t": pd.Timestamp("2024-02-28") + pd.to_timedelta(np.arange(12) * 7, unit="h"),
        }
    )
    return left, right


@functools.cache
def tables() -> dict[str, pd.DataFrame]:
    """Return the two sides, and what the other recipes take: their merge, in two orders."""
    left, right = _tables()
    whole = left.merge(right, on="k")[COLUMNS]
    return {
        "left": left,
        "left_by_k": left.sort_values("k", kind="stable", ignore_index=True),
        "right": right,
        "right_by_nothing": right.sample(frac=1, random_state=3, ignore_index=True),
        "whole": whole,
        "whole_by_i": whole.sort_values("i", ignore_index=True),
        "whole_by_k": whole.sort_values(["k", "i"], ignore_index=True),
        # Every third row is there again, in any order.
        "twice": pd.concat([whole, whole.iloc[::3]]).sample(frac=1, random_state=5, ignore_index=True),
        # What becomes an index is a column of its own: dask takes a name of both for ambiguous.
        "numbered": whole.assign(j=whole["i"]),
        "numbered_in_order": whole.assign(j=whole["i"]).sort_values("i", ignore_index=True),
        "numbered_by_k": whole.assign(j=whole["k"]).sort_values(["k", "i"], ignore_index=True),
    }


_PARTITIONS = {"right": 2, "right_by_nothing": 2}


class Parts:
    """Some partitions, for ``from_map``."""

    def __init__(self, parts: list[pd.DataFrame]) -> None:
        self.parts = parts

    def __call__(self, number: int) -> pd.DataFrame:
        return self.parts[number]


def _cut(name: str) -> list[pd.DataFrame]:
    frame, n = tables()[name], _PARTITIONS.get(name, 5)
    edges = [len(frame) * number // n for number in range(n + 1)]
    return [frame.iloc[lo:hi].reset_index(drop=True) for lo, hi in itertools.pairwise(edges)]


def frames(name: str, source: str, directory: Path) -> dd.DataFrame:
    """Return one of the tables as a dask frame of unknown divisions."""
    parts = _cut(name)
    if source == "from_map":
        return dd.from_map(Parts(parts), range(len(parts)), meta=parts[0].iloc[:0])
    if source == "from_pandas":
        return dd.from_pandas(tables()[name], npartitions=len(parts), sort=False)
    target = directory / name
    if not target.exists():
        target.mkdir()
        for number, part in enumerate(parts):
            part.to_parquet(target / f"part.{number}.parquet", index=False)
    return dd.read_parquet(target)


@dataclass(frozen=True)
class Result:
    """A recipe with a strategy."""

    name: str
    make: Callable[[Callable[[str], dd.DataFrame]], dd.DataFrame]
    """Makes the collection, given a function that makes a table's frame."""
    strategy: str
    """What the plan has to say, so that the matrix looks at what it says it looks at."""
    partitions: int = 2
    """How many there are at least: a tree makes one."""
    table: bool = False
    """Whether it is looked up in a table, which only sides in parquet files are."""

    @property
    def counted_index(self) -> bool:
        """Whether the index counts the rows of each partition, as those of a merge by columns and of groups do."""
        return self.name.startswith(("merge", "sorted_merge", "groupby")) and not self.name.endswith("index")

    @property
    def sources(self) -> tuple[str, ...]:
        """What it can be made from."""
        return ("parquet",) if self.table else SOURCES

    @property
    def needs_workers(self) -> bool:
        """Whether it runs on distributed workers alone."""
        return self.strategy == "p2p"


def _merge(left: str, right: str, **arguments: Any) -> Callable[..., dd.DataFrame]:
    def make(table: Callable[[str], dd.DataFrame]) -> dd.DataFrame:
        return safeframe.merge(table(left), table(right), on="k", **arguments)

    return make


def _one(recipe: str, name: str, *positional: Any, **arguments: Any) -> Callable[..., dd.DataFrame]:
    def make(table: Callable[[str], dd.DataFrame]) -> dd.DataFrame:
        return getattr(safeframe, recipe)(table(name), *positional, **arguments)

    return make


def _table_merge(table: Callable[[str], dd.DataFrame]) -> dd.DataFrame:
    least = options.TABLE_MIN_ROWS
    options.TABLE_MIN_ROWS = 1
    try:
        return safeframe.merge(table("left"), table("right"), on="k", how="left")
    finally:
        options.TABLE_MIN_ROWS = least


def _groups(**arguments: Any) -> Callable[..., dd.DataFrame]:
    """Group by what each row has alone, so that groups are the rows."""

    def make(table: Callable[[str], dd.DataFrame]) -> dd.DataFrame:
        return safeframe.groupby(table("whole"), "i", as_index=False, **arguments).first()

    return make


_SMALL = "2KiB"
_lag = functools.partial(_one, "groupby_lag_transform")

RESULTS = {
    result.name: result
    for result in (
        Result("merge-broadcast", _merge("left", "right", strategy="broadcast"), "broadcast"),
        Result(
            "merge-broadcast-left-side",
            _merge("right", "left", strategy="broadcast", how="right"),
            "broadcast",
        ),
        Result(
            "merge-broadcast-pieces", _merge("left", "right", strategy="broadcast", partition_size="1KiB"), "broadcast"
        ),
        Result("merge-table", _table_merge, "broadcast", table=True),
        Result(
            "merge-sorted",
            _merge("left_by_k", "right", strategy="sorted", partition_size=_SMALL, how="left"),
            "sorted",
        ),
        Result(
            "merge-sorted-one-side",
            _merge("left_by_k", "right_by_nothing", strategy="sorted-one-side", partition_size=_SMALL),
            "sorted-one-side",
        ),
        Result(
            "merge-staged",
            _merge("left", "right", strategy="staged", partition_size=_SMALL, how="outer"),
            "staged",
        ),
        Result(
            "merge-staged-index",
            lambda table: safeframe.merge(
                safeframe.set_index(table("left").assign(j=lambda frame: frame.i), "j", partition_size=_SMALL),
                safeframe.set_index(table("numbered"), "j", partition_size=_SMALL)[["b", "t"]],
                left_index=True,
                right_index=True,
                strategy="staged",
                partition_size=_SMALL,
            ),
            "staged",
        ),
        Result("merge-p2p", _merge("left", "right", strategy="p2p"), "p2p"),
        Result("sorted_merge", lambda table: safeframe.sorted_merge(table("left_by_k"), table("right"), on="k"), "sorted"),
        Result(
            "set_index-sorted", _one("set_index", "numbered_in_order", "j", strategy="sorted"), "sorted"
        ),
        Result(
            "set_index-aligned", _one("set_index", "numbered_by_k", "j", strategy="sorted"), "sorted"
        ),
        Result(
            "set_index-staged",
            _one("set_index", "numbered", "j", strategy="staged", partition_size=_SMALL),
            "staged",
        ),
        Result(
            "set_index-p2p",
            _one("set_index", "numbered", "j", strategy="p2p", partition_size=_SMALL),
            "p2p",
        ),
        Result(
            "sort_values-sorted", _one("sort_values", "whole_by_i", "i", strategy="sorted"), "sorted"
        ),
        Result(
            "sort_values-staged",
            _one("sort_values", "whole", ["i"], ascending=False, strategy="staged", partition_size=_SMALL),
            "staged",
        ),
        Result(
            "sort_values-p2p",
            _one("sort_values", "whole", "i", strategy="p2p", partition_size=_SMALL),
            "p2p",
        ),
        Result("shuffle-staged", _one("shuffle", "whole", "k", npartitions=4, strategy="staged"), "staged"),
        Result("shuffle-p2p", _one("shuffle", "whole", "k", npartitions=4, strategy="p2p"), "p2p"),
        Result("p2p_shuffle", _one("p2p_shuffle", "whole", "k", npartitions=4), "p2p"),
        Result(
            "rebalance-merged", _one("rebalance_partitions", "whole", npartitions=2, strategy="merged"), "merged"
        ),
        Result(
            "rebalance-sliced",
            _one("rebalance_partitions", "whole", npartitions=7, strategy="sliced"),
            "sliced",
        ),
        Result(
            "rebalance-staged",
            _one("rebalance_partitions", "whole", npartitions=7, strategy="staged"),
            "staged",
        ),
        Result(
            "drop_duplicates-whole",
            lambda table: safeframe.drop_duplicates(safeframe.shuffle(table("twice"), "i", npartitions=4), "i"),
            "whole",
        ),
        Result("drop_duplicates-tree", _one("drop_duplicates", "twice", "i", strategy="tree"), "tree"),
        Result("drop_duplicates-staged", _one("drop_duplicates", "twice", "i", strategy="staged"), "staged"),
        Result(
            "drop_duplicates-parked",
            lambda table: safeframe.drop_duplicates(
                safeframe.shuffle(table("twice"), "k", npartitions=4), "i", strategy="staged"
            ),
            "staged",
        ),
        Result("lag-halo", _lag("whole_by_k", "k", "a", 1, strategy="halo"), "halo"),
        Result(
            "lag-staged",
            _lag("whole", "k", ["a", "b"], [1, 2], order_by="i", strategy="staged", partition_size=_SMALL),
            "staged",
        ),
        Result("lag-p2p", _lag("whole", "k", "a", 1, strategy="p2p", partition_size=_SMALL), "p2p"),
        Result(
            "lag-whole",
            lambda table: safeframe.groupby_lag_transform(
                safeframe.shuffle(table("whole"), "k", npartitions=4), "k", "a", 1, strategy="whole"
            ),
            "whole",
        ),
        Result("groupby-tree", _groups(strategy="tree"), "tree", partitions=1),
        Result("groupby-staged", _groups(strategy="staged", npartitions=3), "staged"),
    )
}  # fmt: skip

LOCAL = [name for name, result in RESULTS.items() if not result.needs_workers]


def made(name: str, source: str, directory: Path) -> dd.DataFrame:
    """Make a result, and look whether it is made in the way that it has the name of."""
    result = RESULTS[name]
    collection = result.make(lambda table: frames(table, source, directory))
    plan = safeframe.explain(collection)
    by_table = isinstance(plan.run, MergeRun) and plan.run.table is not None
    assert (plan.strategy, by_table) == (result.strategy, result.table)
    assert collection.npartitions >= result.partitions, "one partition is no test of partitions"
    return collection


def same_rows_in_dask(collection: dd.DataFrame) -> dd.DataFrame:
    """Return dask's own frame with the same rows, partitions, divisions and meta."""
    parts = list(dask.compute(*collection.to_delayed()))
    return dd.from_map(Parts(parts), range(len(parts)), meta=collection._meta, divisions=collection.divisions)

"""Every recipe and strategy as a function that gives a frame's rows back, to see what becomes of a column."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe

__all__ = ["KEPT", "MOVED", "in_parts", "rows_of"]


def in_parts(parts, *, known=False, meta=None):
    """Make a collection of frames with an increasing column ``k``, as they are."""
    divisions = (*(part["k"].iloc[0] for part in parts), parts[-1]["k"].iloc[-1]) if known else None
    with dask.config.set({"dataframe.convert-string": False}):
        meta = parts[0].iloc[:0] if meta is None else meta
        if known:
            parts, meta = [part.set_index("k") for part in parts], meta.set_index("k")
        return dd.from_map(lambda i: parts[i], range(len(parts)), meta=meta, divisions=divisions)


def _other(n, *, known=False):
    frame = pd.DataFrame({"k": np.arange(n), "v": np.arange(n) / 2})
    if known:
        return dd.from_pandas(frame.set_index("k"), npartitions=2)
    return dd.from_pandas(frame, npartitions=2)


def _merge(strategy, how, *, swapped=False):
    def recipe(parts, meta, staging):
        sides = [in_parts(parts, meta=meta), _other(sum(map(len, parts)))]
        sides = sides[::-1] if swapped else sides
        return safeframe.merge(*sides, on="k", how=how, strategy=strategy, staging=staging)

    return recipe


def _ordered_merge(strategy, how):
    def recipe(parts, meta, staging):
        frame = in_parts(parts, known=True, meta=meta)
        n = sum(map(len, parts))
        other = _other(n, known=strategy == "sorted")
        if strategy == "sorted":
            return safeframe.merge(
                frame, other, left_index=True, right_index=True, how=how, strategy=strategy, staging=staging
            )
        return safeframe.merge(
            frame, other, left_index=True, right_on="k", how=how, strategy=strategy, staging=staging
        )

    return recipe


def _moved_merge(parts, meta, staging):
    other = _other(sum(map(len, parts)), known=True)
    frame = in_parts(parts, meta=meta)
    return safeframe.merge(
        other, frame, left_index=True, right_on="k", strategy="sorted-one-side", staging=staging
    )


def _of_frame(function):
    return lambda parts, meta, staging: function(in_parts(parts, meta=meta), staging)


def _lag(ddf, staging):
    return safeframe.groupby_lag_transform(
        ddf.assign(g=ddf["k"] % 2), "g", "o", [1], order_by="k", staging=staging
    )


KEPT = {
    "merge-broadcast-inner": _merge("broadcast", "inner"),
    "merge-broadcast-built-of-it": _merge("broadcast", "left", swapped=True),
    "merge-sorted-inner": _ordered_merge("sorted", "inner"),
    "merge-sorted-outer": _ordered_merge("sorted", "outer"),
    "rebalance-in-place": _of_frame(lambda ddf, _: safeframe.rebalance_partitions(ddf, npartitions=2)),
}
"""Recipes that write no row to a file."""

MOVED = {
    "merge-staged-inner": _merge("staged", "inner"),
    "merge-staged-left": _merge("staged", "left"),
    "merge-staged-left-swapped": _merge("staged", "left", swapped=True),
    "merge-staged-outer": _merge("staged", "outer"),
    "merge-sorted-one-side-left": _ordered_merge("sorted-one-side", "left"),
    "merge-sorted-one-side-moved": _moved_merge,
    "sort_values": _of_frame(
        lambda ddf, staging: safeframe.sort_values(ddf, "k", ascending=False, staging=staging)
    ),
    "set_index": _of_frame(
        lambda ddf, staging: safeframe.set_index(ddf.assign(i=-ddf["k"]), "i", staging=staging)
    ),
    "shuffle": _of_frame(lambda ddf, staging: safeframe.shuffle(ddf, "k", npartitions=3, staging=staging)),
    "rebalance-staged": _of_frame(
        lambda ddf, staging: safeframe.rebalance_partitions(
            ddf, npartitions=2, strategy="staged", staging=staging
        )
    ),
    "lag": _of_frame(_lag),
}
"""Recipes that stage rows."""


def rows_of(collection) -> pd.DataFrame:
    """Compute a collection, hold its partitions to its types, and give its rows by ``k``."""
    parts = dask.compute(*collection.to_delayed())
    for part in parts:
        for name, dtype in collection._meta.dtypes.items():
            same = part[name].dtype == dtype
            both = isinstance(part[name].dtype, pd.CategoricalDtype) and isinstance(
                dtype, pd.CategoricalDtype
            )
            assert same or both, f"{name} is {part[name].dtype} in a partition, and was to be {dtype}"
    frame = collection.compute()
    if "k" not in frame:
        frame = frame.rename_axis("k").reset_index()
    return frame.sort_values("k", ignore_index=True)

"""What dask users call on a frame: each call by a name, as a function of the frame.

A call returns a collection, something computed, or a list or dict of them. Calls in
``UNORDERED`` may give rows in another order; all others give dask's own order.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd

__all__ = [
    "DASK_FAILS",
    "FILTERS",
    "GROUPS",
    "IN_FILES",
    "NOT_AFTER_P2P",
    "NOT_OF_ONE_PARTITION",
    "NOT_WITH_A_SCHEDULER_IN_THIS_PROCESS",
    "UNORDERED",
    "WITHOUT_INDEX",
    "calls_of",
]


def _low(d: dd.DataFrame) -> Any:
    return d.divisions[1]


def _high(d: dd.DataFrame) -> Any:
    return d.divisions[-2] if d.npartitions > 2 else d.divisions[-1]


def _other(d: dd.DataFrame) -> dd.DataFrame:
    small = pd.DataFrame({"k": np.arange(9), "w": np.arange(9) * 1.5})
    return dd.from_pandas(small, npartitions=2)


def _doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(z=frame["a"] * 2)


def _spread() -> dd.Aggregation:
    return dd.Aggregation(
        "spread",
        chunk=lambda group: (group.max(), group.min()),
        agg=lambda most, least: (most.max(), least.min()),
        finalize=lambda most, least: most - least,
    )


def _changed(d: dd.DataFrame) -> dd.DataFrame:
    """d["z"] = d.a + 1"""
    copy = d.copy()
    copy["z"] = copy.a + 1
    return copy


INDEXING = {
    "getitem-column": lambda d: d["a"],
    "getitem-columns": lambda d: d[["b", "i"]],
    "attribute": lambda d: d.a,
    "filter": lambda d: d[d.a > 5],
    "filter-two": lambda d: d[(d.a > 5) & (d.k < 6)],
    "filter-or-strings": lambda d: d[(d.s == "u") | (d.s == "v")],
    "filter-isin": lambda d: d[d.k.isin([1, 2, 3])],
    "filter-nulls": lambda d: d[d.b.isna()],
    "filter-then-project": lambda d: d[d.a > 0][["i", "s"]],
    "filter-nothing-left": lambda d: d[d.a > 10**6],
    "query": lambda d: d.query("a > 5 and k < 6"),
    "loc-mask": lambda d: d.loc[d.a > 5],
    "loc-mask-columns": lambda d: d.loc[d.a > 5, ["a", "b"]],
    "loc-column": lambda d: d.loc[:, "a"],
    "loc-dask-array": lambda d: d.loc[d.a.values > 5],
    "iloc-columns": lambda d: d.iloc[:, [0, 2]],
    "head": lambda d: d.head(),
    "head-more": lambda d: d.head(30, npartitions=2),
    "head-all": lambda d: d.head(1000, npartitions=-1),
    "head-lazy": lambda d: d.head(3, compute=False),
    "head-of-column": lambda d: d.a.head(),
    "tail": lambda d: d.tail(),
    "tail-lazy": lambda d: d.tail(3, compute=False),
    "tail-of-column": lambda d: d.a.tail(2),
    "index": lambda d: d.index,
    "index-max": lambda d: d.index.max(),
    "index-to-series": lambda d: d.index.to_series(),
    "columns-etc": lambda d: [list(d.columns), d.dtypes.to_dict(), d.ndim, d.npartitions, d.divisions],
    "shape": lambda d: [d.shape[0], d.shape[1]],
    "size": lambda d: d.size,
    "len": len,
    "len-of-filter": lambda d: len(d[d.a > 0]),
    "len-of-column": lambda d: len(d.b),
    "select-dtypes": lambda d: d.select_dtypes("number"),
    "nlargest": lambda d: d.nlargest(4, "i"),
    "nsmallest": lambda d: d.nsmallest(4, "i"),
    "sample": lambda d: d.sample(frac=0.5, random_state=1),
    "random-split": lambda d: d.random_split([0.5, 0.5], random_state=1)[0],
    "iterrows": lambda d: [row.i for _, row in d.iterrows()],
    "itertuples": lambda d: [row.i for row in d.itertuples()],
    "iterate-columns": list,
    "items": lambda d: [name for name, _ in d.items()],
    "drop": lambda d: d.drop(columns=["a", "s"]),
    "pop": lambda d: d.copy().pop("a"),
}

PARTITIONS = {
    "partitions-first": lambda d: d.partitions[0],
    "partitions-second": lambda d: d.partitions[1],
    "partitions-last": lambda d: d.partitions[-1],
    "partitions-slice": lambda d: d.partitions[1:],
    "partitions-list": lambda d: d.partitions[[d.npartitions - 1, 0]],
    "partitions-of-partitions": lambda d: d.partitions[1:].partitions[0],
    "partitions-sum": lambda d: d.partitions[-1].a.sum(),
    "partitions-column": lambda d: d.a.partitions[1],
    "partitions-of-filter": lambda d: d[d.a > 0].partitions[1],
    "partitions-of-assign": lambda d: d.assign(z=d.a + d.k).partitions[1],
    "partitions-each": lambda d: [part.a.sum() for part in d.partitions],
    "partitions-len": lambda d: [len(part) for part in d.partitions],
    "partitions-map": lambda d: d.partitions[1].map_partitions(_doubled),
    "get-partition": lambda d: d.get_partition(1),
    "get-partition-last": lambda d: d.get_partition(d.npartitions - 1),
    "map-partitions": lambda d: d.map_partitions(_doubled),
    "map-partitions-len": lambda d: d.map_partitions(len),
    "map-partitions-meta": lambda d: d.map_partitions(lambda f: f[["a"]], meta=d._meta[["a"]]),
    "map-partitions-info": lambda d: d.map_partitions(
        lambda f, partition_info=None: pd.Series([(partition_info or {}).get("number", -1)]),
        meta=pd.Series([], dtype="int64"),
    ),
    "map-partitions-two": lambda d: d.map_partitions(lambda f, g: f.assign(z=g), d.a),
    "map-overlap": lambda d: d.map_overlap(lambda f: f.assign(z=f["a"].shift(1)), 1, 0),
    "map-overlap-both": lambda d: d[["a"]].map_overlap(lambda f: f.rolling(3, center=True).sum(), 1, 1),
    "repartition-fewer": lambda d: d.repartition(npartitions=1),
    "repartition-two": lambda d: d.repartition(npartitions=2),
    "repartition-more": lambda d: d.repartition(npartitions=2 * d.npartitions),
    "repartition-size": lambda d: d.repartition(partition_size="1kB"),
    "clear-divisions": lambda d: d.clear_divisions(),
    "clear-divisions-then": lambda d: d.clear_divisions().map_partitions(_doubled),
    "memory-usage-per-partition": lambda d: len(d.memory_usage_per_partition().compute()),
    "to-delayed": lambda d: list(dask.compute(*d.to_delayed())),
    "to-delayed-one": lambda d: d.to_delayed()[1].compute(),
    "from-delayed": lambda d: dd.from_delayed(d.to_delayed(), meta=d._meta),
}

KNOWN_DIVISIONS = {
    "loc-range": lambda d: d.loc[_low(d) : _high(d)],
    "loc-up-to": lambda d: d.loc[: _low(d)],
    "loc-from": lambda d: d.loc[_high(d) :],
    "loc-one": lambda d: d.loc[_low(d)],
    "loc-some": lambda d: d.loc[[_low(d), _high(d)]],
    "loc-range-columns": lambda d: d.loc[_low(d) : _high(d), ["a"]],
    "loc-range-sum": lambda d: d.loc[_low(d) : _high(d)].a.sum(),
    "loc-len": lambda d: len(d.loc[_high(d) :]),
    "loc-outside": lambda d: d.loc[d.divisions[-1] + 5 :],
    "repartition-divisions": lambda d: d.repartition(divisions=[d.divisions[0], d.divisions[-1]]),
    "repartition-divisions-more": lambda d: d.repartition(
        divisions=[d.divisions[0], _low(d), d.divisions[-1]]
    ),
    "repartition-divisions-wider": lambda d: d.repartition(
        divisions=[d.divisions[0] - 5, d.divisions[-1] + 5], force=True
    ),
    "join-itself": lambda d: d[["a"]].join(d[["b"]].rename(columns={"b": "c"})),
    "join-other": lambda d: d.join(
        dd.from_pandas(pd.DataFrame({"w": range(90)}, index=range(90)), npartitions=3)
    ),
    "merge-index": lambda d: d[["a"]].merge(
        dd.from_pandas(pd.DataFrame({"w": range(90)}, index=range(90)), npartitions=3),
        left_index=True,
        right_index=True,
    ),
    "merge-asof": lambda d: dd.merge_asof(
        d[["a"]],
        dd.from_pandas(pd.DataFrame({"w": range(9)}, index=range(0, 90, 10)), npartitions=2),
        left_index=True,
        right_index=True,
    ),
    "concat-known": lambda d: dd.concat([d, d.loc[_high(d) :]]),
    "concat-columns": lambda d: dd.concat([d[["a"]], d[["b"]]], axis=1),
    "align": lambda d: list(
        d[["a"]].align(dd.from_pandas(pd.DataFrame({"a": range(90)}, index=range(90)), npartitions=3))
    ),
    "add-aligned": lambda d: d.a + dd.from_pandas(pd.Series(range(90), index=range(90)), npartitions=3),
    "reset-index-known": lambda d: d.drop(columns=[c for c in d.columns if c == d.index.name]).reset_index(),
    "groupby-index": lambda d: d.a.groupby(d.index).sum(),
}

ROWS = {
    "assign": lambda d: d.assign(z=d.a + d.k, y=1),
    "assign-function": lambda d: d.assign(z=lambda f: f.a * 2),
    "assign-values": lambda d: d.assign(z=d.a.values),
    "setitem": _changed,
    "rename": lambda d: d.rename(columns={"a": "A"}),
    "add-prefix": lambda d: d.add_prefix("p_"),
    "astype": lambda d: d.astype({"a": "float64"}),
    "fillna": lambda d: d.fillna({"b": 0.5}),
    "dropna": lambda d: d.dropna(),
    "dropna-subset": lambda d: d.dropna(subset=["b"]),
    "replace": lambda d: d[["a", "k"]].replace({3: 33}),
    "clip": lambda d: d[["a"]].clip(-5, 5),
    "round": lambda d: d[["b"]].round(1),
    "abs": lambda d: d[["a"]].abs(),
    "where": lambda d: d[["a"]].where(d.a > 0),
    "mask": lambda d: d.a.mask(d.a > 0, 0),
    "eval": lambda d: d.eval("z = a + k"),
    "isna": lambda d: d.isna(),
    "between": lambda d: d.a.between(-3, 3),
    "map": lambda d: d.k.map({1: 10, 2: 20}, meta=("k", "float64")),
    "apply-rows": lambda d: d.apply(lambda row: row["a"] + 1, axis=1, meta=(None, "int64")),
    "applymap": lambda d: d[["a", "k"]].map(lambda value: value + 1),
    "arithmetic": lambda d: d[["a", "k"]] + d[["a", "k"]] * 2,
    "ufunc": lambda d: np.log1p(d.k),
    "compare": lambda d: d.a >= d.k,
    "strings": lambda d: d.s.str.upper(),
    "string-length": lambda d: d.s.str.len(),
    "times": lambda d: d.t.dt.day,
    "to-frame": lambda d: d.a.to_frame("z"),
    "explode": lambda d: d.assign(z=d.s.str.split("x")).explode("z"),
    "melt": lambda d: d[["k", "a"]].melt(id_vars="k"),
    "categorize": lambda d: d.categorize(["s"]),
    "categorize-then": lambda d: d.categorize(["s"]).s.cat.codes,
    "get-dummies": lambda d: dd.get_dummies(d.categorize(["s"])[["s", "a"]]),
    "combine-first": lambda d: d.b.combine_first(d.a),
    "diff": lambda d: d[["a"]].diff(),
    "shift": lambda d: d[["a"]].shift(2),
    "cumsum": lambda d: d.a.cumsum(),
    "cumsum-frame": lambda d: d[["a", "k"]].cumsum(),
    "cummax": lambda d: d.a.cummax(),
    "cumprod": lambda d: d.k.cumprod(),
    "ffill": lambda d: d[["b"]].ffill(),
    "bfill": lambda d: d[["b"]].bfill(),
    "rolling": lambda d: d[["a", "k"]].rolling(3).sum(),
    "rolling-apply": lambda d: d.a.rolling(4, min_periods=1).mean(),
    "times-floor": lambda d: d.t.dt.floor("D"),
    "squeeze": lambda d: d[["a"]].squeeze(),
    "isin-frame": lambda d: d[["a", "k"]].isin([1, 2]),
    "pipe": lambda d: d.pipe(lambda f: f[f.a > 3]),
    "nunique-approx": lambda d: d.i.nunique_approx(),
    "reset-index-drop": lambda d: d.reset_index(drop=True),
    "set-index": lambda d: d.set_index("i"),
    "set-index-npartitions": lambda d: d.set_index("i", npartitions=2),
    "sort-values": lambda d: d.sort_values("i"),
    "shuffle": lambda d: d.shuffle("k", npartitions=3).map_partitions(len).sum(),
}

REDUCING = {
    **{
        name: (lambda d, name=name: getattr(d[["i", "a", "b"]], name)())
        for name in ("sum", "mean", "min", "max", "count", "std", "var", "sem", "prod", "any", "all")
    },
    **{
        f"column-{name}": (lambda d, name=name: getattr(d.a, name)())
        for name in (
            "sum",
            "mean",
            "min",
            "max",
            "count",
            "std",
            "var",
            "prod",
            "nunique",
            "skew",
            "kurtosis",
        )
    },
    "key-sum": lambda d: d.k.sum(),
    "float-mean": lambda d: d.b.mean(),
    "string-max": lambda d: d.s.dropna().max(),
    "time-max": lambda d: d.t.max(),
    "unique": lambda d: d.k.unique(),
    "value-counts": lambda d: d.k.value_counts(),
    "value-counts-split": lambda d: d.k.value_counts(split_out=2),
    "value-counts-normalize": lambda d: d.k.value_counts(normalize=True),
    "mode": lambda d: d[["k"]].mode(),
    "quantile": lambda d: d.i.quantile(0.5),
    "quantile-frame": lambda d: d[["i", "a"]].quantile(0.25),
    "describe": lambda d: d[["i", "a", "b"]].describe(),
    "corr": lambda d: d[["a", "b"]].corr(),
    "cov": lambda d: d[["a", "b"]].cov(),
    "idxmax": lambda d: d[["i"]].reset_index(drop=True).idxmax(),
    "memory-usage": lambda d: d[["a"]].memory_usage(index=False),
    "nbytes": lambda d: d.a.nbytes,
    "drop-duplicates": lambda d: d[["k"]].drop_duplicates(),
    "drop-duplicates-split": lambda d: d[["k", "s"]].drop_duplicates(split_out=2),
    "drop-duplicates-subset": lambda d: len(d.drop_duplicates(subset=["k"])),
    "nunique": lambda d: d[["k", "s"]].nunique(),
    "reduction": lambda d: d.a.reduction(lambda s: s.sum(), aggregate=lambda s: s.sum()),
    "sum-axis-1": lambda d: d[["a", "k"]].sum(axis=1),
    "sum-split-every": lambda d: d.a.sum(split_every=2),
    "sum-of-filter": lambda d: d[d.k > 3].a.sum(),
    "sum-of-product": lambda d: (d.a * d.b).sum(),
    "isna-sum": lambda d: d.isna().sum(),
    "pivot-table": lambda d: d.categorize(["s"]).pivot_table(
        index="k", columns="s", values="a", aggfunc="sum"
    ),
}

GROUPING = {
    **{
        f"groupby-{name}": (lambda d, name=name: getattr(d.groupby("k")[["a", "b"]], name)())
        for name in ("sum", "mean", "min", "max", "count", "std", "var", "first", "last", "prod", "median")
    },
    "groupby-size": lambda d: d.groupby("k").size(),
    "groupby-one-column": lambda d: d.groupby("k").a.sum(),
    "groupby-string": lambda d: d.groupby("s").a.sum(),
    "groupby-string-nulls": lambda d: d.groupby("s", dropna=False).a.count(),
    "groupby-two": lambda d: d.groupby(["k", "s"]).a.sum(),
    "groupby-series": lambda d: d.groupby(d.a % 3).b.sum(),
    "groupby-new-column": lambda d: d.assign(z=d.a // 10).groupby("z").b.mean(),
    "groupby-agg-list": lambda d: d[["k", "a"]].groupby("k").agg(["sum", "count"]),
    "groupby-agg-dict": lambda d: d.groupby("k").agg({"a": ["sum", "max"], "b": "mean"}),
    "groupby-agg-named": lambda d: d.groupby("k").agg({"a": "sum", "b": "count"}),
    "groupby-agg-own": lambda d: d.groupby("k").agg({"a": _spread()}),
    "groupby-nunique": lambda d: d.groupby("k").s.nunique(),
    "groupby-value-counts": lambda d: d.groupby("k").s.value_counts(),
    "groupby-unique": lambda d: d.groupby("k").s.unique().map(len, meta=("s", "int64")),
    "groupby-cov": lambda d: d.groupby("k")[["a", "i"]].cov(),
    "groupby-corr": lambda d: d.groupby("k")[["a", "i"]].corr(),
    "groupby-max-without-index": lambda d: d.reset_index(drop=True).groupby("k").i.max(),
    "groupby-apply": lambda d: d.groupby("k")[["a"]].apply(lambda g: g["a"].sum(), meta=(None, "int64")),
    "groupby-transform": lambda d: d.groupby("k").a.transform(lambda g: g - g.sum(), meta=("a", "int64")),
    # Of the rows of a group in several partitions dask's shuffle keeps no order.
    "groupby-shift": lambda d: d.groupby("k").a.shift(1, meta=("a", "float64")).count(),
    "groupby-cumsum": lambda d: d.groupby("k").a.cumsum(),
    "groupby-cumcount": lambda d: d.groupby("k").cumcount(),
    "groupby-ffill": lambda d: d.groupby("k").b.ffill(),
    "groupby-head": lambda d: d.groupby("k").i.head(2),
    "groupby-get-group": lambda d: d.groupby("k").get_group(3),
    "groupby-split-out": lambda d: d.groupby("k").a.sum(split_out=2),
    "groupby-split-out-mean": lambda d: d.groupby(["k", "s"]).a.mean(split_out=3),
    "groupby-split-out-true": lambda d: d.groupby("k").a.sum(split_out=True),
    "groupby-split-out-reset": lambda d: d.groupby("k").a.sum(split_out=True).reset_index(),
    "groupby-split-every": lambda d: d.groupby("k").a.sum(split_every=2),
    "groupby-agg-split-out": lambda d: d.groupby("k").agg({"a": "sum", "b": "mean"}, split_out=2),
    "groupby-unsorted": lambda d: d.groupby("k", sort=False).a.sum(),
    "groupby-then-merge": lambda d: d.merge(
        d.groupby("k").a.sum().reset_index().rename(columns={"a": "total"}), on="k"
    ),
    "groupby-split-out-then-merge": lambda d: d.merge(
        d.groupby("k").a.sum(split_out=True).reset_index().rename(columns={"a": "total"}), on="k"
    ),
    "groupby-rolling": lambda d: d.groupby("k").a.rolling(2).sum(),
}

JOINING = {
    "merge-pandas": lambda d: d.merge(pd.DataFrame({"k": range(9), "w": range(9)}), on="k"),
    "merge-dask": lambda d: d.merge(_other(d), on="k", how="left"),
    "merge-shuffled": lambda d: d.merge(_other(d), on="k", shuffle_method="tasks", broadcast=False),
    "merge-broadcast": lambda d: d.merge(_other(d), on="k", broadcast=True),
    "merge-from-other": lambda d: _other(d).merge(d, on="k", how="left"),
    "merge-itself": lambda d: d.merge(d[["i", "a"]].rename(columns={"a": "c"}), on="i"),
    "merge-semi": lambda d: d.merge(_other(d), on="k", how="leftsemi"),
    "merge-outer": lambda d: d.merge(_other(d), on="k", how="outer", indicator=True),
    "concat-itself": lambda d: dd.concat([d, d]),
    "concat-other": lambda d: dd.concat([d[["k"]], _other(d)[["k"]]]),
    "concat-interleave": lambda d: dd.concat([d, d.partitions[[0]]], interleave_partitions=True),
    "concat-series": lambda d: dd.concat([d.a, d.k]),
    "add-itself": lambda d: d.a + d.a,
    "add-of-filter": lambda d: d[d.a > 0].a + d[d.a > 0].k,
}

MECHANICS = {
    "compute": lambda d: d,
    "persist": lambda d: d.persist(),
    "persist-column": lambda d: d[["b"]].persist(),
    "persist-then": lambda d: d.persist().groupby("k").a.sum(),
    "persist-partitions": lambda d: d.persist().partitions[1],
    "dask-persist": lambda d: dask.persist(d)[0],
    "dask-persist-several": lambda d: list(dask.persist(d, d.a, d[["k"]])),
    "dask-persist-sum": lambda d: list(dask.persist(d.a.sum(), d[d.a > 0])),
    "optimize": lambda d: d.optimize(),
    "optimize-twice": lambda d: d.optimize().optimize(),
    "optimize-unfused": lambda d: d.optimize(fuse=False),
    "optimize-then": lambda d: d.optimize()[["a", "k"]].sum(),
    "optimize-partitions": lambda d: d.optimize().partitions[1],
    "optimize-column": lambda d: d[["a"]].optimize(),
    "optimize-persist": lambda d: d.optimize().persist(),
    "optimize-of-filter": lambda d: d[d.a > 1].optimize(),
    "lower-once": lambda d: d.lower_once(),
    "delayed": lambda d: dask.delayed(len)(d),
    "delayed-of-column": lambda d: dask.delayed(lambda column: column.sum())(d.a),
    "delayed-of-optimized": lambda d: dask.delayed(len)(d.optimize()),
    "delayed-several": lambda d: dask.delayed(lambda x, y: len(x) + y)(d, d.a.sum()),
    "compute-several": lambda d: list(dask.compute(d, d.a.sum(), d.a.max())),
    "compute-with-groups": lambda d: list(dask.compute(d.a.sum(), d.groupby("k").a.sum())),
    "compute-nested": lambda d: list(dask.compute({"sum": d.a.sum(), "rows": [d[["a"]]]})),
    "compute-same-twice": lambda d: list(dask.compute(d, d)),
    "compute-again": lambda d: [d.compute(), d.compute()],
    "compute-unoptimized": lambda d: d.compute(optimize_graph=False),
    # Of one frame alone, see test_local.
    "dask-optimize-several": lambda d: [part.compute() for part in dask.optimize(d, d.a.sum())],
    "pickle": lambda d: pickle.loads(pickle.dumps(d)),
    "pickle-of-filter": lambda d: pickle.loads(pickle.dumps(d[d.a > 0])),
    "copy": lambda d: d.copy(),
    "name-stays": lambda d: [d.optimize()._name == d.optimize()._name, d._name == d.copy()._name],
    "keys-of-graph": lambda d: set(d.optimize().__dask_keys__()) <= set(d.optimize().__dask_graph__()),
    "tokenize": lambda d: dask.base.tokenize(d) == dask.base.tokenize(d),
    "repr": lambda d: [isinstance(repr(d), str), isinstance(str(d.a), str), isinstance(d._repr_html_(), str)],
    "tree-repr": lambda d: isinstance(d.expr.tree_repr(), str),
    "explain": lambda d: d.simplify().columns.tolist(),
    "to-bag": lambda d: d[["i", "a"]].to_bag(),
    "to-bag-dict": lambda d: d[["i"]].to_bag(format="dict"),
    "bag-of-delayed": lambda d: db.from_delayed(d[["i"]].to_delayed()).count(),
    "to-dask-array": lambda d: d[["i", "a"]].to_dask_array(lengths=True),
    "to-dask-array-sum": lambda d: d[["i", "a"]].to_dask_array().sum(axis=0),
    "values": lambda d: d.a.values,
    "array-of-index": lambda d: d.index.to_dask_array(lengths=True),
    "to-records": lambda d: len(d[["i", "a"]].to_records(lengths=True).compute()),
    "to-backend": lambda d: d.to_backend("pandas"),
    "ordered-steps": lambda d: d[d.a > 0].assign(z=lambda f: f.a + 1)[["z", "k"]].groupby("k").z.sum(),
    "results-of-two": lambda d: d.a.sum() + d.k.max(),
    "map-partitions-of-two-results": lambda d: d.map_partitions(
        lambda f, g: f.assign(z=g["a"]), d[["a"]].map_partitions(lambda g: g)
    ),
}


def _csv(d: dd.DataFrame, path: str) -> Any:
    """d.to_csv("*.csv", index=False)"""
    return len(pd.concat(pd.read_csv(name) for name in d.to_csv(f"{path}/*.csv", index=False)))


def _csv_column(d: dd.DataFrame, path: str) -> Any:
    """d[["b"]].to_csv("*.csv", index=False)"""
    return len(d[["b"]].to_csv(f"{path}/*.csv", index=False))


def _csv_single(d: dd.DataFrame, path: str) -> Any:
    """d.to_csv("one.csv", single_file=True, index=False)"""
    d.to_csv(f"{path}/one.csv", single_file=True, index=False)
    return len(pd.read_csv(f"{path}/one.csv"))


def _parquet(d: dd.DataFrame, path: str) -> Any:
    """d.to_parquet(path)"""
    d.to_parquet(path)
    return dd.read_parquet(path, calculate_divisions=False)


def _parquet_column(d: dd.DataFrame, path: str) -> Any:
    """d[["a"]].to_parquet(path, write_index=False)"""
    d[["a"]].to_parquet(path, write_index=False)
    return dd.read_parquet(path)


def _parquet_partition_on(d: dd.DataFrame, path: str) -> Any:
    """d[["a", "k"]].to_parquet(path, partition_on="k", write_index=False)"""
    d[["a", "k"]].to_parquet(path, partition_on="k", write_index=False)
    return len(dd.read_parquet(path))


def _parquet_later(d: dd.DataFrame, path: str) -> Any:
    """dask.compute(d.to_parquet(path, compute=False))"""
    dask.compute(d.to_parquet(path, compute=False))
    return dd.read_parquet(path, calculate_divisions=False)


def _parquet_partitions(d: dd.DataFrame, path: str) -> Any:
    """d.partitions[1:].to_parquet(path)"""
    d.partitions[1:].to_parquet(path)
    return dd.read_parquet(path, calculate_divisions=False)


def _json(d: dd.DataFrame, path: str) -> Any:
    """d[["i", "a"]].to_json("*.json")"""
    return len(d[["i", "a"]].to_json(f"{path}/*.json"))


IN_FILES = {
    "to-csv": _csv,
    "to-csv-column": _csv_column,
    "to-csv-single-file": _csv_single,
    "to-parquet": _parquet,
    "to-parquet-column": _parquet_column,
    "to-parquet-partition-on": _parquet_partition_on,
    "to-parquet-later": _parquet_later,
    "to-parquet-partitions": _parquet_partitions,
    "to-json": _json,
}

GROUPS = {
    "indexing": INDEXING,
    "partitions": PARTITIONS,
    "known-divisions": KNOWN_DIVISIONS,
    "rows": ROWS,
    "reducing": REDUCING,
    "grouping": GROUPING,
    "joining": JOINING,
    "mechanics": MECHANICS,
    "files": IN_FILES,
}
"""All calls. Those of files take a directory, too; some want divisions that are known."""

WITHOUT_INDEX = {name for name in (*JOINING, *GROUPING) if name.endswith("reset") or "merge" in name}
"""Calls whose index counts from zero in each partition, of rows that a hash divides among them."""

FILTERS = {
    *(name for name in INDEXING if name.startswith(("filter", "query", "loc-"))),
    *(name for name in MECHANICS if name.endswith("of-filter")),
    "pipe",
    "add-of-filter",
    "dask-persist-sum",
    "partitions-of-filter",
}
"""Calls that leave rows out: dask does so before a merge where it can, whose result then counts fewer rows."""

UNORDERED = {
    *WITHOUT_INDEX,
    "compute-with-groups",
    "ordered-steps",
    *GROUPING,  # dask groups with or without an exchange
    "unique",
    "value-counts",
    "value-counts-split",
    "value-counts-normalize",
    "drop-duplicates",
    "drop-duplicates-split",
    "merge-index",
}
"""Calls whose rows dask gives in an order that depends on hashes."""

DASK_FAILS = {
    "categorize-then": "shuffle-staged",
    "get-dummies": "shuffle-staged",
    "rolling": "shuffle-staged",
    "rolling-apply": "shuffle-staged",
    "groupby-rolling": "shuffle-staged",
    "dask-optimize-several": "shuffle-staged",
    "combine-first": "lag-staged",
    "ffill": "lag-staged",
    "bfill": "lag-staged",
}
"""Calls that fail on dask's own frame of the same rows, each with one of the results that show it."""


NOT_AFTER_P2P = {"to-bag", "to-bag-dict", "bag-of-delayed"}
"""Calls that fail after any shuffle of dask's through P2P: a bag's optimiser renames the tasks that send."""

NOT_WITH_A_SCHEDULER_IN_THIS_PROCESS = {"repartition-size"}
NOT_OF_ONE_PARTITION = {
    "groupby-cov",
    "groupby-corr",
    "to-parquet-partitions",
    "head-more",
    "partitions-second",
    "partitions-slice",
    "partitions-of-partitions",
    "partitions-column",
    "partitions-of-filter",
    "partitions-of-assign",
    "partitions-map",
    "get-partition",
    "to-delayed-one",
    "persist-partitions",
    "optimize-partitions",
}
"""What dask's own frames of one partition fail at, too."""
"""Calls that dask itself never ends on Python 3.11, where the scheduler runs in this process: it computes while
it holds the lock of ``cached_property``, for which the scheduler's thread waits."""


def calls_of(
    group: str, collection: dd.DataFrame, directory: Path
) -> dict[str, Callable[[dd.DataFrame], Any]]:
    """Return a group's calls, each a function of a frame alone; none where the frame has not what they want."""
    calls = GROUPS[group]
    if group == "known-divisions":
        return calls if collection.known_divisions else {}
    if group == "files":
        return {
            name: lambda d, call=call: call(d, tempfile.mkdtemp(dir=directory))
            for name, call in calls.items()
        }
    return calls

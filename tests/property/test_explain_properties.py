"""``explain`` answers for any chain of dask's calls, and computes nothing for it."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.base import is_dask_collection
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.conformance.calls import GROUPS

ROWS = pd.DataFrame(
    {
        "k": np.arange(60) % 7,
        "a": np.arange(60),
        "b": np.where(np.arange(60) % 5 == 0, np.nan, np.arange(60) * 0.5),
        "i": np.arange(60)[::-1],
        "s": pd.array(["u", "v", "w"] * 20, "str"),
    }
)
SPEC = safeframe.ClusterSpec(n_workers=2, memory="1GiB")
STEPS = {
    "filter": lambda d: d[d.a > 5],
    "assign": lambda d: d.assign(z=d.a + 1),
    "merge": lambda d: d.merge(d[["k", "b"]].rename(columns={"b": "w"}), on="k"),
    "semi": lambda d: d.merge(d[["k"]], on="k", how="leftsemi"),
    "safe merge": lambda d: safeframe.merge(d, d[["k"]].drop_duplicates(), on="k"),
    "set_index": lambda d: d.set_index("i", drop=False),
    "sort_values": lambda d: d.sort_values("a"),
    "drop_duplicates": lambda d: d.drop_duplicates(subset=["a"]),
    "drop_duplicates-1": lambda d: d.drop_duplicates(split_out=1),
    "repartition": lambda d: d.repartition(npartitions=2),
    "repartition-size": lambda d: d.repartition(partition_size="1kiB"),
    "map_partitions": lambda d: d.map_partitions(lambda part: part, meta=d._meta),
    "concat": lambda d: dd.concat([d, d]),
    "shuffle": lambda d: d.shuffle("k"),
    "reset_index": lambda d: d.reset_index(drop=True),
    "categories": lambda d: d.assign(s=d.s.astype("category")),
    "fillna": lambda d: d.fillna({"b": 0.0}),
}
ENDS = {
    "itself": lambda d: d,
    "groupby": lambda d: d.groupby("k").a.sum(),
    "groupby-agg": lambda d: d.groupby(["k", "s"], observed=False).agg({"a": ["mean", "max"]}),
    "groupby-of-series": lambda d: d.groupby(d.k + 1).a.mean(),
    "groupby-apply": lambda d: d.groupby("k").apply(len, meta=("n", "int64")),
    "value_counts": lambda d: d.s.value_counts(),
    "unique": lambda d: d.a.unique(),
    "nunique": lambda d: d.nunique(),
    "describe": lambda d: d[["a", "b"]].describe(),
    "sum": lambda d: d.a.sum(),
    "index": lambda d: d.index,
    "quantile": lambda d: d.a.quantile(0.5),
    "bag": lambda d: d.to_bag(),
    "array": lambda d: d[["a", "b"]].to_dask_array(),
    "delayed": lambda d: d.to_delayed()[0],
}


def check(collection):
    explained = safeframe.explain(collection, cluster=SPEC)
    assert isinstance(explained, (safeframe.Plan, safeframe.Explanation))
    assert str(explained)
    assert repr(explained)
    explained.to_dict()
    if isinstance(explained, safeframe.Explanation):
        assert explained._repr_html_()
        for finding in explained.findings:
            assert (finding.held_nbytes is None) == finding.reason.startswith("not known: ")


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=4), st.sampled_from(sorted(ENDS)), st.integers(1, 9))
def test_any_chain_is_explained(chain, end, npartitions):
    with dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"}):
        made = dd.from_pandas(ROWS, npartitions=npartitions, sort=False)
        for name in chain:
            made = STEPS[name](made)
        check(ENDS[end](made))


CALLS = {name: call for group, calls in GROUPS.items() if group != "files" for name, call in calls.items()}


@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.filterwarnings("ignore")
def test_what_users_call_is_explained(name):
    ddf = dd.from_pandas(ROWS, npartitions=3, sort=False)
    with dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"}):
        try:
            made = CALLS[name](ddf)
        except Exception:  # noqa: BLE001  # the call is of a frame with other columns, or dask's own failure
            return
        for one in made if isinstance(made, list) else [made]:
            if is_dask_collection(one):
                check(one)

"""As ``test_local``, on distributed workers, and calls of a client. All recipes are in ``test_everything``."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import futures_of, wait

from tests.conformance.calls import UNORDERED
from tests.conformance.compare import same
from tests.conformance.results import RESULTS

# What moves rows there alone, and of the others one that is fused with its read and one that is staged.
ON_WORKERS = [
    "merge-p2p",
    pytest.param("set_index-p2p", marks=pytest.mark.nightly),
    pytest.param("lag-p2p", marks=pytest.mark.nightly),
    "merge-broadcast",
    "merge-staged",
]

_GROUPS = ("partitions", "known-divisions", "mechanics")

CALLS = {
    "compute": lambda client, d: client.compute(d).result(),
    "compute-several": lambda client, d: client.gather(client.compute([d, d.a.sum(), d.partitions[1]])),
    "persist": lambda client, d: client.persist(d).compute(),
    "persist-several": lambda client, d: list(dask.compute(*client.persist([d, d[["a"]]]))),
    "persist-then": lambda client, d: client.persist(d).partitions[-1].compute(),
    "persist-wait": lambda client, d: len(wait(d.persist()).done),
    "futures": lambda client, d: len(client.gather(futures_of(d.persist()))),
    "partition": lambda client, d: client.compute(d.partitions[0]).result(),
    "tail": lambda client, d: client.compute(d.tail(2, compute=False)).result(),
    "delayed": lambda client, d: client.gather(client.compute(d.to_delayed())),
    "delayed-one": lambda client, d: client.compute(d.to_delayed()[-1]).result(),
    "optimized": lambda client, d: client.compute(d.optimize()).result(),
    "optimize-graph": lambda client, d: client.compute(d.assign(z=d.a), optimize_graph=False).result(),
    "dask-delayed": lambda client, d: client.compute(dask.delayed(len)(d)).result(),
    "publish": lambda client, d: _published(client, d),
    "map-persisted": lambda client, d: client.gather(client.map(len, futures_of(d.persist()))),
}


def _published(client, d):
    held = d.persist()
    client.publish_dataset(rows=held)
    try:
        return client.get_dataset("rows").compute()
    finally:
        client.unpublish_dataset("rows")


@pytest.mark.parametrize("name", ON_WORKERS)
@pytest.mark.parametrize("scheduler", ["distributed"], indirect=True)
class TestCalls:
    def test_rows_are_those_of_pandas(self, matrix, name, scheduler):
        matrix.check_rows(name, RESULTS[name].sources[0], scheduler)

    def test_partitions_and_mechanics(self, matrix, name, scheduler):
        matrix.check_calls(name, RESULTS[name].sources[0], scheduler, _GROUPS)

    @pytest.mark.parametrize("call", CALLS)
    def test_client(self, matrix, name, scheduler, small_cluster, call):
        collection, same_in_dask = matrix.frames(name, RESULTS[name].sources[0], scheduler)
        expected = CALLS[call](small_cluster, same_in_dask)
        same(CALLS[call](small_cluster, collection), expected, ordered=call not in UNORDERED)


def test_bags_of_what_p2p_moved_fail_in_dask_too(small_cluster):
    frame = dd.from_pandas(pd.DataFrame({"k": range(40)}), npartitions=4).shuffle("k", shuffle_method="p2p")
    with pytest.raises(RuntimeError, match="P2P"):
        frame.to_bag().compute()

from __future__ import annotations
import numpy as np
import dask
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import KeyStatistics, PartitionKeys
from safeframe.kernels.key_codes import encode_keys

def _summ(df, on, schema):
    codes, null = encode_keys([df[c] for c in on], schema)
    inc = True
    n = len(codes)
    nn = 0
    if null is not None:
        nn = int(null.sum()); codes = codes[~null]
    u, c = np.unique(codes, return_counts=True)
    inc = bool((codes[1:] >= codes[:-1]).all())
    return u, c, n, nn, inc

def gather_key_statistics(sides, schema, *, capacity=None):
    with dask.config.set({"optimization.tune.active": False}):
        parts = dask.compute(*[[dask.delayed(_summ)(d, on, schema) for d in ddf[list(on)].to_delayed()] for ddf, on in sides])
    out = []
    for (ddf, on), ps in zip(sides, parts):
        u = np.concatenate([p[0] for p in ps]); c = np.concatenate([p[1] for p in ps])
        codes, inv = np.unique(u, return_inverse=True)
        counts = np.bincount(inv, weights=c, minlength=len(codes)).astype(np.int64)
        top = np.sort(np.argsort(-counts)[:64])
        out.append(KeyStatistics(on=tuple(on), schema=schema, rows=sum(p[2] for p in ps), null_rows=sum(p[3] for p in ps), codes=codes, counts=counts, exact=True, sample_fraction=1.0,
            heavy_codes=codes[top], heavy_counts=counts[top], heavy_error=0, distinct=Estimate.computed(len(codes)), minimum=None, maximum=None, labels={},
            partitions=PartitionKeys(rows=np.array([p[2] for p in ps]), null_rows=np.array([p[3] for p in ps]), first=np.array([p[0][0] if len(p[0]) else 0 for p in ps], np.uint64), last=np.array([p[0][-1] if len(p[0]) else 0 for p in ps], np.uint64), increasing=np.array([p[4] for p in ps])), capacity=1))
    return out

from __future__ import annotations
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import *
import numpy as np
def profile_frame(ddf, partition_rows=None):
    cols = tuple(ColumnProfile(name=str(c), dtype=str(t), row_nbytes=t.itemsize if isinstance(t, np.dtype) and t.kind != "O" else 40.0, exact=isinstance(t, np.dtype) and t.kind != "O") for c, t in ddf.dtypes.items())
    return FrameProfile(columns=cols, index_row_nbytes=0, partitions=ddf.npartitions, rows=Estimate.computed(int(partition_rows.sum())), largest_partition_rows=Estimate.computed(int(partition_rows.max(initial=0))))

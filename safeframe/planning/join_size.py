from __future__ import annotations
from safeframe.facts.estimate import Estimate
from safeframe.facts.merge import *
from safeframe.planning.key_loads import key_loads
def estimate_join(left, right, how, *, row_nbytes, on):
    l = key_loads(left, right, how)
    n = int(l.output.sum()) + l.null_output
    return MergeEstimate(how=how, on=on, rows=Estimate.computed(n), row_nbytes=row_nbytes, left_rows=left.rows, right_rows=right.rows,
        left_unmatched_rows=Estimate.computed(int(l.left[l.right == 0].sum()) + (l.null_left if not l.null_right else 0)), right_unmatched_rows=Estimate.computed(int(l.right[l.left == 0].sum()) + (l.null_right if not l.null_left else 0)), heaviest=())

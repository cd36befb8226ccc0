"""Workers that count a million different keys hold what the plan says, summaries that wait for others among it."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from benchmarks.tight import TightCluster

pytestmark = pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB")

PARTS = 48
ROWS = 2_000_000
KEYS = 1_000_000


def part(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    return pd.DataFrame({"k": rng.integers(0, KEYS, ROWS), "v": np.ones(ROWS, np.int64)})


def test_summaries_that_wait(tight: TightCluster) -> None:
    ddf = dd.from_map(part, range(PARTS), meta=part(0).iloc[:0])
    plan = safeframe.plan_groupby(ddf, "k", "sum")
    report = tight.report()
    assert plan.output_rows.exact
    assert abs(int(plan.output_rows) - KEYS) < 10
    assert plan.counting is not None
    counting = plan.budget.projected_worker_nbytes(plan.counting.task_peak_nbytes)
    assert report.charged_nbytes <= counting
    assert report.pauses == 0

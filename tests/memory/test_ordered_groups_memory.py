"""A group that no worker can hold: its median and the others' within what was projected."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from benchmarks.tight import TightCluster
from tests.memory.test_sort_memory import held

pytestmark = pytest.mark.tight(n_workers=2, limit="384MiB", hard="1GiB")

PARTITIONS, ROWS = 32, 250_000
HEAVY = 0.75


def some_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    heavy = rng.random(ROWS) < HEAVY
    return pd.DataFrame(
        {"k": np.where(heavy, 7, rng.integers(0, 1000, ROWS)), "v": rng.normal(size=ROWS).round(4)}
    )


def frame() -> dd.DataFrame:
    return dd.from_map(some_rows, range(PARTITIONS), meta=some_rows(0).iloc[:0])


def heavy_values() -> pd.Series:
    parts = (some_rows(number) for number in range(PARTITIONS))
    return pd.concat([part["v"][part["k"] == 7] for part in parts])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("median", {}),
        pytest.param("quantile", {"q": [0.5, 0.99]}, marks=pytest.mark.nightly),
        pytest.param("nunique", {}, marks=pytest.mark.nightly),
        pytest.param("mode", {}, marks=pytest.mark.nightly),
    ],
)
def test_a_group_larger_than_a_worker(tight: TightCluster, name: str, options: dict[str, object]) -> None:
    whole = safeframe.plan_groupby(frame(), "k", name, strategy="staged")
    assert not whole.fits, whole.details()
    groups = safeframe.groupby(frame(), "k")["v"]
    result = groups.agg("mode") if name == "mode" else getattr(groups, name)(**options)
    plan = safeframe.explain(result)
    assert plan.strategy == "ordered", plan.details()
    found = result.compute()
    held(tight, plan)
    assert plan.projected_worker_nbytes <= 2 * tight.report().charged_nbytes
    expected = getattr(heavy_values(), name)(**options)
    expected = expected.iloc[0] if name == "mode" else expected
    if isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found.loc[7], expected, check_names=False)
    else:
        assert found.loc[7] == expected
    assert found.index.get_level_values(0).nunique() == 1000

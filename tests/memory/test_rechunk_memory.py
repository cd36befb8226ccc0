"""Rechunking on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import safeframe
from tests.memory.test_sort_memory import held

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")


def test_chunks_of_a_hundred_mib(tight):
    array = da.random.default_rng(3).random((12_000, 12_000), chunks=(-1, 1000))  # 92 MiB each
    result = safeframe.rechunk(array, (1000, -1))
    plan = safeframe.explain(result)
    found = result.sum().compute()
    held(tight, plan)
    assert found == pytest.approx(array.sum().compute())


@pytest.mark.nightly
def test_small_chunks_that_pass_through_others(tight):
    array = da.random.default_rng(4).random((8_000, 8_000), chunks=(-1, 10))
    result = safeframe.rechunk(array, (10, -1))
    plan = safeframe.explain(result)
    found = result.map_blocks(lambda chunk: chunk.sum(axis=1, keepdims=True), chunks=(10, 1)).sum().compute()
    held(tight, plan)
    assert found == pytest.approx(array.sum().compute())


def test_three_axes_and_a_consumer_that_copies(tight):
    array = da.random.default_rng(5).integers(0, 9, (200, 300, 400), chunks=(50, -1, 40), dtype="i8")
    result = safeframe.rechunk(array, (-1, 50, -1))
    plan = safeframe.explain(result)
    found = (result * 2).sum().compute()
    held(tight, plan)
    assert found == 2 * np.int64(array.sum().compute())

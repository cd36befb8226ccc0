"""The full product: every recipe and strategy from every source by every scheduler, every call."""

from __future__ import annotations

import pytest

from tests.conformance.calls import GROUPS
from tests.conformance.results import RESULTS

pytestmark = pytest.mark.nightly


def _product() -> list[tuple[str, str, str]]:
    return [
        (name, source, scheduler)
        for name, result in RESULTS.items()
        for source in result.sources
        for scheduler in ("sync", "threads", "distributed")
        if scheduler == "distributed" or not result.needs_workers
    ]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "source", "scheduler"), _product(), indirect=["scheduler"])
def test_every_call(matrix, name, source, scheduler):
    matrix.check_rows(name, source, scheduler)
    matrix.check_calls(name, source, scheduler, tuple(GROUPS))

"""When tests of a module share a tight cluster, and when one has to have a new one."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from tests import tight_clusters
from tests.tight_clusters import TightClusters

MIB = 2**20


class Fake:
    """A cluster without processes."""

    def __init__(self, options):
        self.options = options
        self.cluster = SimpleNamespace(scheduler=SimpleNamespace(tasks={}))
        self.client = SimpleNamespace(run=lambda function: None)
        self.renewable = True
        self.closed = False
        self.kept_nbytes = 0

    def count_again(self, kept_nbytes):
        self.kept_nbytes = kept_nbytes
        return self.renewable


@pytest.fixture
def reserved(monkeypatch):
    """What the workers hold, for a test to change; no process is started."""

    @contextlib.contextmanager
    def started(**options):
        fake = Fake(options)
        yield fake
        fake.closed = True

    held = SimpleNamespace(reserved_nbytes=200 * MIB)
    monkeypatch.setattr(tight_clusters, "tight_cluster", started)
    monkeypatch.setattr(tight_clusters, "measure_budget", lambda: held)
    monkeypatch.setattr(tight_clusters, "_FORGOTTEN_SECONDS", 0.0)
    return held


def test_the_next_test_has_the_same_workers_and_is_charged_what_they_kept(reserved):
    clusters = TightClusters()
    first = clusters.give({"n_workers": 2})
    reserved.reserved_nbytes += 10 * MIB
    assert clusters.give({"n_workers": 2}) is first
    assert first.kept_nbytes == 10 * MIB
    reserved.reserved_nbytes -= 40 * MIB
    assert clusters.give({"n_workers": 2}) is first
    assert first.kept_nbytes == 0
    clusters.close()
    assert first.closed


@pytest.mark.parametrize(
    "why", ["other options", "disturbed", "results are left", "much is kept", "asked for"]
)
def test_new_workers(reserved, why):
    clusters = TightClusters()
    first = clusters.give({"n_workers": 2})
    if why == "disturbed":
        first.renewable = False
    if why == "results are left":
        first.cluster.scheduler.tasks["key"] = "task"
    if why == "much is kept":
        reserved.reserved_nbytes += 100 * MIB
    options = {"n_workers": 4 if why == "other options" else 2}
    second = clusters.give(options, fresh=why == "asked for")
    assert second is not first
    assert first.closed
    assert not second.closed
    clusters.close()
    assert second.closed

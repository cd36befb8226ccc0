"""What all tests share: clusters, hypothesis profiles, and a look at what a test left behind."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, Phase, settings

from benchmarks.groups import find_hierarchy
from benchmarks.tight import TightCluster
from safeframe.sizing.remembered import STORE
from tests.command_line import parquet_tables as parquet_tables
from tests.tight_clusters import TightClusters

_GONE_SECONDS = 10.0
# What a process holds that has imported the library, and little else.
_SMALL_NBYTES = 192 * 2**20
# What was there when the last test ended, where nothing can have come since: to look takes milliseconds.
_known: list[set[str]] = []

# Only HealthCheck.too_slow is off: the first example pays for imports and a cluster's first tasks.
# Both are derandomised: a run says of a change what it says of the tree before it. "nightly" looks further.
settings.register_profile(
    "dev",
    max_examples=15,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", parent=settings.get_profile("dev"), max_examples=300)
settings.register_profile("nightly", parent=settings.get_profile("ci"), max_examples=3000, derandomize=False)
# A first look at a failure, without the minutes that shrinking it takes.
settings.register_profile(
    "quick",
    parent=settings.get_profile("dev"),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "tight(**options): what the fixture of that name hands to benchmarks.tight.tight_cluster"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "tight" in fixtures:
            item.add_marker("memory")
        if "tight" in fixtures or "small_cluster" in fixtures:
            item.add_marker("cluster")


@pytest.fixture
def _in_this_process() -> Iterator[None]:
    """Tasks run in the test's own thread, one after the other, unless a test has a client of its own."""
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture(scope="session")
def _shared_cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit="1GiB",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.fixture
def small_cluster(_shared_cluster: LocalCluster) -> Iterator[Client]:
    """A client of two worker processes of one thread and 1 GiB; the default client while the test runs.

    The cluster itself lives as long as the session: a test that kills workers makes its own.
    """
    with Client(_shared_cluster) as client:
        yield client


@pytest.fixture(scope="module")
def _tight_clusters() -> Iterator[TightClusters]:
    clusters = TightClusters()
    yield clusters
    clusters.close()


@pytest.fixture
def tight(request: pytest.FixtureRequest, _tight_clusters: TightClusters) -> TightCluster:
    """A cluster of two workers that the kernel holds to 1 GiB each and dask to 598 MiB.

    ``@pytest.mark.tight(n_workers=4, limit="400MiB", config=...)`` changes that. Tests
    of a module have one cluster after another only where they have to, or say ``fresh=True``.
    """
    marker = request.node.get_closest_marker("tight")
    options = {"n_workers": 2, **(marker.kwargs if marker else {})}
    return _tight_clusters.give(options, fresh=options.pop("fresh", False))


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Frames of the tests before, which may have looked at the same data with other options, are looked at again."""
    STORE.clear()


@pytest.fixture(autouse=True)
def _a_small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans for this process do not depend on what it has kept of thousands of tests; workers are asked as ever."""
    monkeypatch.setattr("safeframe.sizing.cluster.resident_nbytes", lambda: _SMALL_NBYTES)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which a process, a memory group or a staged run is there that was not before."""
    before = _known.pop() if _known else _left()
    yield
    # Only what there is to wait for is waited for: most tests leave nothing from the start.
    deadline = time.monotonic() + _GONE_SECONDS
    while (left := (now := _left()) - before - _kept(request)) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    _known[:] = [now]
    assert not left, f"the test left behind: {sorted(left)}"


@pytest.hookimpl
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Look again where there may be more than at the end of the last test."""
    if fixturedef.scope != "function":
        _known.clear()


def _left() -> set[str]:
    return _processes() | _groups() | _staged_runs()


def _processes() -> set[str]:
    found = set()
    children = psutil.Process().children()
    while children:
        child = children.pop()
        try:
            if child.status() == psutil.STATUS_ZOMBIE:
                continue
            text = " ".join(child.cmdline())
            # Python's own helpers of multiprocessing stay for the life of the process, on purpose.
            if "multiprocessing.forkserver" in text and child.ppid() == os.getpid():
                children += child.children()
            elif "resource_tracker" not in text:
                found.add(f"process {child.pid}")
        except psutil.NoSuchProcess:
            continue
    return found


def _groups() -> set[str]:
    hierarchy = _HIERARCHY
    pattern = f"safeframe-{os.getpid()}-*"
    return {f"group {path}" for path in hierarchy.root.glob(pattern)} if hierarchy else set()


def _staged_runs() -> set[str]:
    # Without an import of its own, so that tests of other layers do not load the engine.
    module = sys.modules.get("safeframe.engine.storage.sessions")
    sessions = list(getattr(module, "_sessions", {}).values())
    return {
        f"staged run {path}"
        for session in sessions
        for path in Path(session.directory).glob("*/")
        if path.is_dir()
    }


def _kept(request: pytest.FixtureRequest) -> set[str]:
    """Workers of clusters that several tests use, which the first test that asks for them starts."""
    kept: set[str] = set()
    if "_shared_cluster" in request.fixturenames:
        cluster = request.getfixturevalue("_shared_cluster")
        kept |= {f"process {nanny.pid}" for nanny in cluster.workers.values()}
    if "_tight_clusters" in request.fixturenames:
        kept |= request.getfixturevalue("_tight_clusters").left()
    if "fault_pool" in request.fixturenames:
        kept |= {f"process {pid}" for pid in request.getfixturevalue("fault_pool").processes()}
    if "hosts" in request.fixturenames:
        kept |= {f"process {pid}" for pid in request.getfixturevalue("hosts").processes()}
    return kept


_HIERARCHY = find_hierarchy()

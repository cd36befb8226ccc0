"""The hosts that tests of this directory use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from safeframe.sizing.staging_url import staging_base
from tests.faults.machine.leftovers import close_sessions
from tests.hosts.cluster import HostCluster, host_cluster
from tests.hosts.network import why_not


@pytest.fixture(scope="session")
def _namespaces() -> None:
    if why := why_not():
        pytest.skip(why)


@pytest.fixture(scope="package")
def hosts(_namespaces: None) -> Iterator[HostCluster]:
    """Hosts that share an object store and no directory, with this process or each other."""
    with host_cluster(store=True) as made:
        yield made
        close_sessions(staging_base(made.staging))


@pytest.fixture
def client(hosts: HostCluster) -> Iterator[Client]:
    """The client of three hosts; the default one while the test runs."""
    with Client(hosts.cluster) as made:
        hosts.scale(3)
        yield made

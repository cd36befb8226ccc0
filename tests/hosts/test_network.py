"""Hosts of namespaces: what they share, what is their own, and that nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.machine.leftovers import wait_until_gone
from tests.hosts.network import ROOT, Network, cables

pytestmark = pytest.mark.usefixtures("_namespaces")

_GONE_SECONDS = 20.0
_HOLDER = """
import sys
from tests.hosts.network import Network
network = Network()
host = network.host("left", ["sleep", "600"], private=())
print(host.process.pid, network._cable, flush=True)
sys.stdin.read()
"""


def output(network: Network, script: str, private: list[str], home: str = "") -> str:
    host = network.host("one", ["sh", "-c", script], private=private, home=home)
    assert host.process.stdout is not None
    return host.process.stdout.read()


def test_a_host_has_a_name_an_address_and_directories_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    with Network() as network:
        script = (
            f"hostname; ls {tmp_path}; touch {tmp_path}/there; ls {tmp_path}; touch {ROOT}/no || echo kept"
        )
        assert output(network, script, [str(tmp_path)]).split() == ["one", "there", "kept"]
        script = "ip -brief address show cable | grep -c 198.1; ls /proc | grep -c '^[0-9]'"
        interfaces, processes = output(network, script, []).split()
        assert int(interfaces) == 1
        assert int(processes) < 10
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_host_may_share_a_directory_with_this_process(tmp_path: Path) -> None:
    with Network() as network:
        output(network, f"touch {tmp_path}/there", [], home=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_hosts_reach_this_process_and_each_other() -> None:
    serve = (
        "import socket, sys; server = socket.create_server((sys.argv[1], 0));"
        "print(server.getsockname()[1], flush=True); server.accept()[0].sendall(b'served')"
    )
    ask = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2]))).recv(9))"
    with Network() as network:
        one = network.host("one", [sys.executable, "-c", serve, "{address}"], private=())
        assert one.process.stdout is not None
        port = one.process.stdout.readline().strip()
        two = network.host("two", [sys.executable, "-c", ask, one.address, port], private=())
        assert two.process.stdout is not None
        assert two.process.stdout.read() == "b'served'\n"
        assert one.address != two.address


def test_nothing_is_left_of_a_network_whose_use_fails() -> None:
    mounts, others = Path("/proc/self/mountinfo").read_text(), cables()
    processes: list[psutil.Process] = []
    with contextlib.suppress(ZeroDivisionError), Network() as network:
        host = network.host("one", ["sh", "-c", "sleep 600 & sleep 600"], private=["/dev/shm"])
        assert len(cables()) == len(others) + 1
        processes = psutil.Process(host.process.pid).children(recursive=True)
        processes += [psutil.Process(pid) for pid in network.processes()]
        1 / 0  # noqa: B018
    assert len(processes) > 2
    assert cables() == others
    _, alive = psutil.wait_procs(processes, timeout=_GONE_SECONDS)
    assert alive == []
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_nothing_is_left_of_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        pid, cable = holder.stdout.readline().split()
        host = [psutil.Process(int(pid)), *psutil.Process(int(pid)).children(recursive=True)]
        assert Path("/sys/class/net", cable).exists()
        os.kill(holder.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(host, timeout=_GONE_SECONDS)
    assert alive == []
    # The kernel takes namespaces down in its own time, and tells nobody.
    place = Path("/sys/class/net", cable)
    assert wait_until_gone(lambda: [cable] if place.exists() else [], _GONE_SECONDS) == []

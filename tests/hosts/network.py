"""Hosts on this machine: namespaces with an address, a name, processes and directories of their own.

A host may read what this machine has, programs and this checkout, and write only to what
is its own: directories in memory that nobody else sees, under paths that every host has.

Covers: a network of such hosts, which this process is connected to; one command on each.
Does not cover: workers (:mod:`tests.hosts.cluster`).

All of it hangs on processes: a network interface goes with its namespace, a namespace with
its last process, and those that this process starts end when it does, even if it is killed.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

__all__ = ["Host", "Network", "why_not"]

ROOT = Path(__file__).parents[2]
# A process of this one's, which ends when this one does.
_CHILD = ("setpriv", "--pdeathsig", "KILL")
_NAMESPACES = (
    *_CHILD, "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
_CABLE = f"sf{os.getpid()}n"
_numbers = itertools.count(1)
_OWN_NBYTES = "size=2g"

# Hosts' cables end here. It lives as long as its input is open, so not longer than this process.
_SWITCH = "ip link add switch type bridge && ip link set switch up && echo ready && exec cat"

_HOST = """
set -e
hostname "$1"; size=$2; address=$3; home=$4; shift 4
[ -z "$home" ] || mount --bind "$home" "$home"
while read -r _ _ _ _ point _; do
    case $point in
        /proc* | /sys* | /dev*) ;;
        *) mount -o remount,bind,ro "$point" ;;
    esac
done < /proc/self/mountinfo
while [ "$1" != -- ]; do
    mkdir -p "$1"
    mount -t tmpfs -o "$size,mode=1777" tmpfs "$1"
    shift
done
shift
[ -z "$home" ] || mount -o remount,bind,rw "$home"
echo ready
read -r _
ip link set lo up
ip address add "$address/24" dev cable
ip link set cable up
exec "$@"
"""


@functools.cache
def why_not() -> str:
    """Return why no hosts can be made here; empty where they can."""
    if sys.platform != "linux" or os.geteuid():
        return "hosts are namespaces of Linux, which root alone can make"
    try:
        with Network() as network, network.host("probe", ["true"], private=()) as host:
            ended = host.process.wait(20)
    except FileNotFoundError as error:
        return f"hosts need the command {error.filename!r} (Debian: iproute2 and util-linux)"
    except (OSError, subprocess.SubprocessError) as error:
        return f"no namespace can be made here: {error}"
    return "" if ended == 0 else "no command can be run in a namespace here"


class Host:
    """A command that runs on a host of its own; the host goes when the command ends."""

    def __init__(self, name: str, address: str, process: subprocess.Popen[str]) -> None:
        self.name, self.address, self.process = name, address, process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the command and all that it has started."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


class Network:
    """A network that this process is part of, under the address ``self.address``."""

    def __init__(self) -> None:
        made = next(_numbers)
        # Of the range for tests of networks (RFC 2544), which nobody routes.
        number = (os.getpid() + 8 * made) % 512
        self._prefix = f"198.{18 + number // 256}.{number % 256}"
        self.address = f"{self._prefix}.1"
        self._cable = f"{_CABLE}{made}"
        self._hosts: list[Host] = []
        self._made = 0
        self._switch = subprocess.Popen(
            [*_CHILD, "unshare", "--net", "sh", "-c", _SWITCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _await_ready(self._switch)
            self._plug_in(self._cable, os.getpid())
            _ip("address", "add", f"{self.address}/24", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def host(
        self,
        name: str,
        command: Sequence[str],
        *,
        private: Sequence[str],
        home: str = "",
        environment: Mapping[str, str] | None = None,
        log: IO[str] | None = None,
    ) -> Host:
        """Start a command on a new host.

        Parameters
        ----------
        name
            The host's name.
        command
            What it runs; ``{address}`` in it is the host's address.
        private
            Directories that are the host's own, and empty at first.
        home
            A directory that it shares with this process.
        environment
            Added to that of this process.
        log
            Where output and errors go; None for nowhere.
        """
        self._made += 1
        address = f"{self._prefix}.{1 + self._made}"
        given = [part.replace("{address}", address) for part in command]
        process = subprocess.Popen(
            [*_NAMESPACES, "sh", "-c", _HOST, "sh", name, _OWN_NBYTES, address, home, *private, "--", *given],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL, text=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        host = Host(name, address, process)
        self._hosts.append(host)
        try:
            _await_ready(process)
            self._plug_in("cable", process.pid)
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        except BaseException:
            host.close()
            raise
        return host

    def processes(self) -> set[int]:
        """Return the children of this process that are there for the network and its hosts."""
        return {self._switch.pid, *(host.process.pid for host in self._hosts if host.process.poll() is None)}

    def close(self) -> None:
        """End all hosts, and the network."""
        for host in self._hosts:
            host.close()
        self._switch.kill()
        self._switch.communicate()
        # It would go by itself, a moment after the namespace that its other end is in.
        subprocess.run(["ip", "link", "delete", self._cable], check=False, capture_output=True)

    def _plug_in(self, name: str, pid: int) -> None:
        """Lay a cable from the switch to the namespace of a process, where its end gets a name."""
        port = f"port{self._made}"
        inside = ["nsenter", "--net", f"--target={self._switch.pid}", "ip"]
        _run([*inside, "link", "add", port, "master", "switch", "type", "veth",
              "peer", "name", name, "netns", str(pid)])  # fmt: skip
        _run([*inside, "link", "set", port, "up"])


def cables() -> list[str]:
    """Return the interfaces of this process's networks that this machine has."""
    found = subprocess.run(["ip", "-json", "link"], check=True, capture_output=True, text=True).stdout
    return [link["ifname"] for link in json.loads(found) if link["ifname"].startswith(_CABLE)]


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        command = process.args if isinstance(process.args, list) else [process.args]
        msg = f"{' '.join(map(str, command[: command.index('sh')]))} ended with {process.wait()}"
        raise OSError(msg)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{' '.join(command)}: {done.stderr.strip()}"
        raise OSError(msg)

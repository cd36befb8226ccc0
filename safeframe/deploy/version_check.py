"""Whether all processes of a cluster have versions that work, and work together, and this library and no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.version import Version

from safeframe.deploy.checks import Finding
from safeframe.deploy.worker_state import WorkerState, own_versions
from safeframe.distribution import DISTRIBUTION, REPAIR

LEAST = {
    "dask": "2026.7",
    "distributed": "2026.7",
    "pandas": "2.2.1",
    "pyarrow": "19.0.1",
    "python": "3.11",
}
"""What the project declares that it needs."""

_CLOSE = frozenset({"python"})
"""Packages of which only the first two parts of the version have to be the same."""

_WHY = {"dask": " (2026.6 fails in steps after a recipe; before it a P2P merge could lose rows: dask#12427)"}


def check_own_versions() -> Iterable[Finding]:
    """Check the versions of this process."""
    return compare_versions({"this process": own_versions()})


def check_versions(client: Any, states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Compare the versions of this process, the scheduler and all workers."""
    answers = client.get_versions()
    versions = {"this process": own_versions(), "the scheduler": _versions_of(answers["scheduler"])}
    versions |= {address: _versions_of(worker) for address, worker in answers["workers"].items()}
    # What a worker has loaded is more certain than what is installed next to it.
    versions |= {state.address: dict(state.versions) for state in states}
    return compare_versions(versions)


def compare_versions(versions: Mapping[str, Mapping[str, str]]) -> Iterable[Finding]:
    """Compare versions by package, for each process by its name."""
    sound = True
    for package in own_versions():
        by_version: dict[str, list[str]] = {}
        for process, packages in versions.items():
            if version := packages.get(package):
                by_version.setdefault(_comparable(package, version), []).append(process)
        least = LEAST.get(package, "0")
        for version, processes in by_version.items():
            if Version(version) < Version(least):
                sound = False
                yield Finding(
                    name=f"version of {package}",
                    status="problem",
                    found=f"{version} in {_some(processes)}",
                    limit=f"at least {least}{_WHY.get(package, '')}",
                    hint=f"Update {package} there.",
                )
        if len(by_version) > 1:
            sound = False
            yield Finding(
                name=f"version of {package}",
                status="problem",
                found="; ".join(f"{version} in {_some(where)}" for version, where in by_version.items()),
                limit="the same in all",
                hint=f"Install the same {package} everywhere: tasks are sent between these processes as pickles.",
            )
    if sound:
        mine = next(iter(versions.values()))
        yield Finding(
            name="versions",
            status="ok",
            found=", ".join(f"{name} {version}" for name, version in mine.items()),
        )


def check_distributions(foreign: Mapping[str, str | None]) -> Iterable[Finding]:
    """Name another project's distribution of our name, of each process by its name; nothing where there is none."""
    where: dict[str, list[str]] = {}
    for process, name in foreign.items():
        if name is not None:
            where.setdefault(name, []).append(process)
    for name, processes in where.items():
        yield Finding(
            name=f"distribution {name}",
            status="problem",
            found=f"installed for {_some(processes)}",
            limit=f"it is another project's; this one is {DISTRIBUTION}",
            hint=f"Both install a package safeframe, each over the files of the other: {REPAIR}.",
        )


def _versions_of(answer: Mapping[str, Any] | None) -> dict[str, str]:
    packages = (answer or {}).get("packages", {})
    return {name: str(packages[name]) for name in own_versions() if packages.get(name)}


def _comparable(package: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if package in _CLOSE else version


def _some(processes: Sequence[str]) -> str:
    shown = ", ".join(processes[:3])
    return shown if len(processes) <= 3 else f"{shown} and {len(processes) - 3} more"

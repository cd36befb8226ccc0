"""What pyproject.toml promises: the oldest version of each dependency, and the Pythons.

Nothing here is written down twice: environments are made of what a user's pip reads.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

_FLOOR = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?P<extra>\[[a-z,]+\])?>=(?P<version>[0-9.]+)")
_PYTHON = re.compile(r"Programming Language :: Python :: (3\.\d+)")

_TEST = "dask-safeframe"
_NOT_WITH_OLD = frozenset({"build", "hatchling", "twine"})
"""They need a newer ``packaging`` than safeframe does; they make the wheel, which is the same for all versions."""


def project() -> dict[str, Any]:
    """Return pyproject's table of the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
    return found


def pins() -> tuple[str, ...]:
    """Return each dependency at the oldest version that it may have, as a requirement."""
    given = project()
    return tuple(_pinned(one) for one in (*given["dependencies"], *given["optional-dependencies"]["plot"]))


def tools() -> tuple[str, ...]:
    """Return what tests need beside the dependencies, without what makes site and wheel.

    Old dependencies and today's tools have to go together in one environment.
    """
    extras = project()["optional-dependencies"]
    plain = [one for one in (*extras["bench"], *extras["test"]) if not one.startswith(_TEST)]
    return tuple(one for one in plain if _read(one)["name"] not in _NOT_WITH_OLD)


def pythons() -> tuple[str, ...]:
    """Return the versions of Python that the classifiers name, the oldest first."""
    found = [match[1] for one in project()["classifiers"] if (match := _PYTHON.fullmatch(one))]
    return tuple(sorted(found, key=lambda version: int(version.partition(".")[2])))


def _read(requirement: str) -> re.Match[str]:
    match = _FLOOR.fullmatch(requirement)
    if match is None:
        msg = f"pyproject.toml has {requirement!r}, which has no floor that can be read"
        raise ValueError(msg)
    return match


def _pinned(requirement: str) -> str:
    found = _read(requirement)
    # PEP 440: 2.2 and 2.2.0 are one version.
    return f"{found['name']}{found['extra'] or ''}=={found['version']}"

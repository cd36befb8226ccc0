"""Makes an environment with uv, runs pytest in it, and says what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.versions.environments import Environment
from tests.versions.floors import ROOT, pythons
from tests.versions.results import SHOWN, Result, read_report

__all__ = ["Maker", "installer", "interpreters"]

_REACHED_SECONDS = 60
_NO_TESTS = 5
"""pytest's exit code for a run without a test."""


def installer(directory: Path) -> str:
    """Return uv's path: the machine's, or one that is installed into a directory.

    pip would take minutes for what uv does in seconds, and has no way to an interpreter that is not there.
    """
    found = shutil.which("uv")
    if found:
        return found
    subprocess.run([sys.executable, "-m", "venv", str(directory / "uv")], check=True)
    pip = [str(directory / "uv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "uv"], check=True)
    return str(directory / "uv" / "bin" / "uv")


def interpreters(uv: str, wanted: Sequence[str], *, download: bool) -> dict[str, str | None]:
    """Return where each version of Python is; None for one that is not there.

    Parameters
    ----------
    uv
        The installer.
    wanted
        As ``3.12``; none for all that pyproject.toml names.
    download
        Whether uv may fetch one that this machine lacks.
    """
    found: dict[str, str | None] = {}
    for version in wanted or pythons():
        if download:
            _output([uv, "python", "install", "--quiet", version])
        found[version] = _output([uv, "python", "find", "--no-python-downloads", version]) or None
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """Where environments are made, and what is run in them."""

    uv: str
    directory: Path
    arguments: tuple[str, ...]
    """For pytest."""
    settings: dict[str, str]
    """Variables for all environments."""

    def run(self, environment: Environment, version: str, python: str) -> Result:
        """Make an environment, unless one of the same requirements is there, and run the suite."""
        result = Result(environment=environment.name, python=version)
        if environment.source and not self._reached(environment.source):
            return replace(result, missing=f"{environment.source} is not reached from here")
        where = self._place(environment, version)
        if not (where / "made").exists():
            failed = self._install(environment, python, where)
            if failed:
                return replace(result, broken=failed)
        result = replace(result, versions=self._versions(where), names=self._names(where, environment))
        return self._suite(result, environment, where)

    def _place(self, environment: Environment, version: str) -> Path:
        """Return the directory of an environment: those that differ in settings alone share one."""
        same = zlib.crc32("\n".join(environment.requirements).encode())
        return self.directory / f"python{version}-{same:08x}"

    def _install(self, environment: Environment, python: str, where: Path) -> str:
        """Install; return what went wrong, and nothing where nothing did."""
        subprocess.run([self.uv, "venv", "--quiet", "--clear", "--python", python, str(where)], check=True)
        listed = where / "requirements.txt"
        # Kept with the environment: it is how it can be made again.
        listed.write_text("\n".join(environment.requirements) + "\n", encoding="utf-8")
        command = [self.uv, "pip", "install", "--quiet", "--python", str(where / "bin" / "python")]
        done = subprocess.run(
            [*command, "-r", str(listed)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"it could not be installed: {' '.join(done.stderr.split())}"
        (where / "made").touch()
        return ""

    def _reached(self, source: str) -> bool:
        try:
            done = subprocess.run(
                ["git", "ls-remote", "--quiet", source, "HEAD"],
                capture_output=True,
                timeout=_REACHED_SECONDS,
                check=False,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            )
        except (subprocess.TimeoutExpired, FileNotFoundError):
            return False
        return done.returncode == 0

    def _versions(self, where: Path) -> dict[str, str]:
        program = (
            "import json, importlib.metadata as m; "
            f"print(json.dumps({{name: m.version(name) for name in {SHOWN!r}}}))"
        )
        found: dict[str, str] = json.loads(_output([str(where / "bin" / "python"), "-c", program]))
        return found

    def _names(self, where: Path, environment: Environment) -> tuple[str, ...]:
        """Return what the canary finds, a line each."""
        done = subprocess.run(
            [str(where / "bin" / "python"), "-m", "tests.versions.canary", "--json"],
            cwd=ROOT, env=self._variables(environment), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not done.stdout:
            return (f"the canary did not run: {' '.join(done.stderr.split())[-500:]}",)
        return tuple(json.loads(done.stdout))

    def _suite(self, result: Result, environment: Environment, where: Path) -> Result:
        stem = f"{environment.name}-{result.python}"
        report = self.directory / f"{stem}.xml"
        log = self.directory / f"{stem}.txt"
        report.unlink(missing_ok=True)
        started = time.monotonic()
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [str(where / "bin" / "python"), "-m", "pytest", *self.arguments, f"--junitxml={report}"],
                cwd=ROOT, env=self._variables(environment), stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        seconds = time.monotonic() - started
        if not report.exists():
            last = log.read_text(encoding="utf-8").split()[-60:]
            return replace(result, seconds=seconds, broken=f"pytest ended early: {' '.join(last)}")
        result = replace(result, seconds=seconds, **read_report(report))
        if done.returncode not in (0, 1):
            why = (
                "no test was run"
                if done.returncode == _NO_TESTS
                else f"pytest's exit code: {done.returncode}"
            )
            return replace(result, broken=why)
        return result

    def _variables(self, environment: Environment) -> dict[str, str]:
        # What is imported is what the environment has, and the checkout that is installed into it.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**inherited, **self.settings, **environment.settings}


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

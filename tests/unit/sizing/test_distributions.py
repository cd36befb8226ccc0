"""Whose distribution ``safeframe`` is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from safeframe.deploy.doctor import doctor
from safeframe.deploy.version_check import check_distributions
from safeframe.sizing.distributions import foreign_distributions


def _install(site: Path, name: str, version: str, files: list[str]) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for path in files:
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).touch()
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in [*files, f"{info.name}/METADATA"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # At the end: the package itself stays ours.
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def test_another_projects(site: Path) -> None:
    _install(site, "safeframe", "9.9.9", ["safeframe.pth", "safeframe/__init__.py", "safeframe/guard.py"])
    assert foreign_distributions() == ("safeframe 9.9.9",)
    report = doctor()
    assert [one.name for one in report.problems] == ["distribution safeframe 9.9.9"]
    assert "pip uninstall safeframe" in report.problems[0].hint


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("dask-safeframe", ["safeframe/__init__.py", "safeframe/py.typed"]),
        ("safeframe", ["safeframe/__init__.py", "safeframe/py.typed"]),
        ("safeframe", ["_editable_impl_safeframe.pth"]),
    ],
)
def test_our_own(site: Path, name: str, files: list[str]) -> None:
    _install(site, name, "1.2.3", files)
    assert foreign_distributions() == ()


def test_processes_are_named_once_for_each_distribution() -> None:
    found = list(
        check_distributions({"this process": ("safeframe 1",), "tcp://a": ("safeframe 1",), "tcp://b": ()})
    )
    assert [one.found for one in found] == ["installed for this process, tcp://a"]

"""Environments are what pyproject.toml promises, and what comes of them is told; none is made here."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.versions import __main__ as program
from tests.versions import make
from tests.versions.environments import ENVIRONMENTS, QUICK, chosen
from tests.versions.floors import ROOT, pins, project, pythons, tools
from tests.versions.results import Result, counted, read_report, table

OLDEST = next(one for one in ENVIRONMENTS if one.name == "oldest")

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.a" name="test_good"/>
<testcase classname="tests.a" name="test_bad"><failure message="no">why</failure></testcase>
<testcase classname="tests.a" name="test_bad"><error message="teardown">why</error></testcase>
<testcase classname="tests.b" name="test_later"><skipped message="not here"/></testcase>
<testcase classname="" name="tests.c"><error message="collection">why</error></testcase>
</testsuite></testsuites>"""


def test_the_oldest_environment_has_each_floor_and_no_other_version():
    exact = {
        one.name: Version(str(one.specifier).removeprefix("=="))
        for one in map(Requirement, OLDEST.requirements[1 : 1 + len(pins())])
    }
    wanted = [*project()["dependencies"], *project()["optional-dependencies"]["plot"]]
    floors = {one.name: Version(next(iter(one.specifier)).version) for one in map(Requirement, wanted)}
    assert exact == floors
    assert {"dask", "distributed", "pandas", "numpy", "pyarrow", "matplotlib"} <= floors.keys()
    assert OLDEST.requirements[0] == "-e ."


def test_what_the_suite_needs_is_in_the_oldest_environment():
    names = {Requirement(one).name for one in tools()}
    assert {"pytest", "pytest-xdist", "hypothesis", "duckdb", "moto"} <= names
    assert not names & {"hatchling", "sphinx"}


def test_pythons_are_those_of_the_classifiers():
    least = project()["requires-python"].removeprefix(">=")
    assert pythons()[0] == least
    assert list(pythons()) == sorted(pythons(), key=Version)


def test_the_page_of_support_has_each_environment():
    page = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert [name for name in (one.name for one in ENVIRONMENTS) if f"| `{name}` |" not in page] == []
    for one in map(Requirement, project()["dependencies"][:5]):
        floor = next(iter(one.specifier)).version
        assert f"| {one.name} | {floor} |" in page


def test_a_quick_run_is_of_a_subset_unless_tests_are_named():
    assert program.parse(["--quick", "-x"])[1] == (*QUICK, "-x")
    assert program.parse(["--quick", "tests/unit/test_cli.py::test_a", "-x"])[1] == (
        "tests/unit/test_cli.py::test_a", "-x",
    )  # fmt: skip
    assert program.parse(["-x"])[1] == ("-x",)
    assert [path for path in QUICK if not (ROOT / path).exists()] == []


def test_an_environment_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        program.parse(["--environment", "pandas-1"])
    assert "no environment is called pandas-1; there are dask-main, newest" in capsys.readouterr().err


def test_what_is_old_runs_on_the_oldest_python_alone():
    made = [(one.name, version) for one, version in program.runs(ENVIRONMENTS, ("3.11", "3.13"))]
    assert ("oldest", "3.11") in made
    assert ("oldest", "3.13") not in made
    assert {name for name, version in made if version == "3.13"} == {one.name for one in ENVIRONMENTS} - {
        "oldest"
    }


def test_a_list_says_what_is_installed(capsys):
    assert program.main(["--list", "--environment", "pandas-2-str"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("pandas-2-str: ")
    assert said[1:] == ["    PANDAS_FUTURE_INFER_STRING=1", "    -e .[test]", "    pandas<3"]


def test_a_report_is_counted(tmp_path: Path):
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    assert read_report(path) == {
        "passed": 1, "failed": 2, "skipped": 1, "failures": ("tests.a::test_bad", "tests.c"),
    }  # fmt: skip


def test_a_table_says_what_failed_and_what_cannot_be_had():
    results = [
        Result(environment="newest", python="3.11", versions={"dask": "2026.8.0"}, passed=10, seconds=61.4),
        Result(environment="oldest", python="3.11", passed=9, failed=1, failures=("tests.a::test_bad",)),
        Result(environment="newest", python="3.14", missing="no Python 3.14 is found"),
    ]
    lines = table(results).splitlines()
    assert lines[0].split() == ["environment", "python", "versions", "passed", "failed", "skipped", "seconds"]
    assert lines[1].split()[-4:] == ["10", "0", "0", "61"]
    assert lines[3] == "    tests.a::test_bad"
    assert lines[-1] == "    no Python 3.14 is found"
    assert counted(results) == "1 environments passed, 1 failed, 1 cannot be had here"


class _Maker:
    """Stands for one that makes environments."""

    def __init__(self, **given):
        self.given = given

    def run(self, environment, version, python):
        names = ("Merge is gone",) if environment.name == "dask-main" else ()
        return Result(environment=environment.name, python=version, passed=1, names=names)


@pytest.mark.parametrize(("environment", "status"), [("newest", 0), ("dask-main", 1)])
def test_a_run_fails_for_what_can_be_had(environment, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "Maker", _Maker)
    monkeypatch.setattr(program, "installer", lambda directory: "uv")
    found = {"3.11": "/usr/bin/python3.11", "3.99": None}
    monkeypatch.setattr(program, "interpreters", lambda *given, **more: found)
    where = tmp_path / "results.json"
    assert program.main(["--environment", environment, "--json", str(where)]) == status
    first, second = json.loads(where.read_text())
    assert (first["python"], first["good"]) == ("3.11", not status)
    assert second["missing"] == "no Python 3.99 is found"
    assert ("Merge is gone" in capsys.readouterr().out) is bool(status)


def test_environments_of_the_same_requirements_are_made_once(tmp_path: Path):
    maker = make.Maker(uv="uv", directory=tmp_path, arguments=(), settings={})
    places = {one.name: maker._place(one, "3.11") for one in ENVIRONMENTS}
    assert places["pandas-2"] == places["pandas-2-str"]
    assert places["newest"] == places["newest-object"]
    assert len(set(places.values())) == 4


def test_a_source_that_is_not_reached_is_said_and_no_failure(tmp_path: Path):
    maker = make.Maker(uv="uv", directory=tmp_path, arguments=(), settings={})
    (main,) = chosen(["dask-main"])
    gone = make.Environment(
        name=main.name, why=main.why, requirements=main.requirements, source=str(tmp_path / "nowhere")
    )
    result = maker.run(gone, "3.11", "python3.11")
    assert "is not reached" in result.missing
    assert result.good


def test_the_installed_versions_are_not_older_than_the_floors():
    for pin in map(Requirement, pins()):
        floor = Version(str(pin.specifier).removeprefix("=="))
        assert Version(importlib.metadata.version(pin.name)) >= floor

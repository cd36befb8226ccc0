"""What is built and installed: names, files, versions, and the other project of the same module name."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import warnings
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import safeframe
from safeframe.deploy.version_check import LEAST
from safeframe.distribution import DISTRIBUTION, foreign_distribution, warn_of_foreign_distribution

ROOT = Path(__file__).resolve().parents[2]
_DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = _DECLARED["project"], _DECLARED["build-system"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist, and the wheel from it, once."""
    for name in ("build", "hatchling", "twine"):
        pytest.importorskip(name)
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture
def other_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install what the other project's metadata look like, first on the path."""
    info = tmp_path / "safeframe-0.1.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: safeframe\nVersion: 0.1.1\nRequires-Dist: pandas>=1.3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return info


class TestBuilt:
    def test_the_wheel_has_the_package_with_its_data_and_nothing_else(self, dist: Path) -> None:
        (wheel,) = dist.glob("*.whl")
        assert wheel.name == f"dask_safeframe-{safeframe.__version__}-py3-none-any.whl"
        names = set(zipfile.ZipFile(wheel).namelist())
        sources = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "safeframe").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert {
            "safeframe/py.typed",
            "safeframe/safeframe.yaml",
            "safeframe/safeframe-schema.yaml",
        } <= sources
        assert sources <= names
        info = f"dask_safeframe-{safeframe.__version__}.dist-info/"
        assert {name for name in names - sources if not name.startswith(info)} == set()

    def test_the_wheel_s_metadata(self, dist: Path) -> None:
        (wheel,) = dist.glob("*.whl")
        archive = zipfile.ZipFile(wheel)
        info = f"dask_safeframe-{safeframe.__version__}.dist-info"
        said = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        assert said["Name"] == DISTRIBUTION
        assert said["Version"] == safeframe.__version__
        assert set(said.get_all("Provides-Extra", [])) == {"plot", "docs", "bench", "test"}
        assert "safeframe = safeframe.cli:main" in archive.read(f"{info}/entry_points.txt").decode()

    def test_the_sdist_has_what_tests_and_site_need(self, dist: Path) -> None:
        (sdist,) = dist.glob("*.tar.gz")
        top = sdist.name.removesuffix(".tar.gz")
        with tarfile.open(sdist) as archive:
            names = set(archive.getnames())
        needed = (
            "pyproject.toml",
            "conftest.py",
            "README.md",
            "LICENSE",
            "tests/conformance/results.py",
            "docs/conf.py",
        )
        assert {f"{top}/{name}" for name in needed} <= names

    def test_twine_accepts_them(self, dist: Path) -> None:
        files = [str(path) for path in sorted(dist.iterdir())]
        command = [sys.executable, "-m", "twine", "check", "--strict", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("PASSED") == len(files) == 2


class TestOtherProject:
    def test_it_is_named_in_words(self, other_project: Path) -> None:
        assert foreign_distribution() == "safeframe 0.1.1"
        with pytest.warns(safeframe.SafeframeWarning, match=r"pip uninstall safeframe.*dask-safeframe"):
            warn_of_foreign_distribution()

    def test_import_says_so(self, other_project: Path) -> None:
        program = (
            f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(other_project.parent)!r}]; import safeframe; "
            "print(safeframe.__file__)"
        )
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(ROOT / "safeframe" / "__init__.py")
        assert "SafeframeWarning: The distribution 'safeframe 0.1.1' is installed here." in done.stderr

    def test_a_checkout_under_its_former_name_is_not_the_other_project(self, other_project: Path) -> None:
        with (other_project / "METADATA").open("a") as file:
            file.write("Requires-Dist: dask[dataframe]>=2026.7\n")
        assert foreign_distribution() is None

    def test_nothing_is_said_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent(name: str) -> metadata.Distribution:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "distribution", absent)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_foreign_distribution()


class TestSaidAlike:
    def test_the_version_has_one_source(self) -> None:
        assert "version" not in PROJECT
        assert PROJECT["dynamic"] == ["version"]
        assert re.fullmatch(r"\d+\.\d+\.\d+(?:\.dev\d+)?", safeframe.__version__)

    def test_the_name(self) -> None:
        assert PROJECT["name"] == DISTRIBUTION

    def test_nothing_tells_to_install_the_other_project(self) -> None:
        pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "safeframe").rglob("*.py")]
        told = {
            path.relative_to(ROOT).as_posix(): found
            for path in pages
            if (
                found := re.findall(
                    r"pip install (?:-\S+ )*[\"']?safeframe\b", path.read_text(encoding="utf-8")
                )
            )
        }
        assert told == {}

    def test_the_conda_recipe_has_the_same_requirements(self) -> None:
        recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
        run = [line for line in recipe["requirements"]["run"] if not line.startswith("python ")]
        wanted = {(need.name, str(need.specifier)) for need in map(Requirement, PROJECT["dependencies"])}
        # conda has dask without its dataframe's requirements as dask-core, and all of it as dask.
        assert {tuple(line.split()) for line in run} == wanted
        assert f"python {PROJECT['requires-python']}" in recipe["requirements"]["run"]
        assert recipe["context"]["version"] == safeframe.__version__

    def test_the_conda_recipe_builds_the_same(self) -> None:
        recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
        assert recipe["context"]["name"] == PROJECT["name"]
        about = recipe["about"]
        assert (about["summary"], about["license"]) == (PROJECT["description"], PROJECT["license"])
        assert [about["license_file"]] == PROJECT["license-files"]
        scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
        assert recipe["build"]["python"]["entry_points"] == scripts
        (backend,) = map(Requirement, BUILD["requires"])
        assert f"{backend.name} {backend.specifier}" in recipe["requirements"]["host"]
        assert f"python {PROJECT['requires-python']}" in recipe["requirements"]["host"]

    def test_the_support_policy_has_the_same_bounds(self) -> None:
        text = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
        for need in map(Requirement, PROJECT["dependencies"]):
            if need.name in {"dask", "distributed", "pandas", "numpy", "pyarrow"}:
                (bound,) = need.specifier
                assert f"| {need.name} | {bound.version} |" in text
        pythons = [one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
        assert f"| Python | {pythons[0]} |" in text
        assert pythons[-1] in text
        assert PROJECT["requires-python"] == f">={pythons[0]}"

    def test_the_doctor_asks_for_the_same(self) -> None:
        bounds = {need.name: str(need.specifier) for need in map(Requirement, PROJECT["dependencies"])}
        bounds["python"] = PROJECT["requires-python"]
        assert {name: f">={least}" for name, least in LEAST.items()}.items() <= bounds.items()

    def test_the_citation(self) -> None:
        said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        assert said["cff-version"] == "1.2.0"
        assert (said["title"], said["license"]) == ("safeframe", PROJECT["license"])
        assert said["message"]
        assert said["authors"]

    @pytest.mark.parametrize("name", ["bug.yml", "feature.yml", "config.yml"])
    def test_issue_forms_are_valid(self, name: str) -> None:
        form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
        if name == "config.yml":
            assert form["blank_issues_enabled"] is False
            return
        assert form["name"]
        assert form["description"]
        assert all(
            field["type"] in {"markdown", "textarea", "input", "checkboxes", "dropdown"}
            for field in form["body"]
        )
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids))
        if name == "bug.yml":
            text = (ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8")
            assert "safeframe doctor --json" in text
            assert "safeframe.explain(" in text

"""The documentation site builds, without a warning and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import safeframe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(directory / "doctrees"), str(ROOT / "docs"), str(directory / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory / "html"


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    pages.discard(Path("decisions/0000-template.html"))
    pages = {page for page in pages if page.parts[0] != "_build"}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    missing = [
        name
        for name in safeframe.__all__
        if not name.startswith("__") and f'id="safeframe.{name}"' not in text
    ]
    assert not missing


def test_the_commands_show_their_help(site: Path) -> None:
    text = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    assert "safeframe demo [OPTIONS]" in text
    assert "safeframe estimate [OPTIONS] LEFT RIGHT" in text


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_local_links_of_the_front_pages_lead_somewhere(name: str) -> None:
    import re

    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    local = [link for link in links if link and not link.startswith("http")]
    assert [link for link in local if not (ROOT / link).exists()] == []

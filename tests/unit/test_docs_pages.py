"""What the pages of the documentation say of each other, and of their pictures, without building them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
PAGES = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
DIRECTIVE = re.compile(r"^```\{picture\} (\S+)\n((?::\w+: .*\n)*)```$", re.MULTILINE)
SHOWN = [
    (name, dict(re.findall(r"^:(\w+): (.*)$", options, re.MULTILINE)))
    for page in PAGES
    for name, options in DIRECTIVE.findall(page.read_text(encoding="utf-8"))
]


def _taken() -> set[str]:
    """Return the names of the pictures that the script takes, without running it: it needs a browser."""
    script = (DOCS / "screenshots.py").read_text(encoding="utf-8")
    assigned = {
        node.targets[0].id: node.value
        for node in ast.parse(script).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    names = {"THEMES": ast.literal_eval(assigned["THEMES"])}
    return set(eval(compile(ast.Expression(assigned["PICTURES"]), "screenshots.py", "eval"), names))  # noqa: S307


def test_llms_txt_lists_every_page() -> None:
    sources = [*PAGES, *(DOCS / "notebooks").glob("*.ipynb")]
    pages = {
        path.relative_to(DOCS).with_suffix(".html").as_posix() for path in sources if path.stem != "index"
    }
    decisions = {page for page in pages if re.match(r"decisions/\d", page)}  # their index is listed
    listed = set(re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text(encoding="utf-8")))
    assert pages - decisions - listed == set()


def test_pictures_are_those_that_the_script_takes() -> None:
    assert {path.stem for path in IMAGES.iterdir()} == _taken()


def test_each_picture_is_shown_with_words_for_those_who_do_not_see_it() -> None:
    themed = {re.sub(r"-(?:light|dark)$", "", name) for name in _taken()}
    assert {name for name, _ in SHOWN} == themed
    assert [name for name, options in SHOWN if len(options.get("alt", "")) < 40] == []


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.png")), ids=lambda path: path.stem)
def test_a_picture_is_small_and_says_nothing_of_the_machine(path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    assert path.stat().st_size <= 200_000
    with image.open(path) as picture:
        picture.load()
        assert picture.mode == "P"
        assert picture.info.keys() <= {"transparency", "dpi"}


def test_all_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) <= 1_500_000

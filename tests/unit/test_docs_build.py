"""The documentation site builds, without a warning and without a network, and looks right in a browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse

import pytest

import safeframe

ROOT = Path(__file__).resolve().parents[2]

# The site is built once, and each of its pages opened: minutes where the machine has other work.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built with sphinx: the extra docs")
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
    docs = ROOT / "docs"
    sources = [path for ending in ("*.md", "*.ipynb") for path in docs.rglob(ending)]
    pages = {path.relative_to(docs).with_suffix(".html") for path in sources}
    pages.discard(Path("decisions/0000-template.html"))
    pages = {page for page in pages if page.parts[0] != "_build"}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


@pytest.mark.parametrize("name", [name for name in safeframe.__all__ if not name.startswith("__")])
def test_a_public_name_has_a_page(site: Path, name: str) -> None:
    text = (site / "reference" / "api" / f"{name}.html").read_text(encoding="utf-8")
    assert f'id="safeframe.{name}"' in text


def test_parameters_have_types(site: Path) -> None:
    text = (site / "reference" / "api" / "merge.html").read_text(encoding="utf-8")
    how = text.partition("<strong>how</strong>")[2][:300]
    assert "leftsemi" in how.partition("</dt>")[0]
    memory = text.partition("<strong>memory</strong>")[2][:300]
    assert "str or int, optional" in memory.partition("</dt>")[0]


def test_methods_of_the_accessor_are_listed(site: Path) -> None:
    text = (site / "reference" / "accessor.html").read_text(encoding="utf-8")
    methods = [
        name
        for name in dir(safeframe.accessor.SafeAccessor)
        if not name.startswith("_") and callable(getattr(safeframe.accessor.SafeAccessor, name))
    ]
    assert "merge" in methods
    assert [name for name in methods if f"ddf.safe.{name}()" not in text] == []


def test_each_section_has_its_own_navigation(site: Path) -> None:
    import re

    for section in ("tutorial", "how-to", "concepts", "reference"):
        text = (site / section / "index.html").read_text(encoding="utf-8")
        sidebar = text.partition('class="bd-sidebar-primary')[2].partition('class="bd-main')[0]
        assert len(re.findall(r'class="toctree-l1', sidebar)) >= 5, section


def test_a_site_for_language_models_is_there(site: Path) -> None:
    import re

    text = (site / "llms.txt").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (site / link).exists()] == []


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


# In a browser ---------------------------------------------------------------------------

WIDTHS = (1280, 390)
THEMES = ("light", "dark")

# What a page that is open says of itself: facts only, in the browser's own terms.
FACTS = """() => {
    const seen = element => element.getClientRects().length > 0;
    const root = document.documentElement;
    const scrolls = element => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
    const blocks = [...document.querySelectorAll("pre, .pst-scrollable-table-container")].filter(seen);
    const held = element => {
        for (let one = element.parentElement; one; one = one.parentElement) if (scrolls(one)) return true;
        return false;
    };
    const beyond = element => element.getBoundingClientRect().right > root.clientWidth + 1 && !held(element);
    const code = [...document.querySelectorAll("[class*=highlight-python] pre")].filter(seen);
    return {
        wide: root.scrollWidth > root.clientWidth + 1 ? root.scrollWidth : 0,
        clipped: blocks.filter(one => one.scrollWidth > one.clientWidth + 1 && !scrolls(one)).length
            + blocks.filter(beyond).length,
        cut: code.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText.slice(0, 60)),
        paper: getComputedStyle(document.body).backgroundColor,
        ink: [...document.querySelectorAll(".sf-drawing text")].map(one => getComputedStyle(one).fill),
    };
}"""
CONTENT = """() => ({
    links: [...document.querySelectorAll("a[href]")].map(one => one.href),
    sources: [...document.querySelectorAll("img")].map(one => one.src),
    ids: [...document.querySelectorAll("[id], a[name]")].map(one => one.id || one.name),
    silent: [...document.querySelectorAll("img, svg[role=img]:not([aria-hidden])")]
        .filter(one => !(one.alt || one.getAttribute("aria-label"))).map(one => one.outerHTML.slice(0, 100)),
})"""


def _browser() -> str:
    pytest.importorskip("playwright", reason="the site is looked at with playwright: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("the site is looked at in Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def findings(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    executable = _browser()  # before the site is built for nothing
    return look(request.getfixturevalue("site"), executable)


def look(site: Path, executable: str) -> dict[str, list[str]]:
    """Return what is wrong with any page, by kind."""
    from playwright.sync_api import sync_playwright

    from_kind: dict[str, list[str]] = defaultdict(list)
    contents: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        name = ""
        page.on(
            "console",
            lambda message: (
                from_kind["console"].append(f"{name}: {message.text}") if message.type == "error" else None
            ),
        )
        page.on("pageerror", lambda error: from_kind["console"].append(f"{name}: {error}"))
        page.on(
            "request",
            lambda one: (
                one.url.startswith(("file:", "data:")) or from_kind["network"].append(f"{name}: {one.url}")
            ),
        )
        for path in sorted(site.rglob("*.html")):
            if "_static" in path.parts:  # pieces of the theme
                continue
            name = path.relative_to(site).as_posix()
            page.goto(path.as_uri())
            contents[path.as_uri()] = content = page.evaluate(CONTENT)
            from_kind["alt"] += [f"{name}: {one}" for one in content["silent"]]
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                inks = set()
                for theme in THEMES:
                    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
                    facts = page.evaluate(FACTS)
                    at = f"{name} at {width} px, {theme}"
                    if facts["wide"]:
                        from_kind["overflow"].append(f"{at}: {facts['wide']} px wide")
                    if facts["clipped"]:
                        from_kind["overflow"].append(f"{at}: {facts['clipped']} blocks are cut")
                    from_kind["code"] += [f"{at}: {text!r}" for text in facts["cut"]]
                    inks.add((facts["paper"], *facts["ink"]))
                if len({colours[0] for colours in inks}) < 2 or any(
                    len(set(pair)) < 2 for pair in zip(*inks, strict=True)
                ):
                    from_kind["theme"].append(f"{name} at {width} px: the same in light and dark")
        browser.close()
    from_kind["links"] = list(_broken(site, contents))
    from_kind["pages"] = list(contents)
    return from_kind


def _broken(site: Path, contents: dict[str, Any]) -> Iterator[str]:
    for uri, content in contents.items():
        name = Path(urlparse(uri).path).relative_to(site)
        for link in dict.fromkeys(content["links"] + content["sources"]):
            target, fragment = urldefrag(link)
            target = target.partition("?")[0]
            if not target.startswith("file:"):
                continue
            if target not in contents:
                if not Path(unquote(urlparse(target).path)).is_file():
                    yield f"{name}: {link}"
            elif fragment and unquote(fragment) not in contents[target]["ids"]:
                yield f"{name}: {link}"


FAULTY = """<!doctype html><html data-theme="light"><head><title>faulty</title></head><body style="background: white">
<div style="width: 3000px">wide</div><img src="nowhere.png"><a href="gone.html">gone</a><a href="#missing">missing</a>
<div class="highlight-python"><pre style="width: 100px; overflow: hidden">{code}</pre></div>
<script>console.error("broken"); fetch("https://example.invalid/x").catch(() => 0);</script></body></html>"""


def test_faults_of_a_page_are_found(tmp_path: Path) -> None:
    (tmp_path / "faulty.html").write_text(FAULTY.format(code="x" * 200))
    found = look(tmp_path, _browser())
    assert {"overflow", "code", "console", "network", "links", "alt", "theme"} <= {
        kind for kind, faults in found.items() if faults
    }
    assert len(found["links"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["overflow", "code", "console", "network", "links", "alt", "theme"])
def test_no_page_has_a_fault_of_its_kind(findings: dict[str, list[str]], kind: str) -> None:
    assert len(findings["pages"]) > 90
    assert findings[kind] == []

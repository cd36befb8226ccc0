"""README and the page of benchmarks: what is committed is what the committed results say."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import dask
import pandas as pd
import pytest

import safeframe
from benchmarks.pages import GROUPS, pages
from benchmarks.showcase import JOBS
from benchmarks.situations import SITUATIONS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = pages(ROOT)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_what_the_results_say(path: Path) -> None:
    hint = "Run: python -m benchmarks.pages"
    assert path.read_text(encoding="utf-8") == PAGES[path], hint


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 120


def test_figures_of_readme_are_generated() -> None:
    by_hand = re.sub(r"<!-- figures: \w+ -->\n.*?\n<!-- figures: end -->", "", README, flags=re.DOTALL)
    assert README.count("<!-- figures: end -->") == 3
    # What is left has sizes that a reader passes, and no time or memory that was measured.
    assert set(re.findall(r"\d[\d.,]* (?:s|min|MiB|GiB|TiB)\b", by_hand)) == {"1 GiB"}
    assert not re.search(r"\b(?:seconds|minutes)\b", by_hand)


def test_the_table_has_five_rows() -> None:
    (table,) = re.findall(r"^\| job \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert len(table.strip().splitlines()) == 2 + len(JOBS) == 7


def test_readme_has_two_commands_for_a_fresh_machine() -> None:
    demo, tests = (block.strip() for block in _blocks("sh"))
    begin = "python3 -m venv .venv && .venv/bin/pip install "
    assert demo == f"{begin}. && .venv/bin/safeframe demo"
    assert tests == f'{begin}-e ".[test]" && .venv/bin/python -m pytest'


def test_ci_runs_what_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = re.findall(r"^demo=.*$", script, re.MULTILINE)
    printed = subprocess.run(
        ["bash", "-c", f'{line}\nprintf "%s" "$demo"'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout == _blocks("sh")[0].strip()
    assert '-e ".[test]"' in script
    assert "-m pytest" in script


def test_the_code_of_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = _blocks("python")[0]
    statements = [line for line in code.splitlines() if line]
    assert len(statements) == 5
    for name, column in (("left", "a"), ("right", "b")):
        (tmp_path / name).mkdir()
        pd.DataFrame({"col1": [1, 1, 2], column: [1.0, 2.0, 3.0]}).to_parquet(
            tmp_path / name / "part-0.parquet"
        )
    monkeypatch.chdir(tmp_path)
    with dask.config.set({"temporary-directory": str(tmp_path / "scratch")}):
        exec(code, {})  # noqa: S102  # it is our own page
    assert len(pd.read_parquet(tmp_path / "merged")) == 5


def test_output_has_the_labels_that_plans_have_today() -> None:
    """What README shows was printed by a run; that plans still print so is seen on a small one."""
    shown = _blocks("text")[0]
    frame = dask.dataframe.from_pandas(pd.DataFrame({"col1": [1, 1, 2], "a": 1.0}), npartitions=1)
    plan = safeframe.plan_merge(frame, frame, on="col1", how="left", memory="1GiB")
    measured = safeframe.Measurement(plans=[plan], peaks={"a worker": 1 << 28})
    label = re.compile(r"^ {0,2}(\w+)(?= {2,}|:)", re.MULTILINE)
    labels = label.findall(shown)
    assert {"merge", "rows", "memory", "measured"} <= set(labels)
    assert len(labels) == 10, "ten lines"
    hint = "Run: python -m benchmarks.output && python -m benchmarks.pages"
    assert set(labels) <= set(label.findall(f"{plan}\n{measured}")), hint


def test_links_of_the_question() -> None:
    assert "https://github.com/dask/dask/issues/2456" in README
    assert "https://github.com/jdanbrown/dask-oom" in README
    words = " ".join(README.split())
    assert '"Dask running out of memory even when partitions are way less than worker memory"' in words


def test_every_situation_has_its_place_on_the_page() -> None:
    placed = [name for names in GROUPS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(placed) <= set(SITUATIONS)
    page = PAGES[ROOT / "docs" / "benchmarks.md"]
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert page.count(f"(`{path.stem}`)") == 1, path.stem
        # ... and in a command that repeats it.
        assert re.search(
            rf"^(?:python benchmarks/run\.py| {{4}})[^-\n]*\b{path.stem}\b", page, re.MULTILINE
        ), path.stem
    assert "## Others" not in page


def test_the_picture_says_what_it_shows() -> None:
    picture = ET.fromstring(PAGES[ROOT / "benchmarks" / "results" / "glance.svg"])  # our own
    space = "{http://www.w3.org/2000/svg}"
    described = picture.findtext(f"{space}desc") or ""
    texts = {one.text for one in picture.iter(f"{space}text")}
    for job in JOBS:
        assert job.short in texts
        assert job.short in described
    assert picture.attrib["role"] == "img"
    assert "prefers-color-scheme: dark" in (picture.findtext(f"{space}style") or "")

"""Parts of HTML: whatever is put in them is text."""

from __future__ import annotations

import pytest

from safeframe.facts import html
from tests.markup import check_page, text_of

EVIL = '</td><script src="x">&"\''


def test_text_is_escaped_once() -> None:
    assert str(html.text("<a & 'b'>")) == "&lt;a &amp; &#x27;b&#x27;&gt;"
    assert html.text(html.text("<")) == html.text("<")


def test_long_text_is_cut_in_the_middle() -> None:
    shown = str(html.text("a" * 5_000 + "z"))
    assert len(shown) == 400
    assert shown[0], shown[-1] == ("a", "z")


@pytest.mark.parametrize(
    "part",
    [
        html.facts_table(EVIL, [(EVIL, EVIL)]),
        html.table(EVIL, {EVIL: False, "n": True}, [(EVIL, EVIL)]),
        html.facts_table("t", [("a", html.bar(0.5, EVIL))]),
        html.facts_table("t", [("a", html.marked(EVIL, good=True))]),
        html.facts_table("t", [("a", html.lines([EVIL, EVIL]))]),
        html.folded(EVIL, html.facts_table("t", [("a", "b")])),
    ],
)
def test_no_part_lets_markup_through(part: html.Markup) -> None:
    page = html.page(EVIL, part)
    check_page(page)
    assert text_of(page).count(EVIL) >= 2


@pytest.mark.parametrize(("share", "width"), [(-1, "0.0"), (0.25, "25.0"), (1, "100.0"), (7, "100.0")])
def test_a_bar_stays_in_its_frame(share: float, width: str) -> None:
    bar = str(html.bar(share, "words"))
    assert f"width:{width}%" in bar
    assert ("sf-over" in bar) is (share > 1)
    assert bar.endswith("words")

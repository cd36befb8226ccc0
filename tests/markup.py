"""Reads the HTML that a notebook would show, and says what is wrong with it."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"br"}
_TAGS = {
    "div", "style", "p", "span", "table", "caption", "thead", "tbody", "tr", "th", "td", "br", "details", "summary",
}  # fmt: skip


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "br":
            self.text.append("\n")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        self.text.append(" " if tag == "span" else "\n")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [], "elements stay open"
    return reader


def text_of(page: str) -> str:
    """Return the words of a page."""
    return "".join(_read(page).text)


def check_page(page: str) -> None:
    """Assert that a page needs nothing besides, stays within its notebook, and is readable in each theme and aloud."""
    reader = _read(page)
    assert {tag for tag, _ in reader.tags} <= _TAGS
    names = {name for _, attributes in reader.tags for name in attributes}
    assert names <= {"class", "style", "scope", "aria-hidden"}, "neither files nor handlers"
    assert "url(" not in page
    assert "@import" not in page
    for theme in ("prefers-color-scheme:dark", 'data-jp-theme-light="true"', 'data-jp-theme-light="false"'):
        assert theme in reader.style
    assert "max-width:min(100%," in reader.style
    assert "overflow-wrap:anywhere" in reader.style
    tables = sum(tag == "table" for tag, _ in reader.tags)
    assert sum(tag == "caption" for tag, _ in reader.tags) == tables > 0
    headings = [attributes.get("scope") for tag, attributes in reader.tags if tag == "th"]
    assert set(headings) <= {"row", "col"}
    assert headings
    longest = max(len(word) for word in text_of(page).split())
    assert longest <= 400

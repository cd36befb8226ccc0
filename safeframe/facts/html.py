"""Parts of the HTML that a notebook shows: no script, no file besides, readable without its colours.

Covers: escaping, tables with captions and headings, bars with their figures in
words, colours for light and dark pages.
Does not cover: what is shown (``plan.html``, and the modules of other facts).

Whatever comes from a user's data, names of columns and keys above all, enters
through :func:`text`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safeframe.units import shortened

_LIGHT = (
    "--sf-back:#ffffff;--sf-ink:#1f2328;--sf-soft:#57606a;--sf-line:#d0d7de;--sf-bar:#0969da;"
    "--sf-good:#116329;--sf-bad:#a40e26;"
)
_DARK = (
    "--sf-back:#161b22;--sf-ink:#e6edf3;--sf-soft:#9ea7b3;--sf-line:#3d444d;--sf-bar:#4493f8;"
    "--sf-good:#56d364;--sf-bad:#ff7b72;"
)
STYLE = (
    # The system's choice, and over it that of the page: JupyterLab, VS Code, and the themes of documentation.
    f".safeframe{{{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{.safeframe{{{_DARK}}}}}"
    f'[data-jp-theme-light="true"] .safeframe,.vscode-light .safeframe,[data-theme="light"] .safeframe{{{_LIGHT}}}'
    f'[data-jp-theme-light="false"] .safeframe,.vscode-dark .safeframe,[data-theme="dark"] .safeframe{{{_DARK}}}'
    # Twice where JupyterLab has rules for cells of tables, which are more specific than one class.
    ".safeframe{box-sizing:border-box;max-width:min(100%,52rem);padding:.6rem .8rem;border:1px solid var(--sf-line);"
    "border-radius:6px;background:var(--sf-back);color:var(--sf-ink);font-size:.875rem;line-height:1.45;"
    "overflow-wrap:anywhere;overflow-x:auto}"
    ".safeframe .sf-head{margin:0 0 .4rem;font-size:1rem;font-weight:600}"
    ".safeframe .sf-good{color:var(--sf-good)}.safeframe .sf-bad{color:var(--sf-bad)}"
    ".safeframe .sf-soft{color:var(--sf-soft)}"
    ".safeframe.safeframe table{width:100%;margin:.2rem 0 .5rem;border-collapse:collapse;border:0;table-layout:auto;"
    "background:none;color:inherit;font-size:inherit}"
    ".safeframe.safeframe caption{padding:0 0 .2rem;caption-side:top;text-align:left;color:var(--sf-soft);font-size:inherit}"
    ".safeframe.safeframe th,.safeframe.safeframe td{padding:.2rem .6rem .2rem 0;border:0;border-top:1px solid var(--sf-line);"
    "background:none;color:inherit;text-align:left;vertical-align:top;white-space:normal;font-weight:400}"
    ".safeframe.safeframe th{font-weight:600}"
    ".safeframe.safeframe thead th{color:var(--sf-soft);border-top:0;overflow-wrap:normal}"
    ".safeframe.safeframe tbody th{min-width:6.5rem}"
    ".safeframe.safeframe tbody tr,.safeframe.safeframe tbody tr:nth-child(even){background:none}"
    ".safeframe.safeframe .sf-number{text-align:right;"
    "font-variant-numeric:tabular-nums}.safeframe.safeframe td.sf-number{white-space:nowrap}"
    ".safeframe.safeframe .sf-label{width:7.5rem}"
    ".safeframe .sf-bar{height:.5rem;margin:.25rem 0;border:1px solid var(--sf-soft);border-radius:3px;overflow:hidden}"
    ".safeframe .sf-bar div{height:100%;background:var(--sf-bar)}"
    ".safeframe .sf-bar .sf-over{background:var(--sf-bad)}"
    ".safeframe details{margin:.2rem 0}"
    ".safeframe summary{cursor:pointer;color:var(--sf-soft)}"
)
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Markup:
    """A string that is HTML already; :func:`text` makes one of anything else."""

    source: str

    def __str__(self) -> str:
        return self.source


def text(value: object) -> Markup:
    """Return a value as HTML that shows its text, cut where it is very long.

    Examples
    --------
    >>> print(text("<b> & 'c'"))
    &lt;b&gt; &amp; &#x27;c&#x27;
    """
    return value if isinstance(value, Markup) else Markup(html.escape(shortened(str(value), _LONGEST)))


def joined(*parts: object) -> Markup:
    """Return parts one after the other."""
    return Markup("".join(str(text(part)) for part in parts))


def lines(parts: Iterable[object]) -> Markup:
    """Return parts, each on a line of its own."""
    return Markup("<br>".join(str(text(part)) for part in parts))


def page(title: object, *parts: Markup) -> str:
    """Return what a notebook shows: a title, and what stands below it."""
    return (
        f'<div class="safeframe"><style>{STYLE}</style><p class="sf-head">{text(title)}</p>'
        f"{''.join(map(str, parts))}</div>"
    )


def marked(words: object, *, good: bool) -> Markup:
    """Return words in the colour of what is right, or of what is wrong: they say themselves which it is."""
    return Markup(f'<span class="{"sf-good" if good else "sf-bad"}">{text(words)}</span>')


def facts_table(caption: object, rows: Iterable[tuple[object, object]]) -> Markup:
    """Return a table of two columns, the first of them headings of the rows."""
    body = "".join(
        f'<tr><th scope="row" class="sf-label">{text(label)}</th><td>{text(value)}</td></tr>'
        for label, value in rows
    )
    return Markup(f"<table><caption>{text(caption)}</caption><tbody>{body}</tbody></table>")


def table(caption: object, columns: Mapping[str, bool], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table with headings.

    Parameters
    ----------
    caption
        What the table shows.
    columns
        The headings, and whether numbers stand below each.
    rows
        A value for each column; the first is the heading of its row.
    """
    kinds = [' class="sf-number"' if number else "" for number in columns.values()]
    head = "".join(
        f'<th scope="col"{kind}>{text(name)}</th>' for name, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row"{kinds[0]}>{text(first)}</th>'
        + "".join(f"<td{kind}>{text(value)}</td>" for value, kind in zip(others, kinds[1:], strict=True))
        + "</tr>"
        for first, *others in rows
    )
    return Markup(
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def bar(share: float, words: object) -> Markup:
    """Return a bar of that share of its frame, in another colour above it, with what it says in words below."""
    kind = ' class="sf-over"' if share > 1 else ""
    width = min(max(share, 0.0), 1.0) * 100
    return Markup(
        f'<div class="sf-bar" aria-hidden="true"><div{kind} style="width:{width:.1f}%"></div></div>{text(words)}'
    )


def folded(summary: object, part: Any) -> Markup:
    """Return a part that is shown when its line is clicked."""
    return Markup(f"<details><summary>{text(summary)}</summary>{text(part)}</details>")

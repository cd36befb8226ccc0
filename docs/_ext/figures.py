"""Figures of the site, drawn as SVG in the page, so that they follow its light and dark colours.

Covers: the directive ``drawing``, whose argument is a function below; the shapes that they are made of.
Does not cover: colours, which are variables of ``_static/safeframe.css``.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LEFT, RIGHT, BOTH, PLAIN = "sf-left", "sf-right", "sf-both", "sf-plain"
"""Classes of the two sides of a join, their result, and all that is neither."""


def box(x: float, y: float, width: float, height: float, text: str = "", kind: str = PLAIN) -> str:
    """Draw a rectangle with one line of text in its middle, or several split by ``|``."""
    lines = text.split("|") if text else []
    shapes = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>']
    first = y + height / 2 + 4.5 - (len(lines) - 1) * 8
    shapes += [label(x + width / 2, first + 16 * number, line) for number, line in enumerate(lines)]
    return "".join(shapes)


def label(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    """Write one line of text."""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    """Draw an arrow from one point to another."""
    return (
        f'<line class="sf-arrow {kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" marker-end="url(#sf-tip)"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "sf-line") -> str:
    """Draw a line."""
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def exchange() -> tuple[int, int, str]:
    """Stage, seal, fetch."""
    shapes = [label(70, 20, "partitions"), label(250, 20, "stage: a file each")]
    shapes += [label(440, 20, "seal"), label(620, 20, "fetch: a shard each")]
    for number in range(6):
        y = 34 + 38 * number
        shapes.append(box(20, y, 100, 28, f"partition {number}"))
        shapes.append(arrow(122, y + 14, 182, 34 + 76 * (number // 2) + 33))
    for number in range(3):
        y = 34 + 76 * number
        for piece, kind in enumerate((LEFT, RIGHT, BOTH)):
            shapes.append(box(186 + 36 * piece, y + 12, 34, 42, str(piece), kind))
        shapes.append(box(294, y + 12, 24, 42, "i"))
        shapes.append(arrow(320, y + 33, 382, 143))
        shapes.append(arrow(498, 143, 556, y + 33))
        shapes.append(box(560, y + 12, 120, 42, f"shard {number}", (LEFT, RIGHT, BOTH)[number]))
    shapes.append(box(386, 100, 110, 86, "manifest:|rows of files|and of shards|in = out?"))
    shapes.append(label(252, 276, "a piece per shard, and an index (i)", kind="sf-note"))
    return 700, 292, "".join(shapes)


def virtual_join() -> tuple[int, int, str]:
    """Runs of three keys, and a cell cut through two of them."""
    unit, shapes = 22, []
    shapes += [
        label(60, 22, "left rows"),
        label(200, 22, "right rows"),
        label(470, 22, "result rows: 16, none of them made"),
    ]
    runs = [("a", 3, 2), ("b", 1, 5), ("c", 5, 0)]
    start = 0
    y = 40
    for key, left, right in runs:
        shapes.append(label(8, y + 20, key, "start", "sf-strong"))
        shapes += [box(28 + n * unit * 0.62, y, unit * 0.5, 30, "", LEFT) for n in range(left)]
        shapes += [box(168 + n * unit * 0.62, y, unit * 0.5, 30, "", RIGHT) for n in range(right)]
        if not right:
            shapes.append(label(200, y + 20, "no row"))
        rows = left * max(right, 1)
        shapes.append(arrow(258, y + 15, 292 + start * unit, y + 15, "sf-faint"))
        for n in range(rows):
            shapes.append(box(296 + (start + n) * unit, y, unit - 2, 30, str(start + n), BOTH))
        start += rows
        y += 46
    shapes.append(
        f'<rect class="sf-cut" x="{296 + 3 * unit - 1}" y="32" width="{10 * unit}" height="142" rx="4"/>'
    )
    shapes.append(label(296 + 8 * unit, 196, "one cell: rows 3 to 12, made on its own", kind="sf-strong"))
    return 660, 208, "".join(shapes)


def memory_model() -> tuple[int, int, str]:
    """A worker's memory, bottom to top of a bar laid on its side."""
    width = 640
    parts = [(0.27, "reserved:|libraries, threads", PLAIN), (0.08, "trans-|port", PLAIN)]
    parts += [(0.16, "task of|thread 1", LEFT), (0.16, "task of|thread 2", RIGHT)]
    shapes, x = [], 20.0
    for share, text, kind in parts:
        shapes.append(box(x, 56, share * width - 3, 56, text, kind))
        x += share * width
    shapes.append(f'<rect class="sf-outline" x="20" y="50" width="{width}" height="68" rx="5"/>')
    shapes.append(line(x, 34, x, 126))
    shapes.append(label(x, 26, "projected", kind="sf-strong"))
    headroom = 20 + 0.8 * width
    shapes.append(line(headroom, 34, headroom, 150, "sf-line sf-dash"))
    shapes.append(label(headroom, 168, "headroom, 0.8: plans fill no more"))
    shapes.append(line(20 + width, 34, 20 + width, 126))
    shapes.append(label(20 + width, 26, "limit", "end", "sf-strong"))
    shapes.append(label(20, 168, "measured ≤ projected ≤ limit", "start", "sf-strong"))
    return 680, 180, "".join(shapes)


def _sides(shapes: list[str], left: int = 4, right: int = 3) -> None:
    shapes += [label(70, 18, "left"), label(590, 18, "right")]
    shapes += [box(20, 28 + 40 * n, 100, 30, f"partition {n}", LEFT) for n in range(left)]
    shapes += [box(540, 28 + 40 * n, 100, 30, f"partition {n}", RIGHT) for n in range(right)]


def strategy_sorted() -> tuple[int, int, str]:
    """Both sides in key order."""
    shapes: list[str] = []
    _sides(shapes, 4, 4)
    for n, keys in enumerate(("a – f", "g – m", "n – s", "t – z")):
        y = 43 + 40 * n
        shapes += [arrow(122, y, 266, y), arrow(538, y, 394, y), box(270, y - 15, 120, 30, keys, BOTH)]
    shapes.append(label(330, 18, "the same key ranges meet"))
    return 660, 200, "".join(shapes)


def strategy_broadcast() -> tuple[int, int, str]:
    """The small side goes to every task."""
    shapes: list[str] = []
    _sides(shapes, 4, 1)
    for n in range(4):
        y = 43 + 40 * n
        shapes += [
            arrow(122, y, 266, y),
            arrow(538, 43, 394, y),
            box(270, y - 15, 120, 30, "left rows stay", BOTH),
        ]
    shapes.append(label(330, 18, "each task looks up the whole small side"))
    shapes.append(label(590, 112, "held whole, once per"))
    shapes.append(label(590, 128, "thread or as one"))
    shapes.append(label(590, 144, "mapped table"))
    return 680, 200, "".join(shapes)


def strategy_sorted_one_side() -> tuple[int, int, str]:
    """One side stays, the other goes into its key ranges."""
    shapes: list[str] = []
    _sides(shapes, 4, 3)
    for n, keys in enumerate(("a – h", "i – p", "q – z")):
        y = 43 + 40 * n
        shapes += [box(400, y - 15, 90, 30, keys, BOTH), arrow(538, y, 494, y), arrow(322, 90, 396, y)]
    shapes.append(box(200, 28, 120, 150, "staging:|left rows|by the right|side's ranges"))
    shapes += [arrow(122, 43 + 40 * n, 196, 43 + 40 * n) for n in range(4)]
    shapes.append(label(445, 18, "right rows stay"))
    return 660, 200, "".join(shapes)


def strategy_staged() -> tuple[int, int, str]:
    """Both sides pass through files."""
    shapes: list[str] = []
    _sides(shapes, 4, 3)
    shapes += [
        box(170, 28, 90, 150, "staging:|left rows|by shard"),
        box(400, 28, 90, 150, "staging:|right rows|by shard"),
    ]
    shapes += [arrow(122, 43 + 40 * n, 166, 43 + 40 * n) for n in range(4)]
    shapes += [arrow(538, 43 + 40 * n, 494, 43 + 40 * n) for n in range(3)]
    for n in range(4):
        y = 43 + 40 * n
        shapes += [arrow(262, y, 286, y), arrow(398, y, 374, y), box(290, y - 15, 80, 30, f"shard {n}", BOTH)]
    shapes.append(label(330, 18, "joined, cut in cells"))
    return 660, 200, "".join(shapes)


def strategy_p2p() -> tuple[int, int, str]:
    """Rows go from worker to worker."""
    shapes = [
        label(90, 18, "input partitions"),
        label(330, 18, "workers, no shared disk"),
        label(575, 18, "shards"),
    ]
    for n in range(3):
        y = 28 + 54 * n
        shapes += [box(30, y, 120, 38, f"partitions {n}, {n + 3}", LEFT), arrow(152, y + 19, 246, y + 19)]
        shapes += [box(250, y, 160, 38, f"worker {n}: buffers"), arrow(412, y + 19, 511, y + 19)]
        shapes.append(box(515, y, 120, 38, f"shards {n}, {n + 3}", BOTH))
    for n in range(2):
        y = 66 + 54 * n
        shapes += [arrow(310, y + 1, 310, y + 14), arrow(350, y + 15, 350, y + 2)]
    return 660, 200, "".join(shapes)


def group_tree() -> tuple[int, int, str]:
    """Few groups: states of partitions are joined some at a time."""
    shapes = [label(80, 18, "partitions"), label(270, 18, "a state for each group")]
    shapes.append(label(455, 18, "joined"))
    shapes.append(label(600, 18, "result"))
    for n in range(4):
        y = 28 + 40 * n
        shapes += [box(20, y, 120, 30, f"partition {n}", LEFT), arrow(142, y + 15, 206, y + 15)]
        shapes += [box(210, y, 120, 30, "a  b  c", RIGHT), arrow(332, y + 15, 391, 60 + 80 * (n // 2) + 3)]
    for n in range(2):
        y = 48 + 80 * n
        shapes += [box(395, y, 120, 30, "a  b  c", RIGHT), arrow(517, y + 15, 546, 103)]
    shapes.append(box(550, 88, 100, 30, "a  b  c", BOTH))
    return 670, 200, "".join(shapes)


def group_shards() -> tuple[int, int, str]:
    """Many groups: rows, or states, meet by the hash of their key."""
    shapes = [label(80, 18, "partitions"), label(285, 18, "staging: rows, or their states, by key")]
    shapes.append(label(580, 18, "groups of a shard, a partition each"))
    for n in range(4):
        y = 28 + 40 * n
        shapes += [box(20, y, 120, 30, f"partition {n}", LEFT), arrow(142, y + 15, 206, y + 15)]
        shapes += [box(210 + 52 * k, y, 50, 30, keys, RIGHT) for k, keys in enumerate(("a d", "b e", "c f"))]
        shapes.append(arrow(368, y + 15, 436, 43 + 55 * min(n, 2)))
    for n, keys in enumerate(("a  d", "b  e", "c  f")):
        shapes.append(box(440, 28 + 55 * n, 260, 34, f"{keys}: slices are read one by one", BOTH))
    return 720, 200, "".join(shapes)


DRAWINGS: dict[str, Callable[[], tuple[int, int, str]]] = {
    "exchange": exchange,
    "virtual-join": virtual_join,
    "memory-model": memory_model,
    "sorted": strategy_sorted,
    "broadcast": strategy_broadcast,
    "sorted-one-side": strategy_sorted_one_side,
    "staged": strategy_staged,
    "p2p": strategy_p2p,
    "group-tree": group_tree,
    "group-shards": group_shards,
}


class Drawing(SphinxDirective):
    """Shows a figure, with ``:alt:`` for those who do not see it and its content as caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012  # docutils declares it so

    def run(self) -> list[nodes.Node]:
        if not self.options.get("alt"):
            message = "a drawing needs an :alt: text"
            raise self.error(message)
        width, height, shapes = DRAWINGS[self.arguments[0]]()
        text = (
            f'<svg class="sf-drawing" viewBox="0 0 {width} {height}" role="img" style="max-width: {width}px" '
            f'aria-label="{escape(self.options["alt"])}"><defs><marker id="sf-tip" viewBox="0 0 8 8" refX="7" '
            'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="sf-tip" d="M0 0L8 4L0 8z"/>'
            f"</marker></defs>{shapes}</svg>"
        )
        figure = nodes.figure(classes=["sf-figure"])
        # Narrow screens scroll within the figure rather than show letters of 5 pixels.
        figure += nodes.raw("", f'<div class="sf-scroll" tabindex="0">{text}</div>', format="html")
        if self.content:
            caption = nodes.caption("", "")
            inline, messages = self.state.inline_text(" ".join(self.content), self.lineno)
            caption += inline
            figure += caption
            return [figure, *messages]
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive ``drawing``."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True}

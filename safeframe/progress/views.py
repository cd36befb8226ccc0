"""What bars look like: in a terminal, in a notebook, as lines of text elsewhere."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from safeframe import options
from safeframe.progress.bar import Bar

if TYPE_CHECKING:
    # Loaded where a terminal is drawn on: workers, scripts and notebooks have none.
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table


class View(Protocol):
    """Where bars are drawn."""

    seconds: float
    """Between two drawings."""

    def draw(self, bars: Sequence[Bar]) -> None:
        """Draw bars in place of what was drawn before."""

    def close(self, bars: Sequence[Bar]) -> None:
        """Draw what remains to be seen; nothing where there are none."""


class TerminalView:
    """Bars that are drawn over each other, on standard error."""

    seconds = options.PROGRESS_TERMINAL_SECONDS

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._live: Live | None = None

    def draw(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        if self._live is None:
            if not bars:
                return
            self._live = self._begun()
        self._live.update(_table(bars), refresh=True)

    def _begun(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        # Standard output may be a file, and its text is not ours to move.
        console = self._console or Console(stderr=True)
        live = Live(console=console, auto_refresh=False, redirect_stdout=False, transient=True)
        live.start()
        return live

    def close(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        self.draw(bars)
        if self._live is not None:
            self._live.transient = not bars
            self._live.stop()


def _table(bars: Sequence[Bar]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(width=options.PROGRESS_BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for bar in bars:
        # Of unknown tasks nothing is done: rich would draw a pulse, which lines of a log do not have either.
        drawn = ProgressBar(total=1.0, completed=bar.fraction, width=options.PROGRESS_BAR_WIDTH)
        table.add_row(bar.label, drawn, bar.percent, bar.detail)
    return table


class NotebookView:
    """A cell's output that is replaced, of plain HTML: no widgets have to be installed."""

    seconds = options.PROGRESS_NOTEBOOK_SECONDS

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = ""

    def draw(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        from IPython.display import HTML, display

        text = html_of(bars)
        if text == self._last:
            return
        self._last = text
        if self._handle is None:
            self._handle = display(HTML(text), display_id=True)
        else:
            self._handle.update(HTML(text))

    def close(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        if bars or self._handle is not None:
            self.draw(bars)


def html_of(bars: Sequence[Bar]) -> str:
    """Return bars as a table in the colours of the page."""
    rows = "".join(
        f'<tr style="background:none"><td style="text-align:left">{html.escape(bar.label)}</td>'
        f'<td><progress max="1" value="{bar.fraction:.3f}" aria-label="{html.escape(bar.label)}"></progress></td>'
        f'<td style="text-align:right">{bar.percent}</td><td style="text-align:left">{html.escape(bar.detail)}</td></tr>'
        for bar in bars
    )
    return f'<table style="font-size:0.9em"><tbody>{rows}</tbody></table>' if rows else ""


class LineView:
    """A line now and then for each step that runs, and one at its end, on standard error."""

    seconds = options.PROGRESS_SECONDS

    def __init__(self) -> None:
        self._ended: set[int] = set()

    def draw(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        for bar in bars:
            if id(bar) not in self._ended:
                sys.stderr.write(f"{bar.label}: {', '.join(filter(None, (bar.percent, bar.detail)))}\n")
            if bar.finished:
                self._ended.add(id(bar))
        sys.stderr.flush()

    def close(self, bars: Sequence[Bar]) -> None:
        """See :class:`View`."""
        self.draw(bars)


def view_of(asked: bool | None) -> View | None:
    """Return where bars are drawn; None for nowhere.

    Parameters
    ----------
    asked
        Whether there is to be progress; None for where somebody looks.
    """
    if asked is False:
        return None
    if _in_notebook():
        return NotebookView()
    stream = sys.stderr
    if stream is not None and not stream.closed and stream.isatty():
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal and not console.is_dumb_terminal:
            return TerminalView(console)
    return LineView() if asked and stream is not None else None


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this process."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None

"""The bars of this process, which are drawn together.

Covers: who draws, and when; what remains of a block that ends, or fails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from safeframe import config
from safeframe._dask.cluster import inside_worker
from safeframe.progress.bar import Bar
from safeframe.progress.views import View, view_of

logger = logging.getLogger(__name__)


class Board:
    """Bars of one block; of a block without a view none are kept.

    Examples
    --------
    >>> with progress(False) as board:
    ...     bar = board.add(Bar(label="staging"))
    >>> board.is_seen, bar.percent
    (False, '100%')
    """

    def __init__(self, drawing: _Drawing | None) -> None:
        self._drawing = drawing
        self._bars: list[Bar] = []

    @property
    def is_seen(self) -> bool:
        """Whether anybody sees it."""
        return self._drawing is not None

    def add(self, bar: Bar) -> Bar:
        """Show one more bar."""
        self._bars.append(bar)
        if self._drawing is not None:
            self._drawing.add(bar)
        return bar

    def finish(self) -> None:
        """Have all bars at their end."""
        for bar in self._bars:
            bar.finish()

    def drop(self) -> None:
        """Take away the bars of what did not come to its end."""
        if self._drawing is not None:
            self._drawing.remove([bar for bar in self._bars if not bar.finished])


class _Drawing:
    """Draws bars until the last block that has some ends."""

    def __init__(self, view: View) -> None:
        self.blocks = 1
        self._view = view
        self._bars: list[Bar] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="safeframe-progress", daemon=True)
        self._thread.start()

    def add(self, bar: Bar) -> None:
        with self._lock:
            self._bars.append(bar)

    def remove(self, bars: list[Bar]) -> None:
        with self._lock:
            self._bars = [bar for bar in self._bars if bar not in bars]

    def _visible(self, *, ended: bool = False) -> list[Bar]:
        with self._lock:
            # What ended before it was late was never seen, and need not be.
            self._bars = [bar for bar in self._bars if bar.is_late or not bar.finished]
            return [bar for bar in self._bars if bar.is_late and (bar.finished or not ended)]

    def _draw(self) -> None:
        with _harmless():
            while not self._closing.wait(self._view.seconds):
                self._view.draw(self._visible())

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        with _harmless():
            self._view.close(self._visible(ended=True))


@contextmanager
def _harmless() -> Iterator[None]:
    """Draw, if one can: a closed stream is no reason to lose what was computed."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        logger.debug("Progress cannot be drawn: %r", error)


_lock = threading.Lock()
_drawing: _Drawing | None = None


@contextmanager
def progress(asked: bool | None = None, *, apart: bool = False) -> Iterator[Board]:
    """Show how far the block is.

    Parameters
    ----------
    asked
        Whether to; None for the setting ``safeframe.progress``, and by that for
        where somebody looks: a terminal, a notebook.
    apart
        Whether it is drawn by itself, and not with blocks that it runs beside: it may outlast them.

    Yields
    ------
    Board
        Takes bars. They are at 100 % when the block ends; of one that raises those that did not end are removed.
    """
    drawing = _entered(config.progress() if asked is None else asked, apart=apart)
    board = Board(drawing)
    try:
        yield board
        board.finish()
    finally:
        board.drop()
        if drawing is not None:
            _left(drawing)


def _entered(asked: bool | None, *, apart: bool) -> _Drawing | None:
    global _drawing
    if asked is False or inside_worker():
        return None
    with _lock:
        if _drawing is not None and not apart:
            # Two that draw over the same lines would not be read.
            _drawing.blocks += 1
            return _drawing
        view = view_of(asked)
        drawing = None if view is None else _Drawing(view)
        if not apart:
            _drawing = drawing
        return drawing


def _left(drawing: _Drawing) -> None:
    global _drawing
    with _lock:
        drawing.blocks -= 1
        if drawing.blocks:
            return
        if _drawing is drawing:
            _drawing = None
    drawing.close()

from __future__ import annotations

import io
import sys
import threading
import types
from contextlib import redirect_stderr

import dask
import pytest
from rich.console import Console

from safeframe.progress import board as boards
from safeframe.progress.bar import Bar
from safeframe.progress.board import progress
from safeframe.progress.views import LineView, NotebookView, TerminalView, html_of, view_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("safeframe-progress")]


@pytest.mark.parametrize("setting", [None, True, False])
def test_who_sees_it(setting, terminal):
    with redirect_stderr(terminal), dask.config.set({"safeframe.progress": setting}), progress() as board:
        board.add(Bar(label="staging"))
        assert board.is_seen is (setting is not False)
    assert ("staging" in terminal.getvalue()) is (setting is not False)
    assert not threads()


def test_silent_where_nobody_looks(capsys):
    with progress() as board:
        board.add(Bar(label="staging")).update(1, 2)
        assert not board.is_seen
    assert capsys.readouterr() == ("", "")


def test_lines_where_they_are_asked_for(capsys):
    with progress(asked=True) as board:
        board.add(Bar(label="staging")).update(1, 2)
        board.add(Bar(label="nothing"))
    assert capsys.readouterr().err == "staging: 100%, 2/2 tasks\nnothing: 100%\n"


def test_a_terminal_ends_at_hundred_percent(terminal):
    with redirect_stderr(terminal), progress() as board:
        board.add(Bar(label="staging")).update(1, 4)
    (*_, last) = (line for line in terminal.getvalue().splitlines() if "staging" in line)
    assert "100% 4/4 tasks" in last


def test_what_fails_leaves_no_bar(capsys):
    def fails(board):
        board.add(Bar(label="counting")).finish()
        board.add(Bar(label="staging")).update(1, 2)
        msg = "full"
        raise OSError(msg)

    with pytest.raises(OSError, match="full"), progress(asked=True) as board:
        fails(board)
    assert capsys.readouterr().err == "counting: 100%\n"
    assert not threads()


def test_a_failed_block_erases_its_lines():
    stream = Terminal()
    view = TerminalView(Console(file=stream, force_terminal=True, width=80))
    view.draw([Bar(label="staging")])
    view.close([])
    erase, _, after = stream.getvalue().rpartition("staging")
    assert "\x1b[2K" in after, "the line is erased"
    assert erase


def test_blocks_within_blocks_draw_together(terminal):
    with redirect_stderr(terminal), progress() as outer, progress() as inner:
        assert inner.is_seen
        assert len(threads()) == 1
        inner.add(Bar(label="inner"))
        outer.add(Bar(label="outer"))
    assert boards._drawing is None
    assert not threads()
    ends = [line for line in terminal.getvalue().splitlines() if "100%" in line]
    assert "inner" in ends[-2]
    assert "outer" in ends[-1]


def test_what_ends_before_it_is_late_is_not_seen(capsys):
    with progress(asked=True) as board:
        board.add(Bar(label="footers", late_seconds=60))
    assert capsys.readouterr().err == ""


def test_tasks_on_workers_are_silent(monkeypatch, terminal):
    monkeypatch.setattr("safeframe._dask.cluster.get_worker", object)
    with redirect_stderr(terminal), progress(asked=True) as board:
        assert not board.is_seen


def test_a_notebook_gets_html_in_one_output(monkeypatch):
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page)

    class Shell:
        kernel = object()

    display = types.SimpleNamespace(HTML=str, display=lambda page, display_id: shown.append(page) or Handle())
    ipython = types.SimpleNamespace(get_ipython=Shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert isinstance(view_of(None), NotebookView)
    with progress() as board:
        board.add(Bar(label="<staging>")).update(1, 4)
    assert 'value="1.000"' in shown[-1]
    assert "&lt;staging&gt;" in shown[-1]
    assert "100%" in shown[-1]


def test_html_of_nothing_is_nothing():
    assert html_of([]) == ""


def test_a_dumb_terminal_is_no_terminal(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal):
        assert view_of(None) is None
        assert isinstance(view_of(asked=True), LineView)

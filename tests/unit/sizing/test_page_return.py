"""When a worker's freed pages are given back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from safeframe import options
from safeframe.sizing import page_return
from safeframe.sizing.page_return import PageReturn

LIMIT = 1000


class Memory:
    """A process whose freed pages are half of what it holds."""

    def __init__(self, held: int, *, kept: int = 0) -> None:
        self.held, self.kept, self.trims = held, kept, 0

    def trim(self) -> None:
        self.trims += 1
        self.held -= self.kept
        self.kept = 0


def _looked(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, times: int = 1, limit: int | None = LIMIT
) -> PageReturn:
    clock = iter(range(1000))
    monkeypatch.setattr(page_return, "trim", memory.trim)
    monkeypatch.setattr(
        page_return.time, "monotonic", lambda: next(clock) * options.PAGE_RETURN_LOOK_MS / 1000
    )
    monkeypatch.setattr(page_return, "resident_nbytes", lambda: memory.held)
    worker: Any = SimpleNamespace(memory_manager=SimpleNamespace(memory_limit=limit))
    plugin = PageReturn()
    for _ in range(times):
        plugin.look(worker)
    return plugin


@pytest.mark.parametrize(("held", "trims"), [(800, 0), (801, 1), (2000, 1)])
def test_only_above_what_plans_fill(held: int, trims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(held, kept=held // 2)
    assert _looked(memory, monkeypatch).returned == trims
    assert memory.trims == trims


def test_it_is_done_once_when_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(900, kept=400)
    _looked(memory, monkeypatch, times=10)
    assert (memory.trims, memory.held) == (1, 500)


def test_pages_that_hold_data_are_not_requested_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(900)
    _looked(memory, monkeypatch, times=11)
    assert memory.trims == 3


def test_a_worker_without_a_limit_is_never_full(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(10**9, kept=10**8)
    _looked(memory, monkeypatch, limit=None)
    assert memory.trims == 0

"""When staged files are written past the page cache."""

from __future__ import annotations

import types

import pytest

from safeframe import options
from safeframe.engine.storage import local as page_cache
from safeframe.sizing.machine import MemoryGroup


@pytest.mark.parametrize(("share", "full"), [(0.5, False), (options.PAGE_CACHE_FRACTION + 0.01, True)])
def test_a_memory_group_is_asked_for_what_it_holds(tmp_path, monkeypatch, share, full):
    (tmp_path / "memory.usage_in_bytes").write_text(str(int(share * 2**30)))
    monkeypatch.setattr(page_cache, "_group", lambda: MemoryGroup(path=str(tmp_path), limit_nbytes=2**30))
    assert page_cache.page_cache_is_full() is full


@pytest.mark.parametrize(("available", "full"), [(0.5, False), (0.2, True)])
def test_without_a_group_the_machine_is_asked(monkeypatch, available, full):
    memory = types.SimpleNamespace(total=2**30, available=int(available * 2**30))
    monkeypatch.setattr(page_cache, "_group", lambda: None)
    monkeypatch.setattr(page_cache.psutil, "virtual_memory", lambda: memory)
    assert page_cache.page_cache_is_full() is full

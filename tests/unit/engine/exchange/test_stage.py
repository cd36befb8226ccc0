"""Errors of a write to a full staging directory."""

from __future__ import annotations

import errno

from safeframe.engine.exchange import stage
from safeframe.errors import StagingFullError


def test_there_was_less_room_than_a_write_needed_whatever_others_removed_since(monkeypatch, tmp_path):
    monkeypatch.setattr(stage, "free_nbytes", lambda directory: 2**30)
    error = stage.staging_error(OSError(errno.ENOSPC, "No space left"), 800_000, str(tmp_path))
    assert isinstance(error, StagingFullError)
    assert error.figures["needed_nbytes"] > error.figures["free_nbytes"]

from __future__ import annotations

import pytest

from safeframe.engine.names import run_of_seal, seal_key

TOKEN = "0123456789abcdef" * 2


@pytest.mark.parametrize("run", [f"merge-{TOKEN}", f"merge-{TOKEN}-side", f"rechunk-{TOKEN}-1"])
def test_a_run_is_known_by_its_seal(run):
    assert run_of_seal(seal_key(run)) == run


@pytest.mark.parametrize(
    "key",
    ["merge-seal-../..", f"merge-seal-{TOKEN}/..", f"merge-stage-{TOKEN}", (f"merge-seal-{TOKEN}", 0), 7],
)
def test_no_other_key_is_one(key):
    assert run_of_seal(key) is None

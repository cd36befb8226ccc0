"""How tests are divided between the two processes that run them (``pytest -n 2``).

Tests that start clusters, and the pages of the documentation, run one after the other
in one process: a cluster has the machine's memory to itself. All others run beside
them, a file at a time. Trials of the fault machine, of small data and mostly waiting,
go to whichever process is free, in a few parts.
"""

from __future__ import annotations

from typing import Any

import pytest

_TRIALS = "tests/faults/machine/test_machine.py::test_a_trial["
_PARTS_OF_TRIALS = 4
_IN_TURN = (
    "tests/cluster/",
    "tests/faults/",
    "tests/memory/",
    "tests/conformance/test_workers",
    "tests/hosts/",
    "docs/",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return pytest-xdist who decides: with ``-n 0`` nobody asks."""
    from xdist.scheduler import LoadScopeScheduling

    class ClustersInTurn(LoadScopeScheduling):
        """Hands out files, those of clusters as one."""

        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_TRIALS):
                return f"trials {int(nodeid[len(_TRIALS) :].rstrip(']')) % _PARTS_OF_TRIALS}"
            return "clusters" if nodeid.startswith(_IN_TURN) else nodeid.partition("::")[0]

    return ClustersInTurn(config, log)

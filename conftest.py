"""How tests are divided between the two processes that run them (``pytest -n 2``).

Tests that start clusters, and the pages of the documentation, run one after the other
in one process: a cluster has the machine's memory to itself. All others run beside
them, a file at a time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_ROOT = Path(__file__).parent
_ALONE = tuple(_ROOT / folder for folder in ("tests/cluster", "tests/faults", "tests/memory", "docs"))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Name the group of a test, for ``--dist=loadgroup``: before xdist looks for it."""
    path = Path(item.path)
    alone = any(folder in path.parents for folder in _ALONE)
    item.add_marker(pytest.mark.xdist_group("clusters" if alone else str(path.relative_to(_ROOT))))

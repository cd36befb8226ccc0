"""Each option has one value, whichever of the modules it is in."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from safeframe import options


def test_each_name_is_given_once():
    found = Counter(
        target.id
        for path in Path(options.__file__).parent.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    assert [name for name, times in found.items() if times > 1 and name != "MIB"] == []

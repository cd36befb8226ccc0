"""Looks into expressions: what dask's optimiser is not shown, and what was fused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from safeframe._dask.expressions import Expr
from safeframe.engine.planned.nodes import Hidden


def every_node(expr: Any) -> Iterator[Any]:
    """Return an expression and all that it is made of, hidden and fused ones included, each once."""
    waiting, seen = [expr], set()
    while waiting:
        node = waiting.pop()
        if node._name in seen:
            continue
        seen.add(node._name)
        yield node
        for operand in node.operands:
            if isinstance(operand, Hidden):
                waiting.append(operand.tree)
            elif isinstance(operand, Expr):
                waiting.append(operand)
            elif isinstance(operand, list):
                waiting += [part for part in operand if isinstance(part, Expr)]


def nodes_of(collection: Any, *kinds: type) -> list[Any]:
    """Return the nodes of some kinds in what is about to run."""
    return [node for node in every_node(collection.optimize(fuse=False).expr) if isinstance(node, kinds)]

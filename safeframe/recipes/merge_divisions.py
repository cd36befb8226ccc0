"""The divisions of a merge's result, where its index makes them known."""

from __future__ import annotations

from typing import Any

import pandas as pd

from safeframe.facts.plan import Plan
from safeframe.kernels.join_divisions import in_key_order, join_divisions
from safeframe.recipes.join_sizes import JoinSizes

__all__ = ["result_divisions"]


def result_divisions(sizes: JoinSizes, plan: Plan) -> tuple[Any, ...] | None:
    """Give the divisions of the result, or None where they are not known.

    They are known where rows stay where they are and keep their index, as they were
    before; and where the index is the key, each partition a range of it, and rows
    within a partition in its order.
    """
    if plan.build_side is not None:
        return _of_rows_that_stay(sizes, plan.build_side)
    if plan.layout is None or plan.strategy == "p2p":
        return None
    if not _index_is_key(sizes) or not in_key_order(sizes.schema):
        return None
    left, right = sizes.left_facts.keys.partitions, sizes.right_facts.keys.partitions
    return join_divisions(plan.layout, sizes.schema, left, right)


def _of_rows_that_stay(sizes: JoinSizes, build_side: str) -> tuple[Any, ...] | None:
    index = sizes.output.index
    if index is None:
        return None
    stays = (sizes.left, index.left) if build_side == "right" else (sizes.right, index.right)
    frame, place = stays
    if (
        place is None
        or not frame.known_divisions
        or isinstance(frame._meta.dtypes.iloc[place], pd.CategoricalDtype)
    ):
        return None
    return tuple(frame.divisions)


def _index_is_key(sizes: JoinSizes) -> bool:
    index = sizes.output.index
    if index is None:
        return False
    sides = (index.left, sizes.left, sizes.keys.left), (index.right, sizes.right, sizes.keys.right)
    for place, frame, keys in sides:
        if place is None:
            continue
        column = frame._meta.columns[place]
        if keys.on != (column,) or isinstance(frame._meta[column].dtype, pd.CategoricalDtype):
            return False
    return True

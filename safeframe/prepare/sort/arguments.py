"""What ``sort_values`` refuses before any row is read and any worker asked: its arguments, and columns that are not there.

Does not cover: arguments of dask that are mapped to ours (``recipes.sort_values``), and ``set_index`` (``index``).
"""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe import config
from safeframe.choices import check_choice, check_flags
from safeframe.engine.sort.nodes import SortRequest
from safeframe.errors import ValidationError
from safeframe.facts.strategies import SORT_STRATEGIES
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import PartitionOptions, as_names, check_frame
from safeframe.prepare.sort.order import row_order

RECIPE = "sort_values"
"""What messages call it."""


def check_sort(
    ddf: Any, by: Any, ascending: Any, na_position: str, ignore_index: bool | None, given: PartitionOptions
) -> tuple[dd.DataFrame, SortRequest]:
    """Check all that a sort refuses by its arguments and by the columns of its frame.

    Returns
    -------
    tuple
        The frame, and what is made of it.

    Raises
    ------
    SafeframeError
        As :func:`safeframe.sort_values` says.
    """
    frame = check_frame(ddf, "ddf")
    names = (by,) if isinstance(by, tuple) and by in list(frame.columns) else as_names(by)
    directions = list(ascending) if isinstance(ascending, (list, tuple)) else [ascending] * len(names)
    if len(directions) != len(names):
        msg = f"ascending= has {len(directions)} values and by= names {len(names)} columns."
        raise ValidationError(msg, hint="Pass one value for all columns, or one for each.")
    if not all(isinstance(one, (bool, np.bool_)) for one in directions):
        msg = f"ascending={ascending!r} is neither True nor False."
        raise ValidationError(msg, hint="Pass True or False, or a list with one of them for each column.")
    check_choice(na_position, ("first", "last"), argument="na_position", what="a place for nulls")
    if ignore_index is not None:  # as dask has it by default
        check_flags(ignore_index=ignore_index)
    order = row_order(frame, names, ascending=[bool(d) for d in directions], na_last=na_position == "last")
    check_strategy(given.strategy, SORT_STRATEGIES, recipe=RECIPE)
    config.partition_nbytes(given.checked().partition_size)
    return frame, SortRequest(order=order, index=None, drop=True, with_index=not ignore_index)

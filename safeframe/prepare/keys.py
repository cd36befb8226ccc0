"""The keys of one frame: how they become codes, and how many rows each has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dask.dataframe as dd

from safeframe.facts.budget import Budget
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.kernels.keys.schema import common_schema
from safeframe.prepare.merge.sizes import check_statistics
from safeframe.sizing.keys.statistics import gather_key_statistics


def key_schema(frame: dd.DataFrame, on: Sequence[Any]) -> KeySchema:
    """Return how the keys of a frame become codes."""
    columns = [frame._meta[name] for name in on]
    return common_schema(columns, columns, left_names=on, right_names=on)


def count_keys(
    frame: dd.DataFrame,
    on: tuple[Any, ...],
    schema: KeySchema,
    statistics: KeyStatistics | None,
    budget: Budget,
) -> KeyStatistics:
    """Count the rows of each key, if that was not done before.

    Raises
    ------
    ValidationError
        When the statistics are not of this frame and these keys.
    """
    if statistics is None:
        return gather_key_statistics([(frame, on)], schema, room_nbytes=budget.task_nbytes)[0]
    check_statistics(statistics, on, frame)
    return replace(statistics, counting=None)

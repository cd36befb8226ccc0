"""Checks of key statistics that a user hands to a recipe."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.errors import ValidationError
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.kernels.join_keys import SideKeys
from safeframe.sizing.keys import align_heavy_keys

__all__ = ["check_statistics", "given_statistics"]


def given_statistics(
    statistics: Any,
    schema: KeySchema,
    left: tuple[dd.DataFrame, SideKeys],
    right: tuple[dd.DataFrame, SideKeys],
) -> list[KeyStatistics]:
    """Give the statistics of both sides back, or say why they are not of this merge.

    Parameters
    ----------
    statistics
        What the user gave.
    schema
        The common type of the keys.
    left, right
        The frames with their keys.

    Raises
    ------
    ValidationError
        When they are no pair, or of other keys, partitions or types.

    Notes
    -----
    **Eager** where keys were sampled and the two sides were gathered apart:
    the key columns are then read once, to count the heaviest keys of either
    side in the other.
    """
    hint = "Gather them with safeframe.key_statistics(left, on) and (right, on), or leave statistics= out."
    if not isinstance(statistics, tuple) or len(statistics) != 2:
        msg = "statistics= takes a pair: the key statistics of the left side and of the right side."
        raise ValidationError(msg, hint=hint)
    for name, given, (ddf, keys) in zip(("left", "right"), statistics, (left, right), strict=True):
        if not isinstance(given, KeyStatistics) or given.on != keys.names:
            of = list(given.on) if isinstance(given, KeyStatistics) else type(given).__name__
            msg = f"The {name} statistics are of {of!r}, and the merge is on {list(keys.names)!r}."
            raise ValidationError(msg, hint=hint)
        if given.schema != schema:
            msg = f"The {name} statistics were gathered for keys of another type than this merge compares."
            raise ValidationError(msg, hint="Leave statistics= out, or cast both keys to one type first.")
        if len(given.partitions.rows) != ddf.npartitions:
            msg = (
                f"The {name} statistics are of a frame of {len(given.partitions.rows)} partitions, and the "
                f"{name} side has {ddf.npartitions}."
            )
            raise ValidationError(msg, hint=hint)
    return align_heavy_keys([(ddf, keys.on) for ddf, keys in (left, right)], statistics)


def check_statistics(statistics: Any, names: tuple[Any, ...], ddf: dd.DataFrame) -> None:
    """Raise when statistics are not those of a frame's key.

    Raises
    ------
    ValidationError
        When they are of something else, or no statistics.
    """
    if not isinstance(statistics, KeyStatistics):
        msg = f"statistics= are a {type(statistics).__name__}, and not what safeframe.key_statistics returns."
    elif statistics.on != names or len(statistics.partitions.rows) != ddf.npartitions:
        msg = f"statistics= are of {list(statistics.on)!r} in {len(statistics.partitions.rows)} partitions."
    else:
        return
    hint = "Gather them with safeframe.key_statistics(ddf, on), or leave them out."
    raise ValidationError(msg, hint=hint)

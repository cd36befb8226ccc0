"""dask's arguments of what finds distinct keys: mapped, or answered in words."""

from __future__ import annotations

from typing import Any

from safeframe.choices import check_flags
from safeframe.errors import ValidationError
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import exchange_strategy, no_tree, refuse


def check_dask_arguments(recipe: str, *, inplace: bool = False, split_every: Any, split_out: Any) -> None:
    """Check arguments that tune dask's own tree of all rows: they are taken, and decide nothing.

    Raises
    ------
    ValidationError
        When one is not even a number.
    UnsupportedError
        When a frame is to be changed in place.
    """
    check_flags(inplace=inplace)
    if inplace:
        refuse(recipe, "inplace", inplace, "dask dataframes do not change", "Use the frame that is returned.")
    no_tree(split_every=split_every, split_out=split_out)


def check_axis(recipe: str, axis: Any) -> None:
    """Check that columns are counted, and not rows.

    Raises
    ------
    ValidationError
        When there is no such axis.
    UnsupportedError
        When the values of each row are to be counted.
    """
    known = isinstance(axis, (int, str))
    if known and axis in (1, "columns"):
        hint = "Use ddf.nunique(axis=1), which looks at each row alone."
        refuse(recipe, "axis", axis, "it counts the values of columns", hint)
    if not known or axis not in (0, "index", "rows"):
        msg = f"axis={axis!r} is no axis of a frame."
        raise ValidationError(msg, hint="Leave it out: values of columns are counted.")


def moves(
    recipe: str,
    *,
    strategy: str | None,
    memory: str | int | None,
    staging: str | None,
    shuffle_method: Any = None,
) -> PartitionOptions:
    """Return how keys move, as the user gave it.

    Raises
    ------
    UnsupportedError
        When dask's P2P is to move them.
    """
    return PartitionOptions(
        npartitions=None,
        partition_size=None,
        strategy=exchange_strategy(recipe, shuffle_method, strategy, with_p2p=False),
        memory=memory,
        staging=staging,
    )

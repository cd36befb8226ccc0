"""Sends rows to the partition of the divisions that the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import SchemaMismatchError, ValidationError
from safeframe.facts.keys import Codes
from safeframe.kernels.keys.nulls import send_nulls
from safeframe.kernels.order import shard_of
from safeframe.kernels.sort.rows import RowOrder, ranks_among


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DivisionRouter:
    """Where rows go whose key lies between given divisions; a router of the exchange.

    The last division belongs to the last partition, as in dask, and so do rows without a key.
    """

    order: RowOrder
    """The order; of one column."""
    bounds: pd.DataFrame
    """The divisions, each once, as keys."""
    codes: Codes | None
    """Their codes, where keys have some."""
    given: tuple[Any, ...]
    """The divisions as the user gave them."""

    @property
    def on(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.order.by

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return len(self.given) - 1

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`.

        Raises
        ------
        ValidationError
            When a key lies outside of the divisions.
        """
        if self.codes is not None:
            codes, null = self.order.codes(frame)
            starts = np.append(np.uint64(0), self.codes[1 : self.n_shards])
            shards = shard_of(codes, starts)
            outside = (codes < self.codes[0]) | (codes > self.codes[-1])
        else:
            # Row i of the bounds has rank 2 i + 1; what lies behind it, 2 i + 2.
            ranks = ranks_among(frame, self.bounds, self.order)
            of_ranks = np.arange(2 * len(self.bounds) + 1)
            null = frame[self.order.by[0]].isna().to_numpy()
            shards = np.searchsorted(2 * np.arange(1, self.n_shards) + 1, of_ranks, side="right")[ranks]
            outside = (ranks < 1) | (ranks > 2 * len(self.bounds) - 1)
        send_nulls(shards, null, self.n_shards - 1)
        if null is not None:
            outside &= ~null
        if outside.any():
            key = frame[self.order.by[0]].iloc[int(np.flatnonzero(outside)[0])]
            raise _outside(self.bounds, key)
        return shards

    def check(self, keys: pd.DataFrame) -> None:
        """Check that keys are within the divisions.

        Raises
        ------
        ValidationError
            When one is not.
        """
        self.shards(keys, 0)


def division_router(order: RowOrder, divisions: Sequence[Any]) -> DivisionRouter:
    """Make the router of divisions.

    Raises
    ------
    SchemaMismatchError
        When they are not of the column's type.
    ValidationError
        When they are no divisions: fewer than two, null, or not ascending.
    """
    (name,), (dtype,) = order.by, order.dtypes
    hint = "Pass ascending values of the column, one more than the number of partitions."
    if len(divisions) < 2:
        msg = f"divisions={list(divisions)!r} has fewer than two values."
        raise ValidationError(msg, hint=hint)
    try:
        given = pd.Series(list(divisions))
        keys = given.astype(dtype) if given.dtype != dtype else given
        same = keys.isna().any() or bool((keys.astype(object) == given.astype(object)).all())
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"divisions={_some(divisions)} are not of the type of column {name!r}, {dtype}: {error}."
        raise SchemaMismatchError(msg, hint=hint) from error
    if not same:
        msg = f"divisions={_some(divisions)} are not of the type of column {name!r}, {dtype}: they would be rounded."
        raise SchemaMismatchError(msg, hint=hint)
    if keys.isna().any():
        msg = f"divisions={_some(divisions)} have a null, or one that column {name!r} cannot have."
        raise ValidationError(msg, hint=hint)
    frame = pd.DataFrame({name: keys})
    codes = order.codes(frame)[0] if order.coded else None
    bounds = frame.drop_duplicates().reset_index(drop=True)
    places = codes if codes is not None else ranks_among(frame, bounds, order)
    steps = places[1:] > places[:-1]
    # As in dask, the last partition may have one key.
    if not steps[:-1].all() or places[-1] < places[-2]:
        msg = f"divisions={_some(divisions)} are not ascending."
        raise ValidationError(msg, hint=hint)
    if codes is None and not (np.diff(ranks_among(bounds, bounds, order)) > 0).all():
        msg = f"divisions={_some(divisions)} are not ascending."
        raise ValidationError(msg, hint=hint)
    return DivisionRouter(order=order, bounds=bounds, codes=codes, given=tuple(divisions))


def _outside(bounds: pd.DataFrame, key: Any) -> ValidationError:
    ends = bounds.iloc[[0, -1], 0].tolist()
    key = key.item() if isinstance(key, np.generic) else key
    msg = f"The key {key!r} lies outside divisions=, which go from {ends[0]!r} to {ends[1]!r}."
    return ValidationError(msg, hint="Pass divisions that contain all keys; the last one is included.")


def _some(divisions: Sequence[Any]) -> str:
    listed = ", ".join(map(repr, list(divisions)[:5]))
    return f"[{listed}{', …' if len(divisions) > 5 else ''}]"

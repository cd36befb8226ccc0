"""Sends rows to the shard of the range that their key is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.layout import ShardLayout
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.keys.nulls import send_nulls
from safeframe.kernels.order import shard_of
from safeframe.kernels.sort.rows import RowOrder, ranks_among


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeRouter:
    """Where rows go, by the codes or by the ranks of their keys."""

    order: RowOrder
    layout: ShardLayout
    bounds: pd.DataFrame | None
    """The keys that shards begin with, or just behind, where keys have no codes."""
    positions: npt.NDArray[np.int64] | None
    """For each shard but the first, the rank among ``bounds`` that it begins with."""

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.layout.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        if self.bounds is None or self.positions is None:
            codes, null = self.order.codes(frame)
            shards = shard_of(codes, self.layout.starts)
        else:
            ranks = ranks_among(frame, self.bounds, self.order)
            shards = np.searchsorted(self.positions, np.arange(2 * len(self.bounds) + 1), side="right")[ranks]
            null = frame[self.order.by[0]].isna().to_numpy() if self.order.nulls_apart else None
        # Nulls that the sample did not meet, in data that changed, go with the last keys.
        send_nulls(shards, null, self.layout.n_shards - 1)
        return shards


@dataclass(frozen=True, slots=True, eq=False)
class NullsFirst:
    """A range router whose last shard, that of nulls, is the first, where shards are partitions as they come."""

    router: RangeRouter

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return (self.router.shards(frame, first_row) + 1) % self.n_shards


def range_router(order: RowOrder, layout: ShardLayout, quantiles: KeyQuantiles) -> RangeRouter:
    """Make the router of a layout that was cut by a frame's quantiles."""
    if quantiles.values is None:
        return RangeRouter(order=order, layout=layout, bounds=None, positions=None)
    # A start is 2 i + 1 in front of sampled key i, and 2 i + 2 behind it.
    starts = layout.starts[1:].astype(np.int64)
    keys, place = np.unique((starts - 1) // 2, return_inverse=True)
    bounds = quantiles.values.take(keys).reset_index(drop=True)
    positions = 2 * place + np.where(starts % 2 == 1, 1, 2)
    return RangeRouter(order=order, layout=layout, bounds=bounds, positions=positions)

"""Sends rows to the shard of their group, and rows that are in no group nowhere, or anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.routing.hashes import HashRouter
from safeframe.kernels.routing.router import NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class GroupRouter:
    """Sends a row to the shard of its key, but for rows with a null in it."""

    router: HashRouter
    keeps_rows: bool
    """Whether rows with a null are wanted, too: they go to all shards in turn, since they have nothing in common."""

    @property
    def on(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.on

    @property
    def n_shards(self) -> int:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        shards = self.router.shards(frame, first_row).astype(np.int64, copy=False)
        for name in self.router.on:
            null = np.flatnonzero(frame[name].isna().to_numpy())
            shards[null] = (first_row + null) % self.n_shards if self.keeps_rows else NOWHERE
        return shards

"""Shards in two levels: a few coarse ones, each of neighbouring shards, before the shards themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.routing.router import Router

PLACE = np.dtype(np.int64)
"""Of the column that says which of the shards of its coarse shard a row goes to; it is staged as narrow as it can be."""


@dataclass(frozen=True, slots=True, eq=False)
class CoarseRouter:
    """Sends a row to the coarse shard that its shard is in."""

    router: Router
    """Says the shard of each row."""
    width: int
    """Shards of a coarse one."""

    @property
    def on(self) -> tuple[Any, ...]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        return self.router.on

    @property
    def n_shards(self) -> int:
        """Coarse shards."""
        return -(-self.router.n_shards // self.width)

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`; rows that are not wanted stay that."""
        return self.router.shards(frame, first_row) // self.width

"""Sends rows to shards by the hash of their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import KeySchema
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.nulls import NULL_SHARD, send_nulls
from safeframe.kernels.routing.shards import hash_shards


@dataclass(frozen=True, slots=True, eq=False)
class HashRouter:
    """Sends a row to the shard of its key."""

    on: tuple[Any, ...]
    schema: KeySchema
    """How keys become codes."""
    n_shards: int

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """Return the shard of each row; see :class:`safeframe.kernels.routing.router.Router`."""
        del first_row
        codes, null = encode_keys([frame[name] for name in self.on], self.schema)
        shards = hash_shards(codes, self.n_shards)
        send_nulls(shards, null, NULL_SHARD)
        return shards

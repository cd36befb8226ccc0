"""Which shard each row of a partition belongs to.

Covers: the interface that an exchange asks, and the router of a join.
Does not cover: cutting keys into shards (``planning``), routers of other
recipes (in modules of their own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import KeySchema
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.counts import rows_checksum
from safeframe.kernels.keys.nulls import count_nulls, send_nulls
from safeframe.kernels.order import shard_of
from safeframe.units import format_count

NOWHERE = -1
"""The shard of a row that nothing can come out of."""


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Where the rows of a partition go, and what tells that they are the rows that were planned."""

    shards: npt.NDArray[np.integer[Any]]
    """The shard of each row, :data:`NOWHERE` for rows that are not wanted."""
    checksum: int = 0
    """Of the keys of all rows, those that are not wanted too (``kernels.keys.counts.rows_checksum``); 0 where a router
    takes none."""


class Router(Protocol):
    """Says where rows go; sent to every stage task."""

    @property
    def on(self) -> tuple[Any, ...]:
        """Columns that it looks at."""

    @property
    def n_shards(self) -> int:
        """Shards that there are."""

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """Return the shard of each row, :data:`NOWHERE` for rows that are not wanted.

        Parameters
        ----------
        frame
            A partition.
        first_row
            Rows of the same stage task that came before it.
        """


class StagedColumns(Protocol):
    """The columns of a frame as they are staged."""

    @property
    def with_index(self) -> bool:
        """Whether the index goes along, as one more column in front."""

    @property
    def names(self) -> Sequence[Any]:
        """The columns that are staged, in order."""

    @property
    def dtypes(self) -> tuple[Any, ...]:
        """Pandas dtypes of what is staged."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinRouter:
    """Sends a row of one side of a join to the shard of its key."""

    on: tuple[Any, ...]
    schema: KeySchema
    """How keys become codes."""
    layout: ShardLayout
    empty: npt.NDArray[np.bool_] | None = None
    """Which shards this side had no rows for when the plan was made; None where that is not known."""

    @property
    def n_shards(self) -> int:
        """See :class:`Router`."""
        return self.layout.n_shards

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`Router`."""
        return self.routes([frame[name] for name in self.on]).shards

    def routes(self, keys: Sequence[pd.Series[Any]]) -> Routes:
        """Return the shard of each row, and a checksum of all keys, which are columns of a partition.

        Raises
        ------
        RowConservationError
            When a key is null and none was when the shards were cut, or where rows are not wanted because this side
            had none there.
        """
        codes, null = encode_keys(keys, self.schema)
        shards = shard_of(codes, self.layout.starts)
        if not self.layout.null_shard and (nulls := count_nulls(null)):
            msg = f"{format_count(nulls)} rows have a null key in {list(self.on)!r}; there were none when the plan was made."
            raise data_changed(msg, planned=0, found=nulls)
        send_nulls(shards, null, self.layout.n_shards - 1)
        unused = self.layout.cells == 0
        if unused.any():
            left_out = unused[shards]
            self._check_left_out(shards[left_out])
            shards[left_out] = NOWHERE
        return Routes(shards, rows_checksum(codes, null))

    def _check_left_out(self, shards: npt.NDArray[np.integer[Any]]) -> None:
        """Raise when there are rows now of shards from which nothing comes because this side had no rows of them."""
        new = 0 if self.empty is None else int(np.count_nonzero(self.empty[shards]))
        if new:
            msg = f"{format_count(new)} rows have keys in {list(self.on)!r} that did not exist when the plan was made."
            raise data_changed(msg, planned=0, found=new)

"""Items of a bag as rows that the exchange stages, and as groups again.

A *block* is the items of a partition that are processed at once. It becomes a
small frame of one row per shard that it has items for: the distinct keys of the
shard, how many items each has, and the items in the order of these keys, all as
bytes. Staging, sealing and fetching such rows is the same as for a dataframe.

Covers: blocks to frames; rows to entries (a key, its items within one block);
entries to groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.engine.exchange.staged_file import Ints
from safeframe.engine.task import conserved
from safeframe.kernels.bag.keys import key_hashes, number_keys
from safeframe.kernels.bag.values import (
    Values,
    cell_numbers,
    join_values,
    number_cells,
    pack_values,
    unpack_values,
)
from safeframe.kernels.columns.values import Column
from safeframe.kernels.order import begins_run, stable_order
from safeframe.kernels.routing.shards import hash_shards
from safeframe.sizing.bag import item_nbytes

_BYTES = pd.ArrowDtype(pa.large_binary())
_COUNT = np.dtype(np.int32)
_CELLS = ("keys", "key_lengths", "counts", "items", "item_lengths")


@dataclass(frozen=True, slots=True)
class BagRouter:
    """Sends a row to the shard that it names."""

    n_shards: int
    """Shards that there are."""

    @property
    def on(self) -> tuple[Any, ...]:
        """Nothing; see :class:`safeframe.kernels.routing.router.Router`."""
        return ()

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        numbers: npt.NDArray[np.integer[Any]] = frame["shard"].to_numpy()
        return numbers


class BagColumns:
    """The columns of such a frame as they are staged; its shard goes without saying."""

    dtypes = (np.dtype(np.int64), np.dtype(np.int64), *(_BYTES for _ in _CELLS))

    names = ("key_kind", "item_kind", *_CELLS)
    with_index = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSizes:
    """What a stage task has for each of its shards."""

    shards: Ints
    items: Ints
    entries: Ints
    """Distinct keys of each block, added."""
    nbytes: npt.NDArray[np.float64]
    """Bytes of the items as Python objects."""

    @classmethod
    def total(cls, parts: Sequence[ShardSizes]) -> ShardSizes:
        """Add what several blocks, or tasks, have."""
        shards, places = np.unique(
            np.concatenate([np.empty(0, np.int64), *(part.shards for part in parts)]), return_inverse=True
        )

        def added(name: str) -> npt.NDArray[np.float64]:
            values = np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)])
            return np.bincount(places, values, minlength=len(shards)).astype(np.float64, copy=False)

        return cls(
            shards=shards.astype(np.int64),
            items=added("items").astype(np.int64),
            entries=added("entries").astype(np.int64),
            nbytes=added("nbytes"),
        )


def block_frame(
    items: list[Any], key: Callable[[Any], Any], n_shards: int, secret: bytes
) -> tuple[pd.DataFrame, ShardSizes]:
    """Find the key of each item, and bring items together by it.

    Parameters
    ----------
    items
        At least one.
    key
        Called once per item.
    n_shards
        Shards by the hash of a key.
    secret
        What is pickled is signed with.
    """
    codes, uniques = number_keys(list(map(key, items)))
    shards = hash_shards(key_hashes(uniques), n_shards)
    by_shard = stable_order(shards)
    if by_shard is None:
        ordered_shards, places = shards, codes
    else:
        ordered_shards = shards[by_shard]
        rank = np.empty(len(uniques), np.int64)
        rank[by_shard] = np.arange(len(uniques))
        places = rank[codes]
    counts = np.bincount(places, minlength=len(uniques))
    first_keys = np.flatnonzero(begins_run(ordered_shards))
    key_bounds = np.append(first_keys, len(uniques))
    item_bounds = np.concatenate([[0], np.cumsum(counts)])[key_bounds].astype(np.int64)
    order = stable_order(places)
    del codes, places
    packed_keys = pack_values(uniques, by_shard, key_bounds, secret)
    packed_items = pack_values(items, order, item_bounds, secret)
    sizes = item_nbytes(items, packed_items.kind)
    if isinstance(sizes, float):
        per_shard = np.diff(item_bounds) * sizes
    else:
        per_shard = np.add.reduceat(sizes if order is None else sizes[order], item_bounds[:-1])
    frame = pd.DataFrame(
        {
            "shard": ordered_shards[first_keys],
            "key_kind": packed_keys.kind,
            "item_kind": packed_items.kind,
            "keys": _cells(packed_keys.data),
            "key_lengths": _cells(packed_keys.lengths),
            "counts": _cells(_count_cells(counts, key_bounds)),
            "items": _cells(packed_items.data),
            "item_lengths": _cells(packed_items.lengths),
        }
    )
    return frame, ShardSizes(
        shards=ordered_shards[first_keys],
        items=np.diff(item_bounds),
        entries=np.diff(key_bounds),
        nbytes=per_shard,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """Keys of a shard with their items, block after block; a key occurs once for each block that has it."""

    keys: list[Any]
    """The key of each entry."""
    counts: Ints
    items: Values
    """The items of all entries, one after the other."""


def entries_of(columns: Sequence[Column], where: str, secret: bytes) -> Entries:
    """Read rows of the exchange.

    Parameters
    ----------
    columns
        As :func:`safeframe.engine.exchange.fetch.fetch` returns them.
    where
        What they are of, for the message when items are missing.
    secret
        What pickles are signed with.

    Raises
    ------
    StagingError
        When pickles are not signed with it.
    RowConservationError
        When there are other items than were counted.
    """
    key_kinds, item_kinds = (np.asarray(column) for column in columns[:2])
    cells = _aligned([_chunks(column) for column in columns[2:]])
    keys: list[Any] = []
    counts: list[Ints] = []
    items: list[Values] = []
    row = 0
    for keys_of, key_lengths, counts_of, items_of, item_lengths in zip(*cells, strict=True):
        n = len(keys_of)
        kinds = key_kinds[row : row + n] * len(_CELLS) ** 2 + item_kinds[row : row + n]
        for low, high in pairwise([*np.flatnonzero(begins_run(kinds)).tolist(), n]):
            part = slice(low, high)
            key_kind, item_kind = int(key_kinds[row + low]), int(item_kinds[row + low])
            keys += unpack_values(key_kind, keys_of[part], key_lengths[part], secret).tolist()
            counts.append(cell_numbers(counts_of[part], _COUNT).astype(np.int64))
            items.append(unpack_values(item_kind, items_of[part], item_lengths[part], secret))
        row += n
    entries = Entries(
        keys=keys, counts=np.concatenate([np.empty(0, np.int64), *counts]), items=join_values(items)
    )
    conserved(int(entries.counts.sum()), len(entries.items), where)
    return entries


def _count_cells(counts: Ints, bounds: Ints) -> pa.LargeBinaryArray:
    # A block's items are in memory at once: there are no more of them than 32 bits count.
    return number_cells(counts.astype(_COUNT), bounds)


def _cells(data: pa.LargeBinaryArray) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.ArrowExtensionArray(data)


def _chunks(column: Column) -> list[pa.LargeBinaryArray]:
    array = pa.array(column)
    return list(array.chunks) if isinstance(array, pa.ChunkedArray) else [array]


def _aligned(cells: list[list[pa.LargeBinaryArray]]) -> list[list[pa.LargeBinaryArray]]:
    """Return columns in pieces of the same rows; those that staging gave back in others are joined."""
    lengths = [[len(piece) for piece in pieces] for pieces in cells]
    if all(found == lengths[0] for found in lengths):
        return cells
    return [[pa.concat_arrays(pieces)] if pieces else [] for pieces in cells]

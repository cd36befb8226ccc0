"""Estimates how large a bag is, from some of its partitions.

Covers: items of a partition, what they take as Python objects and as they are staged.
Does not cover: keys, which are computed once, when the bag is grouped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import dask.bag as db
import numpy as np
import numpy.typing as npt
from dask.sizeof import sizeof

from safeframe import options
from safeframe.facts.bag import BagSizes
from safeframe.kernels.bag.values import object_nbytes, pack_values
from safeframe.progress.tasks import computed, named_tasks

_REFERENCE_NBYTES = 8


def sample_bag(bag: db.Bag) -> BagSizes:
    """Make a few partitions, first and last among them, and measure their items.

    Notes
    -----
    **Eager.** At most ``options.BAG_SAMPLE_PARTITIONS`` partitions are computed,
    and stay on their workers.
    """
    parts = bag.to_delayed()
    few = min(len(parts), options.BAG_SAMPLE_PARTITIONS)
    chosen = np.unique(np.linspace(0, len(parts) - 1, few).astype(int)).tolist() if parts else []
    looks = named_tasks("sample-items", _look_at, ((parts[i],) for i in chosen))
    found: tuple[tuple[int, float, float], ...] = computed("sampling items", looks)
    items = sum(n for n, _, _ in found)
    filled = [(size, staged) for n, size, staged in found if n]
    return BagSizes(
        partitions=len(parts),
        sampled=len(chosen),
        partition_nbytes=tuple(int(n * size) for n, size, _ in found),
        items=items,
        largest_items=max((n for n, _, _ in found), default=0),
        item_nbytes=max((size for size, _ in filled), default=float(_REFERENCE_NBYTES)),
        staged_item_nbytes=max((staged for _, staged in filled), default=0.0),
    )


def item_nbytes(items: Sequence[Any], kind: int) -> npt.NDArray[np.float64] | float:
    """Return what each item takes as a Python object in a list; one number where all take the same.

    Parameters
    ----------
    items
        At least one.
    kind
        How they are written: of those that are pickled some are measured, and
        all of them taken for as large on average.
    """
    known = object_nbytes(items, kind)
    if known is not None:
        return known
    some = items[:: max(1, len(items) // options.BAG_SAMPLE_ITEMS)]
    return float(sum(map(sizeof, some)) / len(some) + _REFERENCE_NBYTES)


def _look_at(partition: Iterable[Any]) -> tuple[int, float, float]:
    """Count a partition's items, and return the bytes of one as a Python object and as it is staged."""
    items = iter(partition)
    some = list(islice(items, options.BAG_SAMPLE_ITEMS))
    if not some:
        return 0, 0.0, 0.0
    count = len(some)
    # Those after the first few are counted, and a few of them measured.
    while block := list(islice(items, options.BAG_LOOK_ITEMS)):
        count += len(block)
        some += block[:: max(1, len(block) // options.BAG_SAMPLE_ITEMS)]
    packed = pack_values(some, None, np.array([0, len(some)]), b"")
    staged = packed.data.nbytes + packed.lengths.nbytes
    return count, float(np.mean(item_nbytes(some, packed.kind))), staged / len(some)

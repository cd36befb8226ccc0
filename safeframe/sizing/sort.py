"""Gathers a sample of a frame's keys: one pass over the columns of an order."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import pandas as pd
from dask.delayed import delayed

from safeframe import options
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.sort.rows import RowOrder
from safeframe.kernels.sort.sample import KeySample, join_samples, sample_keys, thin
from safeframe.sizing.partitions.tasks import each_partition, joined_lists


def gather_quantiles(ddf: dd.DataFrame, order: RowOrder) -> KeyQuantiles:
    """Sample the keys of a frame, in their order.

    Notes
    -----
    **Eager.** The columns of the order alone are read, once.

    **Memory.** A task holds these columns of one partition, in their order
    besides; the samples of all partitions come here and take some
    ``options.SAMPLED_KEYS`` times 16 bytes.
    """
    size, first = sample_size(ddf.npartitions, order)
    tasks = each_partition(ddf[list(order.by)], _sample, joined_lists, order, first)
    thinned = [delayed(_thin, pure=False)(task, order, size) for task in tasks]
    gathered: tuple[KeySample, ...] = dask.compute(*thinned)
    return join_samples(gathered, order)


def sample_size(npartitions: int, order: RowOrder) -> tuple[int, int]:
    """Return how many keys a partition leaves, and how many it gives at first.

    The partitions of one task leave together as many keys as they may, each at first more than its part.
    """
    wanted = options.SAMPLED_KEYS if order.coded else options.SAMPLED_VALUES
    size = min(max(wanted // max(1, npartitions), options.MIN_SAMPLE_KEYS), options.MAX_SAMPLE_KEYS)
    return size, size * options.FIRST_SAMPLE_FACTOR


def _sample(frame: pd.DataFrame, order: RowOrder, size: int) -> list[KeySample]:
    return [sample_keys(frame, order, size)]


def _thin(samples: list[KeySample], order: RowOrder, size: int) -> KeySample:
    return thin(samples, order, size * len(samples))

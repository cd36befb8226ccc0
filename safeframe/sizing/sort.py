"""Gathers a sample of a frame's keys: one pass over the columns of an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dask.dataframe as dd
import pandas as pd
from dask.task_spec import Task

from safeframe import options
from safeframe._dask.trees import lowered, own_tasks
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.sort.rows import RowOrder, ordered_keys
from safeframe.kernels.sort.sample import KeySample, by_nbytes, join_samples, joined_slices, sample_keys, thin
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.parquet.damaged import reading_of
from safeframe.sizing.partitions.row_nbytes import each_row_nbytes, varying_columns
from safeframe.sizing.partitions.slices import ParquetPart, sliced_parts
from safeframe.sizing.partitions.tasks import (
    Slices,
    each_partition,
    each_slice,
    grouped_tasks,
    joined_lists,
    project,
)


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
    keys = ddf[list(order.by)]
    sliced, own = sliced_parts(keys), own_tasks(lowered(keys.expr.simplify()).fuse())
    if sliced is None or own is None:
        tasks = each_partition(keys, _sample, joined_lists, order, first, step="sample-keys")
    else:
        parts = [_Keys(*part, keys._meta) for part in zip(own, sliced, strict=True)]
        tasks = grouped_tasks(parts, _sample_slices, joined_lists, (order, first), "sample-keys", None)
    thinned = named_tasks("sample-keys-thinned", _thin, ((task, order, size) for task in tasks))
    gathered: tuple[KeySample, ...] = computed("sampling keys", thinned)
    return join_samples(gathered, order)


def weigh_quantiles(ddf: dd.DataFrame, order: RowOrder, quantiles: KeyQuantiles) -> KeyQuantiles:
    """Sample the keys of a frame again, evenly by the bytes of their rows.

    A row counts ``options.WEIGHED_ROW_NBYTES`` more than it has, so that many short ones do not fit one partition.

    Notes
    -----
    **Eager.** The columns of the order are read, and those whose values differ in width.

    **Memory.** A task holds these columns of a slice, or of a partition that cannot be sliced.
    """
    size, first = sample_size(ddf.npartitions, order)
    varying, fixed = varying_columns(ddf._meta)
    fixed += options.WEIGHED_ROW_NBYTES
    wanted = project(ddf, [*order.by, *varying])
    tasks = each_slice(wanted, _weighed, joined_lists, order, first, varying, fixed, step="weigh-keys")
    most = size * -(-ddf.npartitions // len(tasks))
    thinned = named_tasks("weigh-keys-thinned", thin, ((task, order, most) for task in tasks))
    gathered: tuple[KeySample, ...] = computed("weighing keys", thinned)
    return by_nbytes(gathered, order, quantiles)


def _weighed(
    frame: pd.DataFrame, order: RowOrder, size: int, varying: Sequence[Any], fixed_nbytes: float
) -> list[KeySample]:
    nbytes = each_row_nbytes(frame, varying, fixed_nbytes)
    return [sample_keys(ordered_keys(frame, order, nbytes), size)]


def sample_size(npartitions: int, order: RowOrder) -> tuple[int, int]:
    """Return how many keys a partition leaves, and how many it gives at first.

    The partitions of one task leave together as many keys as they may, each at first more than its part.
    """
    wanted = options.SAMPLED_KEYS if order.coded else options.SAMPLED_VALUES
    size = min(max(wanted // max(1, npartitions), options.MIN_SAMPLE_KEYS), options.MAX_SAMPLE_KEYS)
    return size, size * options.FIRST_SAMPLE_FACTOR


def _sample(frame: pd.DataFrame, order: RowOrder, size: int) -> list[KeySample]:
    return [sample_keys(ordered_keys(frame, order), size)]


class _Keys(Slices):
    """The keys of a partition: all of them, or slices where it is large."""

    __slots__ = ("task",)

    def __init__(self, task: Task, part: ParquetPart, empty: pd.DataFrame) -> None:
        super().__init__(part, empty, options.SORT_SLICE_NBYTES)
        self.task = task

    def make(self) -> Iterator[pd.DataFrame]:
        """Return them; one frame without rows where there are none."""
        if self.part.has_more_than(self.nbytes):
            return super().make()
        with reading_of(self.task):
            return iter([self.task()])


def _sample_slices(slices: Iterator[pd.DataFrame], order: RowOrder, size: int) -> list[KeySample]:
    found = []
    for frame in slices:
        found.append(sample_keys(ordered_keys(frame, order), size))
        del frame
        if len(found) == options.SORT_SLICE_SAMPLES:
            found = [joined_slices(found, order, size)]
    return found if len(found) == 1 else [joined_slices(found, order, size)]


def _thin(samples: list[KeySample], order: RowOrder, size: int) -> KeySample:
    return thin(samples, order, size * len(samples))

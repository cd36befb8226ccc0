"""Finds how the groups of a frame lie over its partitions: one pass over keys and order."""

from __future__ import annotations

from dataclasses import dataclass

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe.facts.lag import GroupEdges
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.groups import begins_group
from safeframe.kernels.sort.rows import RowOrder, ordered_keys, rows_in_order
from safeframe.kernels.sort.sample import KeySample, join_samples, sample_keys, thin
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.partitions.tasks import each_partition, joined_lists
from safeframe.sizing.sort import sample_size
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _PartEnds:
    """What was learnt of a partition."""

    rows: int
    in_order: bool
    head_rows: int
    tail_rows: int
    ends: pd.DataFrame
    """The first and the last row; none where the partition is empty, or not in order."""


def gather_groups(ddf: dd.DataFrame, groups: RowOrder, order: RowOrder) -> tuple[KeyQuantiles, GroupEdges]:
    """Sample the keys of groups, and look whether groups are together and in order already.

    Parameters
    ----------
    ddf
        The frame.
    groups
        The order of the keys alone.
    order
        The order of keys, and of rows within them where columns decide that.

    Notes
    -----
    **Eager.** The columns of the order alone are read, once.

    **Memory.** A task holds these columns of one partition, in their order besides.
    """
    size, first = sample_size(ddf.npartitions, groups)
    tasks = each_partition(
        ddf[list(order.by)], _sample_and_ends, joined_lists, groups, order, first, step="sample-keys"
    )
    thinned = named_tasks("sample-keys-thinned", _thin, ((task, groups, size) for task in tasks))
    gathered: tuple[tuple[KeySample, list[_PartEnds]], ...] = computed("sampling keys", thinned)
    quantiles = join_samples([sample for sample, _ in gathered], groups)
    return quantiles, _edges([part for _, parts in gathered for part in parts], len(groups.by), order)


def _sample_and_ends(
    frame: pd.DataFrame, groups: RowOrder, order: RowOrder, size: int
) -> list[tuple[KeySample, _PartEnds]]:
    n = len(frame)
    in_order = rows_in_order(frame, order)
    head = tail = 0
    if n and in_order:
        begins = np.flatnonzero(begins_group([frame[name] for name in groups.by]))
        head, tail = int(begins[1]) if len(begins) > 1 else n, n - int(begins[-1])
    ends = frame.iloc[[0, n - 1] if n and in_order else []].reset_index(drop=True)
    part = _PartEnds(rows=n, in_order=in_order, head_rows=head, tail_rows=tail, ends=ends)
    return [(sample_keys(ordered_keys(frame, groups), size), part)]


def _thin(
    looks: list[tuple[KeySample, _PartEnds]], groups: RowOrder, size: int
) -> tuple[KeySample, list[_PartEnds]]:
    return thin([sample for sample, _ in looks], groups, size * len(looks)), [part for _, part in looks]


def _edges(parts: list[_PartEnds], n_keys: int, order: RowOrder) -> GroupEdges:
    rows = np.array([part.rows for part in parts], np.int64)
    full = np.flatnonzero(rows)
    goes_on = np.zeros(len(parts), np.bool_)
    why = ""
    wrong = sum(not part.in_order for part in parts)
    if wrong:
        why = f"the rows of {format_count(wrong)} of {format_count(len(full))} partitions are not in order"
    elif len(full):
        ends = pd.concat([parts[i].ends for i in full], ignore_index=True)
        if not rows_in_order(ends, order):
            why = "partitions overlap in their keys, or come in another order"
        begins = begins_group([ends[name] for name in order.by[:n_keys]])
        goes_on[full] = ~begins[::2]
    return GroupEdges(
        rows=rows,
        out_of_order=why,
        head_rows=np.array([part.head_rows for part in parts], np.int64),
        tail_rows=np.array([part.tail_rows for part in parts], np.int64),
        goes_on=goes_on,
    )

"""Cuts the keys of a join into shards of bounded input, and shards into cells.

Keys in code order are packed into shards until the next key would take the
shard's input over its bound, or its output over one partition. Shards with
little input may make more than one partition, unless keys are to stay whole. A key that is too heavy for
either is a shard of its own: its rows need no order, so that its cells read
just the row ranges they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.keys import Codes, Counts
from safeframe.facts.layout import ShardLayout
from safeframe.facts.spread import Spread
from safeframe.planning.merge.key_loads import KeyLoads, Loads
from safeframe.planning.merge.load_widths import LoadWidths


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutFigures:
    """The sizes of a layout that the memory formulas need."""

    layout: ShardLayout
    """The shards and cells."""
    input_rows: int
    """Rows of both sides that the largest cell reads."""
    input_nbytes: int
    read_rows: tuple[float, float]
    """Rows of the left and of the right side that all cells read: those of a shard once for each of its cells."""
    cell_rows: int
    """Result rows of the largest cell, in those of the bytes per row that plans reckon with."""
    left_rows: Counts
    """Left rows of each shard: exact for shards of one key, expected for others."""
    right_rows: Counts
    """Right rows of each shard."""
    first_codes: Codes
    """The first code of each shard of codes that result rows can come from."""
    last_codes: Codes
    """The last one; smaller than the first where there is none."""
    sizes: Spread
    """Bytes of all cells."""
    margin: float
    """Factor on rows of shards of several keys that are expected, where a bound is wanted."""


_SUM_ERROR = 1e-3
"""Rows by which a sum of floats may be off."""

_UNEVEN = 2.0
"""The mean square of the sizes of keys, by the square of their mean, that is reckoned with at most."""

LayOut = Callable[[Codes | None], LayoutFigures]
"""Cuts the keys of a merge into shards, in front of the codes that are given where that fits."""


def lay_out(
    loads: KeyLoads,
    *,
    left_row_nbytes: float,
    right_row_nbytes: float,
    output_row_nbytes: float,
    shard_nbytes: int,
    partition_nbytes: int,
    packed_nbytes: int | None = None,
    widths: LoadWidths | None = None,
    cuts: Codes | None = None,
    whole_keys: bool = False,
) -> LayoutFigures:
    """Cut the keys into shards and cells.

    Parameters
    ----------
    loads
        Rows per key.
    left_row_nbytes, right_row_nbytes, output_row_nbytes
        Bytes per row.
    shard_nbytes
        Bytes of both sides that a shard of several keys may hold.
    partition_nbytes
        Bytes that a cell may have.
    packed_nbytes
        Bytes up to which several keys share a cell, where that is less.
    widths
        Bytes of rows by their key; None where these are the same for all. Result rows are then
        counted in those of ``output_row_nbytes``.
    cuts
        Codes, ascending, in front of which shards end where that leaves them at
        least half of what they may hold: those that the partitions of a side in
        key order begin with, so that a cell touches few of them.
    whole_keys
        Whether every cell has all rows of its keys, but for keys that fill more than one.
    """
    if widths is None:
        widths = _same_widths(loads, left_row_nbytes, right_row_nbytes, output_row_nbytes)
    left_nbytes, right_nbytes = loads.left * widths.left[:-1], loads.right * widths.right[:-1]
    input_nbytes = left_nbytes + right_nbytes
    output_nbytes = loads.output * widths.output[:-1]
    margin = max(_margin(loads, input_nbytes, shard_nbytes), _margin(loads, output_nbytes, partition_nbytes))
    packed = partition_nbytes if packed_nbytes is None else min(packed_nbytes, partition_nbytes)
    reread_nbytes = 0.0 if whole_keys else partition_nbytes * options.SHARD_REREAD_FRACTION
    target_rows = max(1.0, partition_nbytes // max(output_row_nbytes, 1e-9))
    # Several keys are packed for one cell of whole rows, a sample's margin kept free: a second cell would read the shard
    # again. What fills it to the row is not to miss it by the last bit of a float's sum.
    most = (max(1.0, target_rows // margin) + _SUM_ERROR / 2) * output_row_nbytes
    one_key = loads.known if loads.several is None else loads.known & ~loads.several
    alone = one_key & (
        (input_nbytes > shard_nbytes) | ((output_nbytes > partition_nbytes) & (input_nbytes > reread_nbytes))
    )
    cut_keys = np.empty(0, np.int64) if cuts is None else np.unique(np.searchsorted(loads.codes, cuts))
    firsts, lasts = _pack(
        input_nbytes,
        output_nbytes,
        alone,
        shard_nbytes,
        min(most, packed),
        # Where shards are cut for the number of partitions, each of them makes one.
        max(reread_nbytes, 1.0) if packed == partition_nbytes else 1.0,
        cut_keys,
    )
    begins = loads.codes if cuts is None else _begins(loads.codes, cuts)
    starts, single, shard_of_pack = _starts(loads.codes, begins, firsts, alone)

    # Sums per shard; shards that only fill a gap between keys keep zeros.
    n_shards = len(starts)
    left, right, made, output, left_nbytes, right_nbytes = (
        _per_shard(rows, firsts, lasts, shard_of_pack, n_shards)
        for rows in (
            loads.left, loads.right, loads.output, output_nbytes / output_row_nbytes, left_nbytes, right_nbytes
        )
    )  # fmt: skip
    left, right, made = np.rint(left), np.rint(right), np.rint(made)
    output = _whole(output, made)
    first_codes, last_codes = _fruitful(loads, starts, firsts, lasts, shard_of_pack)
    cells = _cells(made * np.where(single, 1.0, margin), output / np.maximum(made, 1.0), target_rows)
    if not loads.exact:
        cells[~single] = np.maximum(cells[~single], 1)  # keys that the sample missed may be there
    has_nulls = loads.null_left + loads.null_right > 0
    if has_nulls:
        left = np.append(left, loads.null_left)
        right = np.append(right, loads.null_right)
        made = np.append(made, loads.null_output)
        null_output = np.array([loads.null_output * float(widths.output[-1]) / output_row_nbytes])
        output = np.append(output, _whole(null_output, made[-1:]))
        left_nbytes = np.append(left_nbytes, loads.null_left * widths.left[-1])
        right_nbytes = np.append(right_nbytes, loads.null_right * widths.right[-1])
        single = np.append(single, True)
        cells = np.append(cells, _cells(made[-1:], output[-1:] / np.maximum(made[-1:], 1.0), target_rows))
    if cells.sum() == 0:
        cells[0] = 1  # an empty result still has one partition
    empty = (left == 0, right == 0) if loads.exact and loads.several is None else None
    layout = ShardLayout(starts=starts, single_key=single, cells=cells, null_shard=has_nulls, empty=empty)

    cell_made = np.ceil(made * np.where(single, 1.0, margin) / np.maximum(cells, 1))
    cell_rows = np.ceil(cell_made * output / np.maximum(made, 1.0) - _SUM_ERROR)
    read_left, read_right = _rows_read(left, right, made, cell_made, single)
    used = cells > 0
    read_nbytes = (
        read_left * (left_nbytes / np.maximum(left, 1.0))
        + read_right * (right_nbytes / np.maximum(right, 1.0))
    ) * np.where(single, 1.0, margin)
    return LayoutFigures(
        layout=layout,
        input_rows=int(((read_left + read_right) * np.where(single, 1.0, margin))[used].max()),
        input_nbytes=int(read_nbytes[used].max()),
        read_rows=(float((read_left * cells)[used].sum()), float((read_right * cells)[used].sum())),
        cell_rows=int(cell_rows[used].max()),
        left_rows=left.astype(np.int64),
        right_rows=right.astype(np.int64),
        first_codes=first_codes,
        last_codes=last_codes,
        sizes=Spread.of("result", cell_rows * output_row_nbytes, cells),
        margin=margin,
    )


def _margin(loads: KeyLoads, nbytes: Loads, most_nbytes: float) -> float:
    """Return by how much a shard of so many bytes may have more than the sampled keys in it say.

    Of ``n`` keys of the same size a sample has ``n - s √n`` at the least, with so many standard deviations; where they
    differ in size, fewer count. Some keys that are much larger are known one by one, and do not count for others.
    """
    sampled = nbytes[(~loads.known) & (nbytes > 0)]
    if loads.exact:
        return 1.0
    if not len(sampled):
        return options.SAMPLE_MARGIN
    mean = float(sampled.mean())
    keys = most_nbytes / max(min(float((sampled**2).mean()) / mean, _UNEVEN * mean), 1e-9)
    left = keys - options.SHARD_SIGMAS * math.sqrt(keys)
    factor = keys / left if left > 0 else options.SHARD_MARGIN
    return min(max(factor, options.SAMPLE_MARGIN), options.SHARD_MARGIN)


def _same_widths(
    loads: KeyLoads, left_row_nbytes: float, right_row_nbytes: float, output_row_nbytes: float
) -> LoadWidths:
    n = len(loads.codes) + 1
    return LoadWidths(
        left=np.full(n, left_row_nbytes),
        right=np.full(n, right_row_nbytes),
        output=np.full(n, output_row_nbytes),
    )


def _pack(
    input_nbytes: Loads,
    output_nbytes: Loads,
    alone: npt.NDArray[np.bool_],
    shard_nbytes: float,
    partition_nbytes: float,
    reread_nbytes: float,
    cut_keys: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pack keys ``[first, last)`` into shards; the loop is over shards, not keys."""
    n_keys = len(input_nbytes)
    input_ends, output_ends = np.cumsum(input_nbytes), np.cumsum(output_nbytes)
    barriers = np.append(np.flatnonzero(alone), n_keys)
    firsts, lasts = [], []
    first = 0
    while first < n_keys:
        barrier = int(barriers[np.searchsorted(barriers, first)])
        if barrier == first:
            last = first + 1
        else:
            input_before = input_ends[first] - input_nbytes[first]
            output_before = output_ends[first] - output_nbytes[first]
            one_partition = min(
                np.searchsorted(input_ends, input_before + shard_nbytes, side="right"),
                np.searchsorted(output_ends, output_before + partition_nbytes, side="right"),
            )
            reread = np.searchsorted(input_ends, input_before + reread_nbytes, side="right")
            last = int(min(max(one_partition, reread, first + 1), barrier))
            near = np.searchsorted(cut_keys, last, side="right") - 1
            if near >= 0 and cut_keys[near] > first:
                held = input_ends[[int(cut_keys[near]) - 1, last - 1]] - input_before
                if held[0] >= held[1] / 2:
                    last = int(cut_keys[near])
        firsts.append(first)
        lasts.append(last)
        first = last
    return np.array(firsts, np.int64), np.array(lasts, np.int64)


def _begins(codes: Codes, cuts: Codes) -> Codes:
    """Return the code that a shard begins with whose first known key is one of ``codes``.

    A cut stands for the first key behind it: where keys are only sampled, the
    rows between the two belong to the partition that begins with the cut.
    """
    if len(cuts) == 0:
        return codes
    at = np.searchsorted(cuts, codes, side="right") - 1
    cut = cuts[np.maximum(at, 0)]
    behind = at >= 0
    behind[1:] &= cut[1:] > codes[:-1]
    return np.where(behind, cut, codes)


def _starts(
    codes: Codes, begins: Codes, firsts: npt.NDArray[np.int64], alone: npt.NDArray[np.bool_]
) -> tuple[Codes, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return each shard its first code, with shards for the gaps around single keys."""
    starts: list[int] = []
    single: list[bool] = []
    shard_of_pack: list[int] = []
    next_free = 0  # where a shard has to begin that follows a single key, or nothing
    for first in firsts.tolist():
        code = int(codes[first])
        follows_single = not single or single[-1]
        if alone[first]:
            if follows_single and code > next_free:
                starts.append(next_free)
                single.append(False)
            starts.append(code)
            single.append(True)
            next_free = code + 1
        else:
            starts.append(next_free if follows_single else int(begins[first]))
            single.append(False)
        shard_of_pack.append(len(starts) - 1)
    if not starts or (single[-1] and next_free < 2**64):
        starts.append(next_free)
        single.append(False)
    return (
        np.array(starts, np.uint64),
        np.array(single, np.bool_),
        np.array(shard_of_pack, np.int64),
    )


def _fruitful(
    loads: KeyLoads,
    starts: Codes,
    firsts: npt.NDArray[np.int64],
    lasts: npt.NDArray[np.int64],
    shard_of_pack: npt.NDArray[np.int64],
) -> tuple[Codes, Codes]:
    """Return each shard's first and last code that result rows depend on; all of its range where keys are not known one by one."""
    if not loads.exact or loads.several is not None:
        return starts, np.append(starts[1:] - np.uint64(1), np.uint64(2**64 - 1))
    first_codes, last_codes = np.ones(len(starts), np.uint64), np.zeros(len(starts), np.uint64)
    # In an anti join a key of both sides makes no rows, and is read all the same: the right side keeps them out.
    keys = np.flatnonzero((loads.output > 0) | ((loads.left > 0) & (loads.right > 0)))
    begin, end = np.searchsorted(keys, firsts), np.searchsorted(keys, lasts)
    some = end > begin
    first_codes[shard_of_pack[some]] = loads.codes[keys[begin[some]]]
    last_codes[shard_of_pack[some]] = loads.codes[keys[end[some] - 1]]
    return first_codes, last_codes


def _per_shard(
    rows: Loads,
    firsts: npt.NDArray[np.int64],
    lasts: npt.NDArray[np.int64],
    shard_of_pack: npt.NDArray[np.int64],
    n_shards: int,
) -> Loads:
    sums = np.zeros(n_shards)
    ends = np.concatenate([[0.0], np.cumsum(rows)])
    sums[shard_of_pack] = ends[lasts] - ends[firsts]
    return sums


def _cells(made: Loads, row: Loads, target_rows: float) -> npt.NDArray[np.int64]:
    """Return how many cells rows are cut into, by their number: those of ``row`` wider ones each, and one of them at the least."""
    fit = np.maximum(np.floor(target_rows / np.where(row > 0, row, 1.0) + _SUM_ERROR), 1.0)
    return np.ceil(made / fit).astype(np.int64)


def _whole(output: Loads, made: Loads) -> Loads:
    """Return result rows counted in wider ones as whole rows: never none where there are some."""
    return np.maximum(np.ceil(output - _SUM_ERROR), made > 0)


def _rows_read(
    left: Loads, right: Loads, output: Loads, cell_rows: Loads, single: npt.NDArray[np.bool_]
) -> tuple[Loads, Loads]:
    """Count the rows that one cell reads: all of a shard, or the ranges it needs of a single key."""
    per_left = np.maximum(output / np.maximum(left, 1.0), 1.0)
    needed_left = np.minimum(left, np.ceil(cell_rows / per_left) + 2)
    needed_right = np.minimum(right, cell_rows)
    return np.where(single, needed_left, left), np.where(single, needed_right, right)

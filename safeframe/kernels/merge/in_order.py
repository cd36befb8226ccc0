"""One output partition of a join in key order, from rows whose codes are known.

Covers: rows per key, by address where codes lie close together and by their
runs otherwise; the result in the order of its keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, Counts, KeySchema, PartitionKeys
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.columns.values import Block
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.keys.counts import count_ordered
from safeframe.kernels.merge.cell import CountedJoin
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.order import Positions, counts_of, stable_order


def ordered_join(left: tuple[Block, Codes], right: tuple[Block, Codes], spec: JoinSpec) -> CountedJoin:
    """Join a shard, the result in key order.

    Parameters
    ----------
    left, right
        Rows of each side and their codes: different ones for different keys, in
        the order of the keys. No key is null.
    spec
        As for :func:`safeframe.kernels.merge.cell.join_shard`.

    Notes
    -----
    Memory: the two blocks, and 24 bytes per row of them.
    """
    orders = [code_order(codes) for _, codes in (left, right)]
    counts = _counts(left[1], right[1], *orders)
    return CountedJoin.of((left[0], orders[0], counts[0]), (right[0], orders[1], counts[1]), spec)


def value_codes(left: pd.Series[Any], right: pd.Series[Any]) -> tuple[Codes, Codes]:
    """Number the keys of two sides in their order, where codes do not say it in full. No key is null.

    Examples
    --------
    >>> one, other = value_codes(pd.Series(["b", "c"]), pd.Series(["a", "c"]))
    >>> one.tolist(), other.tolist()
    ([1, 2], [0, 2])
    """
    both = pd.concat([left.astype(object), right.astype(object)], ignore_index=True)
    ids = np.asarray(pd.factorize(both, sort=True)[0], np.uint64)
    return ids[: len(left)], ids[len(left) :]


def code_order(codes: Codes) -> Positions | None:
    """Order rows by code, rows of equal code staying in their order; None when they are in order.

    Examples
    --------
    >>> code_order(np.array([9, 7, 9], np.uint64))
    array([1, 0, 2])
    """
    if not (codes[1:] < codes[:-1]).any():
        return None
    # Small numbers can be ordered by counting.
    return stable_order(codes - codes.min())


def _counts(
    left: Codes, right: Codes, left_order: Positions | None, right_order: Positions | None
) -> tuple[Counts, Counts]:
    """Count the rows of each key on both sides, keys in order and lined up."""
    ends = [
        (int(codes[0 if order is None else order[0]]), int(codes[-1 if order is None else order[-1]]))
        for codes, order in ((left, left_order), (right, right_order))
        if len(codes)
    ]
    if not ends:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    n_keys = high - low + 1
    if n_keys < 4 * (len(left) + len(right)) + 1024:
        ids = [(codes - np.uint64(low)).view(np.int64) for codes in (left, right)]
        return counts_of(ids[0], n_keys), counts_of(ids[1], n_keys)
    found = [
        count_ordered(codes if order is None else codes[order])
        for codes, order in ((left, left_order), (right, right_order))
    ]
    keys = np.union1d(found[0][0], found[1][0])
    return _among(keys, *found[0]), _among(keys, *found[1])


def _among(keys: Codes, codes: Codes, counts: Counts) -> npt.NDArray[np.int64]:
    rows = np.zeros(len(keys), np.int64)
    rows[np.searchsorted(keys, codes)] = counts
    return rows


_KINDS_IN_ORDER = ("int", "uint", "float", "datetime", "timedelta")
"""Keys whose ids, by which a cell orders its rows, are in the order of the keys."""


def in_key_order(schema: KeySchema) -> bool:
    """Whether the rows of a cell come in the order of their keys."""
    return schema.injective and schema.columns[0].kind in _KINDS_IN_ORDER


def join_divisions(
    layout: ShardLayout, schema: KeySchema, left: PartitionKeys, right: PartitionKeys
) -> tuple[Any, ...] | None:
    """Return the first key of each cell and the last key of all; None where they are not known.

    They are not where a key fills several cells, and where keys are null.

    Parameters
    ----------
    layout
        The shards, one cell each.
    schema
        How keys became codes, in key order.
    left, right
        The key ranges of the input partitions.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> from safeframe.kernels.keys.codes import encode_keys
    >>> import pandas as pd
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> codes, _ = encode_keys([pd.Series([3, 9, 20])], schema)
    >>> layout = ShardLayout(
    ...     starts=np.append(np.uint64(0), codes[1:2]),
    ...     single_key=np.zeros(2, bool),
    ...     cells=np.ones(2, int),
    ...     null_shard=False,
    ... )
    >>> rows = np.array([7])
    >>> parts = PartitionKeys(
    ...     rows=rows, null_rows=rows * 0, first=codes[:1], last=codes[2:], increasing=rows > 0
    ... )
    >>> join_divisions(layout, schema, parts, parts)
    (3, 9, 20)
    """
    if int(layout.cells.max()) > 1:
        return None
    if layout.null_shard and layout.cells[-1]:
        return None
    full = [(side, side.rows > side.null_rows) for side in (left, right)]
    firsts = np.concatenate([side.first[some] for side, some in full])
    lasts = np.concatenate([side.last[some] for side, some in full])
    if len(firsts) == 0:
        return None
    starts = layout.starts[layout.cells[: len(layout.starts)] > 0]
    codes = np.concatenate([np.sort(firsts)[:1], starts[1:], np.sort(lasts)[-1:]])
    return tuple(decode_codes(codes, schema))

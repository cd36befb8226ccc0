"""Where the partitions of a join begin, when its index is the key and they are key ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from safeframe.facts.keys import KeySchema, PartitionKeys
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.key_codes import decode_codes

__all__ = ["in_key_order", "join_divisions"]

_KINDS = ("int", "uint", "float", "datetime", "timedelta")
"""Keys whose ids, by which a cell orders its rows, are in the order of the keys."""


def in_key_order(schema: KeySchema) -> bool:
    """Whether the rows of a cell come in the order of their keys."""
    return schema.injective and schema.columns[0].kind in _KINDS


def join_divisions(
    layout: ShardLayout, schema: KeySchema, left: PartitionKeys, right: PartitionKeys
) -> tuple[Any, ...] | None:
    """Give the first key of each cell and the last key of all; None where they are not known.

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
    >>> from safeframe.kernels.key_codes import encode_keys
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

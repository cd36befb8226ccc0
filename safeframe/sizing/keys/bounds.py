"""Gathers the keys among which strings are placed, so that their codes keep an order.

Covers: one pass over the key columns: the smallest and the largest key of each
partition, and keys spread over all rows, so that a heavy one is among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe import options
from safeframe.errors import SchemaMismatchError
from safeframe.facts.keys import KeySchema
from safeframe.kernels.keys.arrow_values import arrow_values
from safeframe.progress.tasks import computed
from safeframe.sizing.frames import Side, each_once
from safeframe.sizing.partitions.tasks import each_slice_keys

Words = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    ends: Words
    some: Words


def bounded_schema(sides: Sequence[Side], schema: KeySchema) -> KeySchema:
    """Return a schema whose codes are in key order, where there can be one.

    Parameters
    ----------
    sides
        Frames with their key columns.
    schema
        The common type of their keys.

    Returns
    -------
    KeySchema
        With bounds, for a single column of strings; ``schema`` itself for others.

    Notes
    -----
    **Eager** for strings: the key columns are read once, and not again in this process while their data is the same.

    **Memory.** A task holds the key column of one slice of a partition; the keys that come
    here are some ``options.KEY_BOUNDS`` and two for each partition.
    """
    if len(schema.columns) != 1 or schema.columns[0].kind != "string":
        return schema

    def look(frames: Sequence[Side]) -> list[_Spread]:
        parts = [
            each_slice_keys(ddf, on, _spread_of_slice, _united_spread, _united_spread, on, step="sample-keys")
            for ddf, on in frames
        ]
        # One bar for all sides, and a list for each.
        found = iter(computed("sampling keys", [part for some in parts for part in some]))
        return [_united_spread([next(found) for _ in some]) for some in parts]

    spread = _united_spread(each_once(sides, ("bounds",), look, _nbytes_of))
    some = np.sort(spread.some)
    # Evenly spaced, so that a key of many rows is hit.
    at = np.linspace(0, len(some) - 1, min(len(some), options.KEY_BOUNDS)).astype(np.int64)
    bounds = np.unique(np.concatenate([spread.ends, some[at]]))
    return replace(schema, bounds=tuple(bounds.tolist()) or ("",))


def _nbytes_of(spread: _Spread) -> int:
    return sum(sys.getsizeof(word) for words in (spread.ends, spread.some) for word in words)


def _spread_of_slice(columns: list[pd.Series[Any]], on: tuple[Any, ...]) -> _Spread:
    (keys,) = columns
    keys = keys[keys.notna()]
    if len(keys) == 0:
        return _Spread(np.empty(0, object), np.empty(0, object))
    at = np.unique(np.linspace(0, len(keys) - 1, options.KEY_BOUND_ROWS).astype(np.int64))
    words = arrow_values(keys)
    if words is not None and (pa.types.is_string(words.type) or pa.types.is_large_string(words.type)):
        found = pc.min_max(words)
        ends = np.array([found["min"].as_py(), found["max"].as_py()], object)
        return _Spread(ends, np.array(words.take(pa.array(at)).to_pylist(), object))
    keys = keys.astype(object)
    kind = pd.api.types.infer_dtype(keys)
    if kind != "string":  # of which some have no form in Arrow: halves of surrogate pairs
        msg = f"The key column {on[0]!r} has values other than strings ({kind}), which have no common order."
        raise SchemaMismatchError(
            msg, hint=f"Convert all of them to strings first: ddf.astype({{{on[0]!r}: 'str'}})."
        )
    return _Spread(np.array([keys.min(), keys.max()], object), keys.iloc[at].to_numpy(object))


def _united_spread(parts: list[_Spread]) -> _Spread:
    return _Spread(
        np.concatenate([part.ends for part in parts]), np.concatenate([part.some for part in parts])
    )

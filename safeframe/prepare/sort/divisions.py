"""Divisions of a result that is in order: those that the user gives, and those that follow from a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
import pandas as pd

from safeframe.engine.sort.nodes import SortRequest
from safeframe.facts.keys import Codes, KeyStatistics
from safeframe.facts.sort import (
    AlignedSort,
    Alignment,
    InPlaceSort,
    KeyQuantiles,
    P2PSort,
    RangeFigures,
    SortFacts,
    SortWay,
    StagedSort,
)
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.routing.divisions import DivisionRouter
from safeframe.kernels.sort.rows import RowOrder, ranks_among
from safeframe.planning.sort.alignment import align


def cut_by(router: DivisionRouter, facts: SortFacts) -> SortFacts:
    """Make a sort one that is cut by divisions.

    Raises
    ------
    ValidationError
        When keys lie outside of them.
    """
    quantiles = facts.quantiles
    _check_ends(router, quantiles)
    return replace(
        facts,
        cuts=_places(router, quantiles),
        npartitions=router.n_shards,
        ordered=facts.ordered or _not_these(router, quantiles),
        alignment=None,
    )


def _places(router: DivisionRouter, quantiles: KeyQuantiles) -> Codes:
    """Place each division among the sampled keys, whose codes are their places where they have no others."""
    divisions = router.bounds.iloc[[*range(len(router.bounds)), -1][: router.n_shards + 1]]
    if router.codes is not None:
        return router.codes
    assert quantiles.values is not None, "keys without codes are sampled themselves"
    return ranks_among(divisions, quantiles.values.reset_index(drop=True), router.order).astype(np.uint64)


def _check_ends(router: DivisionRouter, quantiles: KeyQuantiles) -> None:
    """Check the smallest and the largest key, which are in every sample."""
    if len(quantiles.codes) == 0:
        return
    if router.codes is None:
        assert quantiles.values is not None, "as above"
        router.check(quantiles.values.iloc[[0, -1]])
        return
    codes = quantiles.codes[[0, -1]]
    if codes[0] < router.codes[0] or codes[1] > router.codes[-1]:
        keys = decode_codes(codes, router.order.schema)
        dtype = router.order.dtypes[0]
        router.check(pd.DataFrame({router.order.by[0]: pd.Series(keys).astype(dtype)}))


def _not_these(router: DivisionRouter, quantiles: KeyQuantiles) -> str:
    """Return why partitions that are in order are not those of the divisions; empty when they are."""
    parts = quantiles.partitions
    why = "the partitions are not those of divisions="
    if parts is None or router.codes is None or len(parts.rows) != router.n_shards:
        return why
    full = parts.rows > 0
    begins, ends = router.codes[:-1], router.codes[1:]
    last = np.arange(router.n_shards) == router.n_shards - 1
    within = (parts.first >= begins) & ((parts.last < ends) | (last & (parts.last <= ends)))
    return "" if within[full].all() else why


def known_divisions(
    divisions: Sequence[Any], request: SortRequest, quantiles: KeyQuantiles, way: SortWay
) -> tuple[Any, ...]:
    """Return the divisions of the result of a frame with others; known for a new index, or where rows and index stay."""
    order = request.order
    if request.cuts is not None:
        return request.cuts.given
    match way:
        case InPlaceSort(partitions=partitions):
            if request.index is None:
                return tuple(divisions) if request.with_index else (None,) * (len(partitions.rows) + 1)
            if not _comparable(quantiles, order):
                return (None,) * (len(partitions.rows) + 1)
            return _aligned_divisions(align(partitions), order)
        case AlignedSort(alignment=alignment):
            return _aligned_divisions(alignment, order)
        case StagedSort(figures=figures) | P2PSort(figures=figures):
            if request.index is None:
                return (None,) * (figures.layout.n_cells + 1)
            return range_divisions(figures, quantiles, order)
        case _:
            assert_never(way)


def key_ends(keys: KeyStatistics, order: RowOrder) -> tuple[Any, ...] | None:
    """Return the least and the greatest key of a frame; None where there are none, or codes do not tell them."""
    parts = keys.partitions
    full = parts.full
    if not keys.schema.injective or not full.any() or isinstance(order.dtypes[0], pd.CategoricalDtype):
        return None
    ends = np.array([parts.first[full].min(), parts.last[full].max()], np.uint64)
    return tuple(_key_values(ends, order))


def _aligned_divisions(alignment: Alignment, order: RowOrder) -> tuple[Any, ...]:
    return tuple(_key_values(np.append(alignment.starts, np.uint64(alignment.last)), order))


def range_divisions(figures: RangeFigures, quantiles: KeyQuantiles, order: RowOrder) -> tuple[Any, ...]:
    """Return the divisions of ranges of an order by the column that becomes the index."""
    layout = figures.layout
    unknown = (None,) * (layout.n_cells + 1)
    if (layout.cells > 1).any() or not _comparable(quantiles, order):
        return unknown  # a key, or the nulls, fill several partitions
    if quantiles.values is not None:
        keys = quantiles.values[order.by[0]]
        starts, last = [keys.iloc[i] for i in figures.first_keys], keys.iloc[-1]
        beyond = f"{last}\0" if isinstance(last, str) else None
    else:
        codes = quantiles.codes[figures.first_keys]
        last_code = quantiles.codes[-1]
        *starts, last = _key_values(np.append(codes, last_code), order)
        beyond = _next_key(last, last_code, order)
    if not layout.null_shard:
        return (*starts, last)
    # Nulls have a partition of their own, behind every key that there is.
    return unknown if beyond is None or not beyond > last else (*starts, beyond, beyond)


def _next_key(last: Any, code: np.uint64, order: RowOrder) -> Any:
    """Return the smallest value above the largest key, of the keys' own type: a narrower one is rounded where they meet; None without any."""
    dtype = getattr(order.dtypes[0], "numpy_dtype", order.dtypes[0])
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return float(np.nextafter(dtype.type(last), dtype.type(np.inf)))
    try:
        return _key_values(np.array([code + np.uint64(1)]), order)[0]
    except OverflowError:  # the last day of all
        return None


def _comparable(quantiles: KeyQuantiles, order: RowOrder) -> bool:
    """Whether there are keys, in the order that dask compares divisions in: that of their values."""
    dtype = order.dtypes[0]
    in_value_order = not isinstance(dtype, pd.CategoricalDtype) or dtype.categories.is_monotonic_increasing
    return in_value_order and len(quantiles.codes) > 0


def _key_values(codes: Any, order: RowOrder) -> list[Any]:
    values = decode_codes(codes, order.schema)
    dtype = order.dtypes[0]
    zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    return [value.tz_convert(zone) for value in values] if zone is not None else values

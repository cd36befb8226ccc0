"""Divisions that the user gives: whether all keys lie within them, and what they cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from safeframe.facts.keys import Codes
from safeframe.facts.sort import KeyQuantiles, SortFacts
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.routing.divisions import DivisionRouter
from safeframe.kernels.sort.rows import ranks_among

__all__ = ["cut_by"]


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
        held_rows=0,
    )


def _places(router: DivisionRouter, quantiles: KeyQuantiles) -> Codes:
    """Place each division among the sampled keys, whose codes are their places where they have no others."""
    divisions = router.bounds.iloc[[*range(len(router.bounds)), -1][: router.n_shards + 1]]
    if router.codes is not None:
        return router.codes
    assert quantiles.values is not None, "keys without codes are sampled themselves"
    return ranks_among(divisions, quantiles.values.reset_index(drop=True), router.order).astype(np.uint64)


def _check_ends(router: DivisionRouter, quantiles: KeyQuantiles) -> None:
    """Look at the smallest and the largest key, which are in every sample."""
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

"""Which calls on groups are a matter of the order of one column's values.

Covers: methods, and ``agg`` in any form that names one function of one column.
Does not cover: how they are made (``kernels.groupby.ordered``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.mixed import MixedAggregation
from safeframe.kernels.groupby.spec import Term, terms

RANKED = ("median", "quantile", "nunique", "mode")
"""Functions whose result follows from the order of a group's values."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RankedCall:
    """A call on the groups of a frame, by the order of one column's values."""

    call: GroupCall
    """What is done with groups."""
    value: Any
    """The column of values."""
    function: str
    """One of :data:`RANKED`."""
    quantiles: tuple[float, ...] = (0.5,)
    """Which quantiles, of a quantile."""
    interpolation: str = "linear"
    """Which value is taken between two, of a quantile."""
    dropna: bool = True
    """Whether null is no value, of distinct values."""

    @property
    def by(self) -> list[Any]:
        """Columns that have the keys."""
        return list(self.call.by)

    @property
    def looks_up(self) -> bool:
        """Whether values are taken out of parts by their row numbers."""
        return self.function in ("median", "quantile")


def ranked_call(call: GroupCall, columns: Sequence[Any], meta: Any) -> RankedCall | str:
    """Return a call as one of values in order, or say why it is none.

    Parameters
    ----------
    call
        The call.
    columns
        Columns of the frame.
    meta
        The result, of no rows.
    """
    asked = _asked(call, columns, meta)
    if asked is None:
        return "medians, quantiles, distinct and most frequent values alone are found by row number"
    if len(asked) != 1 or asked[0][0] in call.by or asked[0][0] not in columns:
        return "one function of one column of values at a time is made in their order: pick it, as in groups['v']"
    if not call.options["observed"]:
        return "observed=False: of categories that do not occur there are groups"
    if call.options["sort"]:
        return "sort=True: the result of groups that cross parts comes last"
    value, function, options = asked[0]
    q = options.get("q", 0.5)
    return RankedCall(
        call=call,
        value=value,
        function=function,
        quantiles=tuple(float(one) for one in np.atleast_1d(np.asarray(q, np.float64))),
        interpolation=str(options.get("interpolation", "linear")),
        dropna=bool(options.get("dropna", True)),
    )


def _asked(
    call: GroupCall, columns: Sequence[Any], meta: Any
) -> list[tuple[Any, str, Mapping[str, Any]]] | None:
    """Return columns, what is made of each, and its options; None where any of it does not follow from an order."""
    if len(call.calls) != 1:
        return None
    method, args, kwargs = call.calls[0]
    if isinstance(method, MixedAggregation):
        found = terms(method.columns, method.by, method.spec, method.named, picked=method.picked)
        return _of_terms(found)
    if call.finish is not None:
        return None
    if method == "agg":
        spec = args[0] if args else None
        if len(args) > 1 or (spec is not None and kwargs):
            return None
        several = isinstance(call.picked, list)
        looked_at = call.picked if several else [name for name in columns if name not in call.by]
        one = None if several else call.picked
        return _of_terms(terms(looked_at, call.by, spec, kwargs, picked=one))
    if args or not isinstance(method, str) or method not in RANKED:
        return None
    names = [meta.name] if isinstance(meta, pd.Series) else list(meta.columns)
    return [(name, method, kwargs) for name in names if name not in call.names]


def _of_terms(found: Sequence[Term] | None) -> list[tuple[Any, str, Mapping[str, Any]]] | None:
    if not found or not all(isinstance(one.function, str) and one.function in RANKED for one in found):
        return None
    return [(one.column, one.function, {}) for one in found]

"""What a column of Python objects holds, where Arrow has to give it back as it was."""

from __future__ import annotations

from typing import Any

import pandas as pd

from safeframe.errors import UnsupportedError

__all__ = ["object_kind"]

_KINDS = frozenset({"string", "bytes", "boolean", "date", "empty"})


def object_kind(series: pd.Series[Any]) -> str:
    """Name the kind of a column's values, nulls left out.

    Raises
    ------
    UnsupportedError
        When they are of several kinds, or of one that comes back as something else.

    Examples
    --------
    >>> object_kind(pd.Series(["a", None], dtype=object))
    'string'
    """
    kind = str(pd.api.types.infer_dtype(series, skipna=True))
    if kind in _KINDS:
        return kind
    found = "mixed objects" if kind.startswith("mixed") else f"values of kind {kind!r}"
    msg = f"Column {series.name!r} is of dtype object and holds {found}, which P2P would not give back as they are."
    hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
    raise UnsupportedError(msg, hint=hint)

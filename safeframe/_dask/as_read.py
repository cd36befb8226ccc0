"""Categories of parquet files that dask knows nothing of, and says it does.

pandas writes a column's categories into the metadata of a file. Where another program wrote a dictionary, dask finds none there,
and promises categories that are known and no value has. Each partition has its own.

Covers: a frame of such files that says of these columns that their categories are not known, as
``dask.dataframe.read_parquet(…, categories=)`` does.
Does not cover: which columns these are (``prepare.arguments``).
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from dask.dataframe.dask_expr._expr import plain_column_projection
from dask.dataframe.utils import clear_known_categories

from safeframe._dask.expressions import Elemwise, Filter, Projection, determine_column_projection

__all__ = ["AsRead"]  # of parquet sources: their categories are not known


class AsRead(Elemwise):  # type: ignore[misc]  # dask's expressions are untyped
    """A frame with the rows that it has, and columns whose categories are not known."""

    _parameters: ClassVar[list[str]] = ["frame", "unknown"]
    _filter_passthrough = True

    @staticmethod
    def operation(frame: Any, unknown: Any) -> Any:
        """Return the rows."""
        return frame

    @functools.cached_property
    def _meta(self) -> Any:
        meta = self.frame._meta
        if meta.ndim == 1:
            return clear_known_categories(meta) if meta.name in self.unknown else meta
        return clear_known_categories(meta, cols=[name for name in self.unknown if name in meta.columns])

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        """Let filters and projections pass, as dask's own steps of rows do."""
        if isinstance(parent, Filter) and self._filter_passthrough_available(parent, dependents):
            return self._filter_simplification(parent)
        if not isinstance(parent, Projection):
            return None
        names = determine_column_projection(self, parent, dependents)
        if set(self.unknown).isdisjoint(names if isinstance(names, list) else [names]):
            return type(parent)(self.frame, *parent.operands[1:])
        return plain_column_projection(self, parent, dependents)

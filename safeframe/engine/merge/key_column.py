"""A frame with one more column: its index, or a constant.

Covers: the expression, through which projections and filters pass.
"""

from __future__ import annotations

from typing import Any, cast

import dask.dataframe as dd
import pandas as pd
from dask.dataframe.api import new_collection

from safeframe._dask.expressions import Elemwise, Projection, determine_column_projection
from safeframe.kernels.merge.output import add_column
from safeframe.sizing.columns.fixed_widths import narrowest_column


def added_column(ddf: dd.DataFrame, name: str, *, index: bool) -> dd.DataFrame:
    """Return a frame with its index, or a constant, as its last column.

    Examples
    --------
    >>> ddf = dd.from_pandas(pd.DataFrame({"a": [1.5, 2.5]}, index=[7, 8]), npartitions=1)
    >>> added_column(ddf, "k", index=True).compute()
         a  k
    7  1.5  7
    8  2.5  8
    """
    return cast("dd.DataFrame", new_collection(AddedColumn(ddf.expr, name, index)))


class AddedColumn(Elemwise):  # type: ignore[misc]  # dask's expressions are untyped
    """Each partition with the column; rows are filtered before it is added."""

    _parameters = ["frame", "column", "from_index"]
    _filter_passthrough = True

    @staticmethod
    def operation(frame: pd.DataFrame, column: str, from_index: bool) -> pd.DataFrame:
        """Add it to one partition."""
        return add_column(frame, column, index=from_index)

    def _filter_passthrough_available(self, parent: Any, dependents: Any) -> bool:
        """Whether rows can be filtered before the column is there: not by the column itself."""
        if not super()._filter_passthrough_available(parent, dependents):
            return False
        used = (
            node for node in parent.predicate.find_operations(Projection) if node.frame._name == self._name
        )
        return all(self.column not in node.columns for node in used)

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if not isinstance(parent, Projection):
            return super()._simplify_up(parent, dependents)
        wanted = determine_column_projection(self, parent, dependents)
        own = [name for name in self.frame.columns if name in wanted]
        if not own and len(self.frame.columns) and _reads_files_together(self.frame):
            # dask finds no rows of these where no column is read.
            own = [narrowest_column(self.frame._meta)]
        if len(own) == len(self.frame.columns):
            return None
        narrow = type(self)(self.frame[own], *self.operands[1:])
        return type(parent)(narrow, *parent.operands[1:])


def _reads_files_together(frame: Any) -> bool:
    return any(
        "aggregate_files" in node._parameters and node.operand("aggregate_files") for node in frame.walk()
    )

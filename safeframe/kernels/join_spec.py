"""What every task of one join has to know: keys, columns, names, types.

Covers: working out the result's columns from two empty frames, as
``pandas.merge`` would name and type them.
Does not cover: rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from safeframe.facts.keys import KeySchema
from safeframe.facts.merge import How
from safeframe.kernels.columns import missing_dtype

__all__ = ["JoinSpec", "OutputColumn", "Side", "SideSpec", "join_spec", "side_spec"]

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, eq=False)
class SideSpec:
    """One side's columns as they are staged."""

    names: tuple[str, ...]
    """Columns, in frame order."""
    dtypes: tuple[Any, ...]
    """Their pandas dtypes."""
    on: tuple[str, ...]
    """The key columns among them."""
    schema: KeySchema
    """How keys become codes, on both sides alike."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        dtypes = tuple(_dtype_token(dtype) for dtype in self.dtypes)
        return ("SideSpec", self.names, dtypes, self.on, repr(self.schema))

    def series(self, frame: pd.DataFrame) -> list[pd.Series[Any]]:
        """Take the columns out of a partition; see :class:`safeframe.kernels.routing.StagedColumns`."""
        return [frame[name] for name in self.names]

    @property
    def key_positions(self) -> tuple[int, ...]:
        """Where the key columns stand among the columns."""
        return tuple(self.names.index(name) for name in self.on)


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """Where a column of the result comes from."""

    left: int | None
    """Position among the left columns, or None."""
    right: int | None
    """Position among the right columns, or None; both are set for a key of one name."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinSpec:
    """One join, as its tasks see it."""

    how: How
    """Which rows stay."""
    left: SideSpec
    """The left columns."""
    right: SideSpec
    """The right columns."""
    output: tuple[OutputColumn, ...]
    """The result's columns, in order."""
    left_missing: bool
    """Whether the result has, or may have, right rows without a left match."""
    right_missing: bool
    """Whether the result has, or may have, left rows without a right match."""
    meta: pd.DataFrame
    """An empty frame with the result's names and dtypes."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "JoinSpec",
            self.how,
            self.left.__dask_tokenize__(),
            self.right.__dask_tokenize__(),
            tuple(self.meta.columns),
            self.left_missing,
            self.right_missing,
        )


def side_spec(meta: pd.DataFrame, on: tuple[str, ...], schema: KeySchema) -> SideSpec:
    """Describe one side from its empty frame."""
    return SideSpec(tuple(meta.columns), tuple(meta.dtypes), on, schema)


def join_spec(
    left: pd.DataFrame,
    right: pd.DataFrame,
    *,
    how: How,
    left_on: tuple[str, ...],
    right_on: tuple[str, ...],
    suffixes: tuple[str | None, str | None],
    schema: KeySchema,
    left_missing: bool,
    right_missing: bool,
) -> JoinSpec:
    """Work out the result's columns from two empty frames.

    Parameters
    ----------
    left, right
        Frames with the right names and dtypes; rows are not looked at.
    how, left_on, right_on, suffixes
        As for :func:`pandas.merge`.
    schema
        How keys become codes.
    left_missing, right_missing
        Whether that side's columns can have missing values in the result: that
        decides their dtypes, as it does in pandas (``int64`` becomes ``float64``).
    """
    shared = {name for name, other in zip(left_on, right_on, strict=True) if name == other}
    output = [
        OutputColumn(i, list(right.columns).index(name) if name in shared else None)
        for i, name in enumerate(left.columns)
    ]
    output += [OutputColumn(None, i) for i, name in enumerate(right.columns) if name not in shared]
    # Only the names are taken from here: pandas owns the rules of suffixes.
    plain_left = pd.DataFrame({name: pd.Series(dtype=object) for name in left.columns})
    plain_right = pd.DataFrame({name: pd.Series(dtype=object) for name in right.columns})
    names = plain_left.merge(
        plain_right, how=how, left_on=list(left_on), right_on=list(right_on), suffixes=suffixes
    ).columns
    columns = [_output_dtype(column, left, right, left_missing, right_missing) for column in output]
    for name, column in zip(left_on, schema.columns, strict=True):
        if name in shared and left[name].dtype != right[name].dtype:
            at = list(left.columns).index(name)
            mixed = _mixed_key_dtype(left[name].dtype, right[name].dtype, column.kind, how, left_missing)
            columns[at] = columns[at].astype(mixed)
    meta = pd.DataFrame(dict(enumerate(columns)))
    meta.columns = names
    return JoinSpec(
        how=how,
        left=side_spec(left, left_on, schema),
        right=side_spec(right, right_on, schema),
        output=tuple(output),
        left_missing=left_missing,
        right_missing=right_missing,
        meta=meta,
    )


def _output_dtype(
    column: OutputColumn, left: pd.DataFrame, right: pd.DataFrame, left_missing: bool, right_missing: bool
) -> pd.Series[Any]:
    """Give an empty column of the result."""
    if column.left is None:
        assert column.right is not None
        values, missing = right.iloc[:0, column.right], right_missing
    else:
        # A key of one name has a value from either side: it is never missing.
        values, missing = left.iloc[:0, column.left], left_missing and column.right is None
    return values.astype(missing_dtype(values.dtype)) if missing else values


def _mixed_key_dtype(left: Any, right: Any, kind: str, how: How, left_missing: bool) -> Any:
    """Ask pandas what it makes of a key that has another type on either side.

    Its answer depends on whether left rows are missing, and it takes a short
    cut where both sides are the same keys in the same order; so they are not.
    """
    left_key, right_key = (pd.DataFrame({"key": _two_values(dtype, kind)}) for dtype in (left, right))
    if left_missing:
        left_key = left_key[1:]
    else:
        left_key, right_key = (
            left_key.take([0, 1, 1]),
            right_key[1:] if how in ("inner", "right") else right_key,
        )
    return pd.Series(left_key.merge(right_key, on="key", how=how)["key"]).dtype


def _two_values(dtype: Any, kind: str) -> pd.Series[Any]:
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(["a", "b"], dtype="category")
    if kind == "datetime":
        times = pd.Series(pd.to_datetime([0, 1], unit="s"))
        aware = isinstance(dtype, pd.DatetimeTZDtype) or getattr(dtype, "pyarrow_dtype", None) is not None
        return (times.dt.tz_localize("UTC") if aware else times).astype(dtype)
    if kind == "timedelta":
        return pd.Series(pd.to_timedelta([0, 1], unit="s")).astype(dtype)
    return pd.Series(["a", "b"] if kind in ("string", "object") else [0, 1]).astype(dtype)


def _dtype_token(dtype: Any) -> object:
    if isinstance(dtype, pd.CategoricalDtype) and dtype.categories is not None:
        return ("category", tuple(map(str, dtype.categories)), bool(dtype.ordered))
    return repr(dtype)

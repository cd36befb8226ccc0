"""What every task of one join has to know: keys, columns, names, types.

Covers: working out the result's columns from two empty frames, as
``pandas.merge`` would name and type them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from safeframe.facts.keys import KeySchema
from safeframe.facts.merge import How, MergeEstimate
from safeframe.kernels.columns.coded_text import may_be_coded
from safeframe.kernels.columns.index_freq import freq_of, join_freq, with_freq
from safeframe.kernels.columns.values import missing_dtype
from safeframe.kernels.keys.schema import example_keys, known_categories
from safeframe.kernels.merge.output import JoinKeys, OutputColumn, join_output


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
    """How keys become codes, the same on both sides."""
    coded: frozenset[str] = frozenset()
    """Columns of text that may come, and go, as categories."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        dtypes = tuple(_dtype_token(dtype) for dtype in self.dtypes)
        return ("SideSpec", self.names, dtypes, self.on, repr(self.schema), tuple(sorted(self.coded)))

    @property
    def with_index(self) -> bool:
        """An index that a join needs is one of the columns."""
        return False

    @property
    def key_positions(self) -> tuple[int, ...]:
        """Where the key columns stand among the columns."""
        return tuple(self.names.index(name) for name in self.on)

    @property
    def coded_positions(self) -> frozenset[int]:
        """Where the columns stand that may be categories."""
        return frozenset(at for at, name in enumerate(self.names) if name in self.coded)


@dataclass(frozen=True, slots=True, eq=False)
class JoinSpec:
    """One join, as its tasks see it."""

    how: How
    left: SideSpec
    right: SideSpec
    output: tuple[OutputColumn, ...]
    """The result's columns, in order, without the indicator."""
    index: OutputColumn | None
    """Where the result's index comes from; None where it counts rows."""
    indicator: bool
    """Whether the last column says on which sides a row was found."""
    left_missing: bool
    """Whether the result has, or may have, right rows without a left match."""
    right_missing: bool
    """Whether the result has, or may have, left rows without a right match."""
    meta: pd.DataFrame
    """An empty frame with the result's names and dtypes."""

    def with_coded_text(self) -> JoinSpec:
        """Return this join of rows that go to a file, whose text, but for keys and the index, may come as categories."""
        places = None if self.index is None else (self.index.left, self.index.right)
        sides = []
        for number, side in enumerate((self.left, self.right)):
            kept = {*side.key_positions, *(() if places is None else places[number : number + 1])}
            coded = [
                name
                for at, (name, dtype) in enumerate(zip(side.names, side.dtypes, strict=True))
                if at not in kept and may_be_coded(dtype)
            ]
            sides.append(replace(side, coded=frozenset(coded)))
        return replace(self, left=sides[0], right=sides[1])

    @property
    def coded(self) -> frozenset[Any]:
        """Columns of the result that may be categories where text is promised."""
        return frozenset(
            name
            for name, (left, right) in column_places(self).items()
            if (right in self.right.coded if left is None else left in self.left.coded)
        )

    @property
    def of_sides(self) -> tuple[list[int], list[int]]:
        """Numbers of the columns of each side that the result has; a key that is one column is the left side's."""
        columns = (*self.output, *(() if self.index is None else (self.index,)))
        left = [column.left for column in columns if column.left is not None]
        right = [column.right for column in columns if column.left is None and column.right is not None]
        return left, right

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "JoinSpec",
            self.how,
            self.left.__dask_tokenize__(),
            self.right.__dask_tokenize__(),
            tuple(self.meta.columns),
            repr(self.index),
            repr(self.meta.index.name),
            repr(freq_of(self.meta.index)),
            self.left_missing,
            self.right_missing,
        )


def column_places(spec: JoinSpec) -> dict[Any, tuple[Any, Any]]:
    """Return where each column of a join comes from: its names on the left and on the right, None for neither."""
    return {
        name: (
            None if source.left is None else spec.left.names[source.left],
            None if source.right is None else spec.right.names[source.right],
        )
        for name, source in zip(spec.meta.columns, spec.output, strict=False)
    }


def side_spec(meta: pd.DataFrame, on: tuple[Any, ...], schema: KeySchema) -> SideSpec:
    """Describe one side from its empty frame."""
    return SideSpec(tuple(meta.columns), tuple(meta.dtypes), on, schema)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinTerms:
    """What a join compares and what its result is called, whatever other columns its sides have."""

    keys: JoinKeys
    """What is compared."""
    schema: KeySchema
    """The type in which keys are compared."""
    how: How
    """Which rows stay."""
    suffixes: tuple[str | None, str | None]
    """What is added to names that both sides have."""
    indicator: bool | str
    """Whether, or as what, the result says where a row was found."""

    def spec(self, left: pd.DataFrame, right: pd.DataFrame, estimate: MergeEstimate) -> JoinSpec:
        """Work out the result's columns from two empty frames, and from what is known of unmatched rows."""
        return join_spec(
            left,
            right,
            self.keys,
            how=self.how,
            suffixes=self.suffixes,
            indicator=self.indicator,
            schema=self.schema,
            left_missing=estimate.left_missing,
            right_missing=estimate.right_missing,
            rows=(estimate.left_rows, estimate.right_rows),
        )


def join_spec(
    left: pd.DataFrame,
    right: pd.DataFrame,
    keys: JoinKeys,
    *,
    how: How,
    suffixes: tuple[str | None, str | None],
    indicator: bool | str,
    schema: KeySchema,
    left_missing: bool,
    right_missing: bool,
    rows: tuple[int, int] | None = None,
) -> JoinSpec:
    """Work out the result's columns from two empty frames.

    Parameters
    ----------
    left, right
        Frames with the right names and dtypes; rows are not looked at.
    keys
        What is compared.
    how, suffixes, indicator
        As for :func:`pandas.merge`.
    schema
        How keys become codes.
    left_missing, right_missing
        Whether that side's columns can have missing values in the result: that
        decides their dtypes, as it does in pandas (``int64`` becomes ``float64``).
    rows
        Rows of both sides, where they are known.

    Raises
    ------
    ValueError, KeyError, TypeError
        As pandas does, for names that clash.
    """
    output = join_output(left, right, keys, how=how, suffixes=suffixes, indicator=indicator, rows=rows)
    dtypes = _Dtypes(left, right, keys, how, left_missing, right_missing, rows or (1, 1))
    columns = [pd.Series([], dtype=dtypes.of(column)) for column in output.columns]
    if output.indicator is not None:
        columns.append(pd.Series([], dtype=output.indicator))
    meta = pd.DataFrame(dict(enumerate(columns)))
    meta.columns = output.names
    if output.index is not None:
        index = pd.Index([], dtype=dtypes.of(output.index), name=output.index_name)
        meta.index = with_freq(index, join_freq(keys, how, output.index))
    return JoinSpec(
        how=how,
        left=side_spec(left, keys.left.on, schema),
        right=side_spec(right, keys.right.on, schema),
        output=output.columns,
        index=output.index,
        indicator=output.indicator is not None,
        left_missing=left_missing,
        right_missing=right_missing,
        meta=meta,
    )


@dataclass(frozen=True, slots=True)
class _Dtypes:
    """Finds the dtypes of a result's columns."""

    left: pd.DataFrame
    right: pd.DataFrame
    keys: JoinKeys
    how: How
    left_missing: bool
    right_missing: bool
    rows: tuple[int, int]

    def of(self, column: OutputColumn) -> Any:
        if column.left is None:
            assert column.right is not None
            dtype = self.right.dtypes.iloc[column.right]
            return missing_dtype(dtype) if self.right_missing else dtype
        dtype = self.left.dtypes.iloc[column.left]
        if column.right is None:
            return missing_dtype(dtype) if self.left_missing else dtype
        # A key that is one column has a value from either side: it is never missing.
        other = self.right.dtypes.iloc[column.right]
        return dtype if dtype == other else self._mixed(column, dtype, other)

    def _mixed(self, column: OutputColumn, left: Any, right: Any) -> Any:
        """Return what pandas makes of a key that has another type on either side.

        Its answer depends on whether left rows are missing, and on whether a side has
        rows at all; and it takes a short cut where both sides are the same keys in the
        same order, so they are not.
        """
        assert column.left is not None
        assert column.right is not None
        pair = self.left.columns[column.left], self.right.columns[column.right]
        at = list(zip(self.keys.left.on, self.keys.right.on, strict=True)).index(pair)
        values = example_keys(left, right)
        if values is None:
            return np.dtype(object)
        if self.left_missing:
            one, other = values[0][1:], values[1]
        else:
            one = values[0].take([0, 1, 1])
            other = values[1][1:] if self.how in ("inner", "right") else values[1]
        indexes = [side.on[at] == side.added for side in (self.keys.left, self.keys.right)]
        arguments: dict[str, Any] = {"how": self.how}
        frames = []
        for keys, n_rows, is_index, side in zip(
            (one, other), self.rows, indexes, ("left", "right"), strict=True
        ):
            series = keys if n_rows else keys[:0]
            frames.append(pd.DataFrame(index=pd.Index(series)) if is_index else pd.DataFrame({"key": series}))
            arguments |= {f"{side}_index": True} if is_index else {f"{side}_on": "key"}
        merged = frames[0].merge(frames[1], **arguments)
        made = merged.index.dtype if all(indexes) else merged.dtypes.iloc[0]
        # Of objects, and of categories that are not known, pandas 2 makes numbers where it is shown some.
        numbers = any(pd.api.types.is_numeric_dtype(kind) for kind in map(_own_dtype, (left, right)))
        return made if numbers or not pd.api.types.is_numeric_dtype(made) else np.dtype(object)


def _own_dtype(dtype: Any) -> Any:
    """Return the type of values, of known categories too."""
    return dtype.categories.dtype if known_categories(dtype) else dtype


def _dtype_token(dtype: Any) -> object:
    if isinstance(dtype, pd.CategoricalDtype) and dtype.categories is not None:
        return ("category", tuple(map(str, dtype.categories)), bool(dtype.ordered))
    return repr(dtype)

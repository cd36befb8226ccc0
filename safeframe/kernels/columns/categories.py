"""Categorical columns whose categories differ from partition to partition.

A partition's categories are what it has seen: others have more, or, where all
its values are missing, none. Joined, a column has all of them, in the order in
which they come, as dask's own ``concat`` has it; categories of several types
become those of one that holds them.

Covers: joining columns, and frames with such columns; a column in two parts, as
it is staged; categories of all parts of a column, by which codes alone are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

UNKNOWN = "__UNKNOWN_CATEGORIES__"
"""dask's mark of a categorical column whose categories are known only once it is read."""


def text_columns(dtypes: Mapping[Any, Any]) -> frozenset[Any]:
    """Return the columns of strings, which may come as categories where nothing but equality matters.

    Examples
    --------
    >>> text_columns({"a": pd.StringDtype(), "b": np.dtype("int64")})
    frozenset({'a'})
    """
    return frozenset(name for name, dtype in dtypes.items() if _is_text(dtype))


def _is_text(dtype: Any) -> bool:
    return (
        is_text(dtype.pyarrow_dtype)
        if isinstance(dtype, pd.ArrowDtype)
        else isinstance(dtype, pd.StringDtype)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether Arrow's type is one of strings, in one block of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_text_or_view(kind: pa.DataType) -> bool:
    """Whether Arrow's type is one of strings, views of them too."""
    return is_text(kind) or bool(pa.types.is_string_view(kind))


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A categorical column in two parts."""

    codes: pa.Array
    """Numbers of categories, -1 for a missing value."""
    dtype: pd.CategoricalDtype

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return int(self.codes.nbytes)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class PooledCategories:
    """The categories of a column whose parts send nothing but codes."""

    joined: pd.CategoricalDtype
    """The categories of all."""
    distinct: tuple[pd.CategoricalDtype, ...]
    """Those of the parts, each once."""
    which: npt.NDArray[np.intp]
    """For each part, which of them it has."""

    @classmethod
    def of(cls, dtypes: Sequence[pd.CategoricalDtype]) -> PooledCategories:
        """Make it of those of all parts."""
        distinct: list[pd.CategoricalDtype] = []
        by_hash: dict[int, list[int]] = {}
        which = np.empty(len(dtypes), np.intp)
        for part, dtype in enumerate(dtypes):
            seen = by_hash.setdefault(hash(dtype), [])
            number = next((i for i in seen if same_categories(distinct[i], dtype)), None)
            if number is None:
                number = len(distinct)
                seen.append(number)
                distinct.append(dtype)
            which[part] = number
        return cls(joined_dtype(distinct), tuple(distinct), which)

    @property
    def same(self) -> bool:
        """Whether codes mean the same in all parts."""
        return len(self.distinct) == 1

    def decoded(
        self,
        codes: npt.NDArray[np.integer[Any]],
        rows: npt.NDArray[Any] | None,
        promised: pd.CategoricalDtype,
    ) -> pd.Categorical:
        """Return the column of some codes, those of one part after those of another.

        Parameters
        ----------
        codes
            The codes.
        rows
            How many are of each part; not needed where all are the same.
        promised
            The categories of the frame, for a column that has no others.

        Examples
        --------
        >>> pooled = PooledCategories.of([pd.CategoricalDtype(["a", "b"]), pd.CategoricalDtype(["c", "a"])])
        >>> column = pooled.decoded(np.array([1, 0, 0, 1]), np.array([2, 2]), pd.CategoricalDtype())
        >>> column.tolist(), column.categories.tolist()
        (['b', 'a', 'c', 'a'], ['a', 'b', 'c'])
        """
        if self.same:
            recoded = _recoded(codes, self.joined, self.joined)
        else:
            assert rows is not None, "codes are distinguished by them"
            ends = np.cumsum(rows)
            parts = [
                _recoded(
                    codes[ends[part] - rows[part] : ends[part]], self.distinct[self.which[part]], self.joined
                )
                for part in np.flatnonzero(rows).tolist()
            ]
            recoded = np.concatenate(parts) if parts else _recoded(codes, self.joined, self.joined)
        return as_known(pd.Categorical.from_codes(recoded, dtype=self.joined, validate=False), promised)


def coded(column: pd.Categorical) -> Coded:
    """Split a column."""
    return Coded(pa.array(column.codes), column.dtype)


def decoded(parts: Sequence[Coded], promised: pd.CategoricalDtype) -> pd.Categorical:
    """Put parts of a column together, with the categories of a dtype where they are known."""
    columns = [
        pd.Categorical.from_codes(part.codes.to_numpy(), dtype=part.dtype, validate=False) for part in parts
    ]
    return as_known(join_categoricals(columns, promised), promised)


def join_coded(parts: Sequence[Coded]) -> Coded:
    """Join parts of a column."""
    dtype = joined_dtype([part.dtype for part in parts])
    codes = [_recoded(part.codes.to_numpy(), part.dtype, dtype) for part in parts]
    return Coded(pa.array(np.concatenate(codes)), dtype)


def join_categoricals(columns: Sequence[Any], promised: pd.CategoricalDtype | None = None) -> pd.Categorical:
    """Join columns whose categories may differ.

    Parameters
    ----------
    columns
        The columns.
    promised
        What the column is where there is nothing to join.

    Examples
    --------
    >>> one, other = pd.Categorical(["a", "b"]), pd.Categorical(["c", None, "a"])
    >>> join_categoricals([one, other]).tolist()
    ['a', 'b', 'c', nan, 'a']
    """
    if not columns:
        return pd.Categorical([], dtype=promised if _known(promised) else None)
    if len(columns) == 1:
        only: pd.Categorical = columns[0]
        return only
    dtype = joined_dtype([column.dtype for column in columns])
    codes = [_recoded(column.codes, column.dtype, dtype) for column in columns]
    return pd.Categorical.from_codes(np.concatenate(codes), dtype=dtype, validate=False)


def as_known(column: pd.Categorical, promised: pd.CategoricalDtype) -> pd.Categorical:
    """Return a column with the very categories that its frame promises, where it has no others."""
    own = column.dtype
    if own is promised or not _known(promised):
        return column
    if own.categories.equals(promised.categories) and own.ordered == promised.ordered:
        return column
    if len(own.categories.difference(promised.categories, sort=False)):
        return column
    return column.set_categories(promised.categories, ordered=bool(promised.ordered))


def joined_frames(waiting: list[pd.DataFrame]) -> pd.DataFrame:
    """Join frames, in their order, and leave the list empty."""
    made = waiting[0] if len(waiting) == 1 else pd.concat(with_same_categories(waiting))
    waiting.clear()
    return made


def with_same_categories(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return frames whose categorical columns have the same categories in all, so that pandas joins them as such."""
    changed: list[dict[int, pd.Categorical]] = [{} for _ in frames]
    for at in range(len(frames[0].columns) if len(frames) > 1 else 0):
        dtypes = [frame.dtypes.iloc[at] for frame in frames]
        if not all(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes):
            continue
        joined = joined_dtype(dtypes)
        for number, (frame, dtype) in enumerate(zip(frames, dtypes, strict=True)):
            if not same_categories(dtype, joined):
                codes = _recoded(frame.iloc[:, at].cat.codes.to_numpy(), dtype, joined)
                changed[number][at] = pd.Categorical.from_codes(codes, dtype=joined, validate=False)
    same = [_with(frame, columns) for frame, columns in zip(frames, changed, strict=True)]
    if len(same) > 1 and all(isinstance(frame.index, pd.CategoricalIndex) for frame in same):
        dtypes_of: list[Any] = [frame.index.dtype for frame in same]
        index_dtype = joined_dtype(dtypes_of)
        return [frame.set_axis(frame.index.astype(index_dtype), axis=0) for frame in same]
    return same


def with_promised_categories(frame: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose categorical columns have the categories that are promised, as :func:`as_known` does.

    Columns of the frame that are not the promised ones, by place and name, stay as they are.

    Examples
    --------
    >>> promised = pd.DataFrame({"o": pd.Categorical([], categories=["a", "b"])})
    >>> found = with_promised_categories(pd.DataFrame({"o": pd.Categorical(["b"])}), promised)
    >>> found["o"].cat.categories.tolist()
    ['a', 'b']
    """
    changed: dict[int, pd.Categorical] = {}
    named = zip(frame.columns, meta.dtypes.items(), strict=False)
    for at, (own_name, (name, promised)) in enumerate(named):
        if isinstance(promised, pd.CategoricalDtype) and own_name == name:
            column: Any = frame.iloc[:, at].array
            if isinstance(column, pd.Categorical):
                known = as_known(column, promised)
                if known is not column:
                    changed[at] = known
    frame = _with(frame, changed)
    if isinstance(frame.index, pd.CategoricalIndex) and isinstance(meta.index.dtype, pd.CategoricalDtype):
        column = frame.index.array
        known = as_known(column, meta.index.dtype)
        if known is not column:
            return frame.set_axis(pd.CategoricalIndex(known, name=frame.index.name), axis=0)
    return frame


def joined_dtype(dtypes: Sequence[pd.CategoricalDtype]) -> pd.CategoricalDtype:
    """Return the categories of all, ordered where all are, and in the same order.

    Categories of a column without any have a type of no meaning, and are left out.
    """
    distinct: list[pd.CategoricalDtype] = []
    by_hash: dict[int, list[pd.CategoricalDtype]] = {}
    for dtype in dtypes:
        if len(dtype.categories) and _known(dtype) and (not distinct or dtype is not distinct[-1]):
            known = by_hash.setdefault(hash(dtype), [])
            if not any(same_categories(dtype, other) for other in known):
                known.append(dtype)
                distinct.append(dtype)
    if not distinct:
        return dtypes[0]
    if len(distinct) == 1:
        return distinct[0]
    categories = [dtype.categories for dtype in distinct]
    if len({categories_of.dtype for categories_of in categories}) > 1:
        numbers = all(pd.api.types.is_numeric_dtype(categories_of.dtype) for categories_of in categories)
        if numbers:  # which would be rounded to floats
            categories = [categories_of.astype(object) for categories_of in categories]
    every = categories[0].append(categories[1:])
    return pd.CategoricalDtype(every.unique(), ordered=False)


def _known(dtype: pd.CategoricalDtype | None) -> bool:
    categories: Any = None if dtype is None else dtype.categories  # None as well for a dtype that names none
    # Not by "in", for which pandas makes a hash table that then counts among a frame's bytes.
    return categories is not None and not (len(categories) == 1 and categories[0] == UNKNOWN)


def same_categories(one: pd.CategoricalDtype, other: pd.CategoricalDtype) -> bool:
    """Return whether categories are the same, of one type and in one order."""
    if one is other:
        return True
    return (
        one.ordered == other.ordered
        and one.categories.dtype == other.categories.dtype
        and one.categories.equals(other.categories)
    )


def _recoded(
    codes: npt.NDArray[np.integer[Any]], own: pd.CategoricalDtype, joined: pd.CategoricalDtype
) -> npt.NDArray[np.integer[Any]]:
    """Number values by the joined categories."""
    n = len(joined.categories)
    narrow = next(kind for kind in (np.int8, np.int16, np.int32, np.int64) if n <= np.iinfo(kind).max)
    if own.categories is joined.categories or same_categories(own, joined):
        return codes.astype(narrow, copy=False)
    try:
        places = joined.categories.get_indexer(own.categories)
    except pd.errors.InvalidIndexError:  # intervals that overlap
        places = joined.categories.astype(object).get_indexer(own.categories.astype(object))
    recoded: npt.NDArray[np.integer[Any]] = np.append(places, -1).astype(narrow)[codes]  # the last one for -1
    return recoded


def _with(frame: pd.DataFrame, columns: dict[int, pd.Categorical]) -> pd.DataFrame:
    if not columns:
        return frame
    changed = frame.copy(deep=False)
    for at, column in columns.items():
        changed.isetitem(at, column)
    return changed

"""Checks of what users hand to a recipe: frames, key columns, and sizes of partitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.base import is_dask_collection
from dask.dataframe.api import new_collection

from safeframe import options
from safeframe._dask.as_read import AsRead
from safeframe._dask.expressions import AsType
from safeframe._dask.parquet import files_of_read, is_parquet
from safeframe._dask.trees import with_sources
from safeframe.choices import did_you_mean
from safeframe.errors import KeyNotFoundError, SchemaMismatchError, UnsupportedError, ValidationError
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.sizing.cluster import measure_budget
from safeframe.sizing.columns.null_integers import types_of_nulls
from safeframe.units import parse_nbytes

Side: TypeAlias = dd.DataFrame | dd.Series | pd.DataFrame | pd.Series
"""What may be a side of a merge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionOptions:
    """How large output partitions are and how rows come into them, as the user gave it."""

    npartitions: int | None
    """Partitions of the result."""
    partition_size: str | int | None
    """Bound of one of them."""
    strategy: str | None
    """How rows move."""
    memory: str | int | None
    """What one worker may use."""
    staging: str | None
    """Where rows are staged."""
    divisions: Sequence[Any] | None = None
    """The keys that partitions of the result begin with, and the last one's last."""

    def checked(self) -> PartitionOptions:
        """Refuse what contradicts itself.

        Raises
        ------
        ValidationError
            In words.
        """
        n: Any = self.npartitions
        if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1):
            msg = f"npartitions={n!r} is not a number of partitions."
            raise ValidationError(msg, hint="Pass an int of at least 1, or leave it out.")
        if n is not None and self.partition_size is not None:
            msg = f"npartitions={n} and partition_size={self.partition_size!r} exclude each other."
            raise ValidationError(msg, hint="Pass one of them.")
        if self.divisions is not None and (n is not None or self.partition_size is not None):
            other = "npartitions=" if n is not None else "partition_size="
            msg = f"divisions= and {other} exclude each other."
            raise ValidationError(msg, hint="Pass one of them.")
        return self


def as_frame(side: Any, argument: str) -> dd.DataFrame:
    """Make a dask dataframe of what may be a side of a merge: of dask's or pandas', a frame or a series with a name.

    A pandas frame is cut into partitions of some 16 MiB, in the order of its rows.

    Raises
    ------
    SchemaMismatchError
        When it is none of these.
    ValidationError
        When a series has no name, or two columns have one.
    UnsupportedError
        For an index or columns of several levels.
    """
    if isinstance(side, (pd.Series, dd.Series)):
        if side.name is None:
            msg = f"{argument} is a series without a name."
            raise ValidationError(msg, hint="Name it first: series.rename('name').")
        side = side.to_frame()
    if isinstance(side, pd.DataFrame):
        if side.index.nlevels > 1:
            msg = f"{argument} has a MultiIndex of {side.index.nlevels} levels."
            raise UnsupportedError(msg, hint="Make its levels columns first: .reset_index().")
        if side.columns.nlevels == 1 and side.columns.is_unique:
            nbytes = int(side.memory_usage(deep=True).sum())
            n = max(1, math.ceil(nbytes / options.PANDAS_PARTITION_NBYTES))
            side = dd.from_pandas(side, npartitions=min(n, max(1, len(side))), sort=False)
    return check_frame(side, argument)


def check_frame(frame: Any, argument: str) -> dd.DataFrame:
    """Return a dask dataframe, or say what is wrong with it.

    Raises
    ------
    SchemaMismatchError
        When it is not a dask dataframe.
    ValidationError
        When two of its columns have the same name.
    UnsupportedError
        When column names have several levels, or pandas has no operations for the type of a column.
    """
    if isinstance(frame, pd.DataFrame) and frame.columns.nlevels == 1 and frame.columns.is_unique:
        msg = f"{argument} is a pandas dataframe; a dask dataframe is expected."
        raise SchemaMismatchError(msg, hint="Wrap it: dask.dataframe.from_pandas(df, npartitions=1).")
    if not isinstance(frame, (dd.DataFrame, pd.DataFrame)):
        msg = f"{argument} is a {type(frame).__name__}; a dask dataframe is expected."
        raise SchemaMismatchError(
            msg, hint="Make one with dask.dataframe.read_parquet, from_pandas or from_map."
        )
    columns = frame.columns if isinstance(frame, pd.DataFrame) else frame._meta.columns
    if columns.nlevels > 1:
        msg = f"{argument} has a column MultiIndex of {columns.nlevels} levels."
        raise UnsupportedError(msg, hint="Flatten the column names to one level first.")
    if not columns.is_unique:
        twice = sorted({str(name) for name in columns[columns.duplicated()]})
        msg = f"{argument} has more than one column named {', '.join(map(repr, twice))}."
        raise ValidationError(msg, hint="Rename the columns so that names are unique.")
    for name, dtype in (frame if isinstance(frame, pd.DataFrame) else frame._meta).dtypes.items():
        if isinstance(dtype, pd.ArrowDtype) and _is_view(dtype.pyarrow_dtype):
            msg = f"{argument} has a column {name!r} of Arrow's {dtype.pyarrow_dtype}, which pandas has no operations for."
            hint = "Leave out dtype_backend= where the files are read: pandas' own strings take their place then."
            raise UnsupportedError(msg, hint=hint)
    return frame if isinstance(frame, pd.DataFrame) else with_types_of_nulls(frame)


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def with_types_of_nulls(collection: Any) -> Any:
    """Return a frame, or a series, with the types that it has once it is read, and categories not known that are not.

    Notes
    -----
    **Eager.** The footers of files with columns of integers or flags are read, of those that pandas has not written.
    """
    try:
        expr = with_sources(collection.expr, _typed_source, but="safeframe")
        if expr is collection.expr:
            return collection
        made = new_collection(expr)
        made._meta  # noqa: B018  # what a step makes of other types is tried
    except (TypeError, ValueError, AttributeError, NotImplementedError, KeyError):
        return collection  # a step takes no others
    return made


def _typed_source(node: Any) -> Any | None:
    """Return a parquet source in the types that its columns are read in; None where these are those that it promises.

    One that is in these types, for a recipe has looked at the frame before, stays.
    """
    if isinstance(node, AsType):
        typed = _typed_source(node.frame)
        return node if typed is not None and typed._name == node._name else None
    if not is_parquet(node) or node._meta.ndim == 1:
        return None
    files, dtypes = files_of_read(node), node._meta.dtypes.to_dict()
    types = types_of_nulls(files, dtypes, node._name)
    typed = AsType(node, types) if types else None
    unknown = [name for name, dtype in dtypes.items() if _has_none(dtype) and name in files.schema.names]
    return AsRead(node if typed is None else typed, unknown) if unknown else typed


def _has_none(dtype: Any) -> bool:
    """Whether a type says that there are no categories, which is what dask takes dictionaries for that no pandas wrote."""
    return isinstance(dtype, pd.CategoricalDtype) and not len(dtype.categories)


def as_names(on: Any) -> tuple[Any, ...]:
    """Turn a column name, or a list of them, into a tuple, and refuse what is no name.

    Raises
    ------
    UnsupportedError
        When it is a column itself, or something else that names nothing.
    """
    names = tuple(on) if isinstance(on, (list, tuple, pd.Index)) else (on,)
    for name in names:
        # pd.NA is equal to nothing in a way that has a truth value.
        if is_dask_collection(name) or name is pd.NA or not _has_hash(name):
            msg = f"A key is a {type(name).__name__}; the name of a column is expected."
            raise UnsupportedError(msg, hint="Make it a column first: ddf.assign(key=...).")
    return names


def _has_hash(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_keys(frame: dd.DataFrame, on: Sequence[Any]) -> None:
    """Raise when a key column of ``ddf`` is not there, or is named twice.

    Raises
    ------
    KeyNotFoundError, ValidationError, UnsupportedError
        In words, with the columns that there are.
    """
    columns = list(frame._meta.columns)
    if not on:
        msg = "No column is named in ddf."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    for name in on:
        if name in columns:
            continue
        if name is not None and name in frame._meta.index.names:
            msg = f"{name!r} is the index of ddf; a column is expected."
            raise UnsupportedError(msg, hint="Make it a column first: ddf.reset_index().")
        raise no_such_column(columns, name, "ddf")
    if len(set(on)) < len(on):
        msg = f"A key column is named twice in {list(on)!r}."
        raise ValidationError(msg, hint="Name each key column once.")


def no_such_column(columns: Sequence[Any], name: Any, argument: str) -> KeyNotFoundError:
    """Make the error of a column that is not among those of a frame."""
    listed = ", ".join(map(repr, columns[:20])) + (", …" if len(columns) > 20 else "")
    msg = f"{argument} has no column {name!r}; it has {len(columns)}: {listed}."
    apart = (
        ", or name the keys of each side in left_on= and right_on=" if argument in ("left", "right") else ""
    )
    return KeyNotFoundError(msg, hint=f"{did_you_mean(name, columns)}Check the spelling{apart}.")


def given_budget(memory: str | int | None) -> Budget:
    """Measure the workers, and hold them to ``memory=`` where that is given.

    Recipes do this before they read keys: workers that have just read some seem to hold more.
    """
    return measure_budget(None if memory is None else parse_nbytes(memory, argument="memory"))


def may_take_p2p(strategy: str | None, staging: StagingFacts) -> bool:
    """Return whether P2P may have to move the rows: it was requested, or the workers share no place for files."""
    return strategy == "p2p" or (strategy is None and staging.directory is None)

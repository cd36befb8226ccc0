"""What ``to_parquet(append=True)`` finds: which files there are, and whether rows of these types can follow.

Covers: names of the new files, columns and types, divisions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import natural_sort_key

from safeframe.engine.parquet.entries import METADATA_NAMES, PARQUET_SUFFIXES, entries_of, footer_of
from safeframe.engine.parquet.target import INDEX_LABEL
from safeframe.errors import SchemaMismatchError, UnsupportedError, ValidationError


@dataclass(frozen=True, slots=True)
class Appended:
    """The dataset that rows are appended to."""

    first: int
    """Number of the first new file."""
    schema: pa.Schema
    """Of the last file that is there."""
    has_metadata: bool
    """Whether it has ``_metadata``."""
    footer: pq.FileMetaData
    """Of all of it, or of its last file."""

    def in_order(self, schema: pa.Schema | None) -> pa.Schema | None:
        """Return a schema with its columns in the order of the files that are there.

        Raises
        ------
        SchemaMismatchError
            When columns or types are others.
        """
        if schema is None:
            return None
        ours, theirs = set(schema.names), set(self.schema.names)
        if ours != theirs:
            msg = f"Columns that only the frame or only the files to append to have: {sorted(ours ^ theirs)}."
            raise SchemaMismatchError(msg, hint="Append frames with the same columns and index.")
        for field in self.schema:
            kind = schema.field(field.name).type
            if _plain(kind) != _plain(field.type):
                msg = f"{field.name!r} is {kind} in the frame and {field.type} in the files to append to."
                hint = "Cast the column first, or set its type in schema=."
                raise SchemaMismatchError(msg, hint=hint)
        return pa.schema([schema.field(name) for name in self.schema.names])

    def check_pandas(self, meta: pd.DataFrame) -> None:
        """Refuse what Arrow has one type for and pandas has two: categories, numbers that may be null."""
        known = {
            column["field_name"]: column for column in (self.schema.pandas_metadata or {}).get("columns", [])
        }
        for name, dtype in zip(meta.columns, meta.dtypes, strict=True):
            if name not in known:
                continue
            column, categories = known[name], isinstance(dtype, pd.CategoricalDtype)
            theirs = "category" if column["pandas_type"] == "categorical" else str(column["numpy_type"])
            # Decimals are noted as objects, whatever they were; their Arrow types are compared already.
            numbers = (
                column["pandas_type"] != "decimal"
                and pd.api.types.is_numeric_dtype(dtype)
                and theirs != str(dtype)
            )
            if numbers or categories != (theirs == "category"):
                msg = f"{name!r} is {dtype} in the frame and {theirs} in the files to append to."
                raise SchemaMismatchError(msg, hint="Cast the column first.")

    def check_divisions(self, index_name: Any, divisions: Sequence[Any]) -> None:
        """Refuse rows whose index begins before that of the files ends, where both are known, as dask does."""
        index = index_name or INDEX_LABEL
        if divisions[0] is None or index not in self.schema.names:
            return
        paths = (
            [self.footer.row_group(0).column(n).path_in_schema for n in range(self.footer.num_columns)]
            if (self.footer.num_row_groups)
            else []
        )
        if index not in paths:
            return
        end: Any = None
        for number in range(self.footer.num_row_groups):
            statistics = self.footer.row_group(number).column(paths.index(index)).statistics
            if statistics is None or not statistics.has_min_max:
                continue
            if end is not None and statistics.max <= end:
                return  # not in order, as it is
            end = statistics.max
        try:
            overlaps = end is not None and divisions[0] <= end
        except TypeError:
            return
        if overlaps:
            msg = f"The files to append to end at {end!r}, and the frame begins at {divisions[0]!r}."
            raise ValidationError(msg, hint="Pass ignore_divisions=True to append anyway.")


def _plain(kind: pa.DataType) -> pa.DataType:
    """Leave out what files of one column may differ by."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)  # as which categories of numbers come back; check_pandas compares them
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def appended_to(
    fs: Any, place: str, name_function: Callable[[int], str] | None, npartitions: int
) -> Appended | None:
    """Return the dataset to append to; None where there is none yet.

    Raises
    ------
    UnsupportedError
        When its files are in directories by the values of columns.
    ValidationError
        When a new file would have the name of one that is there, or the last of these cannot be read.
    """
    if fs is None:
        entries = entries_of(Path(place), every=True)
        if entries.directories and entries.strange_parquet is not None:
            msg = f"{place!r} has files in directories, as {entries.strange_parquet!r}; nothing can be appended to them."
            raise UnsupportedError(msg, hint="Write to another path, or append with ddf.to_parquet.")
        names: Sequence[str] = entries.data
    else:
        found = fs.ls(place, detail=False) if fs.exists(place) else []
        names = [path.rpartition("/")[2] for path in found]
    files = sorted((name for name in names if name.endswith(PARQUET_SUFFIXES)), key=natural_sort_key)
    if not files:
        return None
    has_metadata = METADATA_NAMES[0] in names
    last = footer_of(f"{place}/{METADATA_NAMES[0] if has_metadata else files[-1]}", fs)
    first = len(files)
    # How many files there will be is not known yet: of our own names, none is taken from the first free number on.
    if name_function is None:
        own = [int(found[1]) for name in files if (found := re.fullmatch(r"part\.(\d+)\.parquet", name))]
        first = max([first, *(number + 1 for number in own if number >= first)])
    elif not {name_function(number) for number in range(first, first + npartitions)}.isdisjoint(files):
        # Some file in between is gone, or was written by another function.
        numbers = [int(digits) for name in files for digits in re.findall(r"\d+", name)[-1:]]
        first = max([*numbers, first]) + 1
        taken = {name_function(number) for number in range(first, first + npartitions)} & set(files)
        if taken:
            msg = f"{place!r} already has a file {min(taken)!r}, a name that name_function= returns."
            raise ValidationError(msg, hint="Pass a name_function= whose names increase with the number.")
    return Appended(first, last.schema.to_arrow_schema(), has_metadata, last)

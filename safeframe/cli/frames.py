"""Parquet files as frames, for commands.

Covers: reading all columns of a dataset as columns, types that pandas has no word for, the names of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import dask.dataframe as dd
import pyarrow as pa
from pandas.api.types import is_object_dtype

from safeframe.errors import ValidationError
from safeframe.sizing.parquet.footers import joined_columns, no_parquet_file, read_footers

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_frame(path: str) -> dd.DataFrame:
    """Read a parquet dataset lazily, an index that has a name as a column.

    Raises
    ------
    ValidationError
        When there is no parquet dataset.
    """
    try:
        frame: dd.DataFrame = dd.read_parquet(path, index=False)
    except FileNotFoundError as error:
        raise no_parquet_file(path) from error
    except (pa.ArrowInvalid, ValueError) as error:
        if "No files satisfy" in str(error):
            raise no_parquet_file(path) from error
        if not isinstance(error, pa.ArrowInvalid):
            raise
        said = str(error).splitlines()[-1].removeprefix("Original Message: ")
        msg = f"{path!r} cannot be read as parquet: {said}"
        raise ValidationError(msg, hint="Name a parquet file, or a directory of them.") from error
    return frame


def object_types(
    result: dd.DataFrame, paths: Sequence[str], suffixes: Sequence[str]
) -> dict[str, pa.DataType]:
    """Return the types in the files of columns that are Python objects in a frame, as lists and dates are.

    Parameters
    ----------
    result
        What is made of the files.
    paths
        The datasets that it is made of.
    suffixes
        What each one's columns may have got at the end of their names.
    """
    known: dict[str, pa.DataType] = {}
    for path, suffix in zip(paths, suffixes, strict=True):
        types = {column.name: column.types[0] for column in joined_columns(read_footers(path))}
        known = {name + suffix: type_ for name, type_ in types.items()} | types | known
    objects = [name for name, dtype in result.dtypes.items() if is_object_dtype(dtype)]
    return {name: known[name] for name in objects if name in known}


def key_options(command: _Command) -> _Command:
    """Add ``--on``, ``--left-on`` and ``--right-on``; :func:`named_keys` reads them."""
    options = (
        click.option("--on", multiple=True, help="Key column of both sides; repeat it for several columns."),
        click.option("--left-on", multiple=True, help="Key column of the left side."),
        click.option("--right-on", multiple=True, help="Key column of the right side."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def named_keys(on: tuple[str, ...], left_on: tuple[str, ...], right_on: tuple[str, ...]) -> dict[str, Any]:
    """Return the keys as the recipes take them."""
    return {"on": list(on) or None, "left_on": list(left_on) or None, "right_on": list(right_on) or None}

"""The command ``safeframe inspect``.

Covers: what footers say of files and columns, and the skew of a key, for which that
one column is read.
"""

from __future__ import annotations

from typing import Any

import click
import numpy as np
from rich.table import Table
from rich.text import Text

from safeframe import options
from safeframe.cli.frames import read_frame
from safeframe.cli.output import Output, json_option, output
from safeframe.facts.estimate import about
from safeframe.facts.keys import KeyStatistics
from safeframe.recipes.statistics import key_statistics
from safeframe.sizing.parquet.footers import (
    ParquetColumn,
    ParquetFile,
    joined_columns,
    no_parquet_file,
    read_footers,
)
from safeframe.units import format_count, format_nbytes

_FILES_SHOWN = 20
_HEAVIEST = 10
_VALUE_LENGTH = 40


class _Unknown:
    """A key of which the count is known, and the value is not."""

    def __str__(self) -> str:
        return "?"


_UNKNOWN = _Unknown()


@click.command()
@click.argument("path", type=click.Path())
@click.option(
    "--key", multiple=True, help="Column whose skew to count; repeat it for a key of several columns."
)
@click.option(
    "--files",
    "files_shown",
    type=click.IntRange(min=0),
    default=_FILES_SHOWN,
    show_default=True,
    help="Files to list at most; --json lists all.",
)
@json_option
def inspect(path: str, key: tuple[str, ...], files_shown: int, as_json: bool) -> None:
    """Print files, row groups and columns of the parquet dataset at PATH, from its footers.

    With --key it also reads that column, and counts the rows of each key.
    """
    with output("inspect", as_json=as_json, frames={"ddf": path}) as printed:
        try:
            files = read_footers(path)
        except FileNotFoundError as error:
            raise no_parquet_file(path) from error
        columns = joined_columns(files)
        printed.document |= _as_document(path, files, columns)
        _show_files(printed, files, files_shown)
        _show_columns(printed, columns)
        _show_totals(printed, files)
        if key:
            keys = key_statistics(read_frame(path), list(key))
            heaviest = _heaviest(keys)
            printed.document["key"] = _key_document(keys, heaviest)
            _show_key(printed, keys, heaviest)


def _show_files(printed: Output, files: tuple[ParquetFile, ...], shown: int) -> None:
    table = _table("file", "rows", "row groups", "largest group", "on disk", "in memory")
    for file in files[:shown]:
        table.add_row(
            Text(file.path.rsplit("/", 1)[-1]),
            format_count(file.rows),
            format_count(file.row_groups),
            format_count(file.largest_row_group_rows),
            format_nbytes(file.file_nbytes),
            f"{'' if file.exact else '> '}{format_nbytes(file.nbytes_at_least)}",
        )
    if shown:
        printed.show(table)
    if len(files) > shown:
        printed.say(f"... and {format_count(len(files) - shown)} more{' files' if not shown else ''}")


def _show_columns(printed: Output, columns: tuple[ParquetColumn, ...]) -> None:
    table = _table("column", "type", "bytes", "nulls", "smallest", "largest", "on disk")
    for column in columns:
        table.add_row(
            Text(column.name),
            Text(" or ".join(map(str, column.types))),
            "varies" if column.row_nbytes is None else f"{column.row_nbytes:g}",
            "?" if column.nulls is None else format_count(column.nulls),
            _value(column.minimum),
            _value(column.maximum),
            format_nbytes(column.file_nbytes),
        )
    printed.show(table)


def _show_totals(printed: Output, files: tuple[ParquetFile, ...]) -> None:
    largest = max(files, key=lambda file: (file.nbytes_at_least, file.rows))
    printed.say(
        f"files      {format_count(len(files))}\n"
        f"rows       {format_count(sum(file.rows for file in files))}\n"
        f"row groups {format_count(sum(file.row_groups for file in files))}\n"
        f"on disk    {format_nbytes(sum(file.file_nbytes for file in files))}\n"
        f"in memory  {_in_memory(files)}, the largest file {_in_memory((largest,))}"
    )
    if not all(file.exact for file in files):
        printed.say(
            "Footers do not have the size of strings and lists in memory: these columns are not counted."
        )


def _show_key(printed: Output, keys: KeyStatistics, heaviest: list[tuple[Any, int]]) -> None:
    printed.say(
        f"\nkey        {', '.join(map(str, keys.on))}\n"
        f"distinct   {about(keys.distinct)}{format_count(keys.distinct.expected)}\n"
        f"null rows  {format_count(keys.null_rows)}\n"
        f"mean       {_mean_rows(keys):,.4g} rows a key"
    )
    if heaviest:
        printed.say(f"skew       {heaviest[0][1] / _mean_rows(keys):,.4g}: rows of the heaviest key / mean")
    table = _table("heaviest keys", "rows", "of all")
    for value, rows in heaviest:
        table.add_row(_value(value), format_count(rows), f"{rows / keys.rows:.2%}")
    printed.show(table)
    if any(value is _UNKNOWN for value, _ in heaviest):
        printed.say(
            "?: the value is not known. Keys are counted by a hash, and of each partition only the "
            f"{options.NAMED_HEAVY_KEYS} heaviest keys and a sample are kept with their values."
        )


def _heaviest(keys: KeyStatistics) -> list[tuple[Any, int]]:
    """Return the keys with most rows, the heaviest first, and how many rows each has."""
    order = np.argsort(-keys.heavy_counts, kind="stable")[:_HEAVIEST]
    return [
        (keys.labels.get(int(keys.heavy_codes[at]), _UNKNOWN), int(keys.heavy_counts[at])) for at in order
    ]


def _mean_rows(keys: KeyStatistics) -> float:
    return (keys.rows - keys.null_rows) / max(1, keys.distinct.expected)


def _as_document(
    path: str, files: tuple[ParquetFile, ...], columns: tuple[ParquetColumn, ...]
) -> dict[str, Any]:
    exact = all(file.exact for file in files)
    return {
        "path": path,
        "rows": sum(file.rows for file in files),
        "row_groups": sum(file.row_groups for file in files),
        "file_nbytes": sum(file.file_nbytes for file in files),
        "nbytes_at_least": sum(file.nbytes_at_least for file in files),
        "nbytes_exact": exact,
        "files": [
            {
                "path": file.path,
                "rows": file.rows,
                "row_groups": file.row_groups,
                "largest_row_group_rows": file.largest_row_group_rows,
                "file_nbytes": file.file_nbytes,
                "nbytes_at_least": file.nbytes_at_least,
            }
            for file in files
        ],
        "columns": [
            {
                "name": column.name,
                "type": " or ".join(map(str, column.types)),
                "row_nbytes": column.row_nbytes,
                "nulls": column.nulls,
                "minimum": column.minimum,
                "maximum": column.maximum,
                "file_nbytes": column.file_nbytes,
                "encoded_nbytes": column.encoded_nbytes,
            }
            for column in columns
        ],
    }


def _key_document(keys: KeyStatistics, heaviest: list[tuple[Any, int]]) -> dict[str, Any]:
    distinct = keys.distinct
    return {
        "on": list(keys.on),
        "rows": keys.rows,
        "null_rows": keys.null_rows,
        "distinct": {"lower": distinct.lower, "expected": distinct.expected, "upper": distinct.upper},
        "exact": keys.exact,
        "mean_rows": _mean_rows(keys),
        "heaviest": [{"key": None if value is _UNKNOWN else value, "rows": rows} for value, rows in heaviest],
    }


def _table(first: str, *others: str) -> Table:
    """Make a table whose names are whole: where one is longer than its column, it goes on below."""
    table = Table()
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, overflow="fold", justify="left" if name == "type" else "right")
    return table


def _value(value: Any) -> Text:
    """Return a value as text; a long one ends in an ellipsis, as columns' names never do."""
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return Text(text if len(text) <= _VALUE_LENGTH else text[: _VALUE_LENGTH - 1] + "…")


def _in_memory(files: tuple[ParquetFile, ...]) -> str:
    text = format_nbytes(sum(file.nbytes_at_least for file in files))
    return text if all(file.exact for file in files) else f"more than {text}"

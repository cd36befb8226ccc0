"""The ``safeframe`` command.

Covers: arguments, and errors as text without a traceback.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import dask.dataframe as dd
from rich.console import Console
from rich.table import Table
from rich.text import Text

import safeframe
from safeframe.demo.show import Demo
from safeframe.deploy.doctor_command import doctor
from safeframe.errors import SafeframeError, ValidationError
from safeframe.facts.merge import MergeRun
from safeframe.sizing.parquet.footers import ParquetFile, read_footers
from safeframe.units import format_count, format_nbytes, format_seconds, parse_nbytes

_HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti", "cross")
_FILES_SHOWN = 20


class _Group(click.Group):
    """Shows the library's errors as a message, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """See :meth:`click.Group.invoke`."""
        try:
            return super().invoke(ctx)
        except SafeframeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(safeframe.__version__, prog_name="safeframe")
def main() -> None:
    """Memory-safe dask dataframe recipes: the numbers before the run."""


main.add_command(doctor)


@main.command()
@click.option(
    "--scale",
    type=click.FloatRange(min=1e-5, max=1.0),
    default=0.0125,
    show_default=True,
    help="Size of both tables, as a share of the original question; the result grows with its square.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("safeframe-demo"),
    show_default=True,
    help="Directory for the tables and the result.",
)
@click.option("--keep", is_flag=True, help="Keep the tables too; the result is always kept.")
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Worker processes.")
@click.option("--memory", default="1GiB", show_default=True, help="Memory limit of each worker.")
def demo(scale: float, directory: Path, keep: bool, workers: int, memory: str) -> None:
    """Merge two tables whose join is much larger than its inputs.

    Generate a scaled-down version of a frequent question, start a
    small local cluster, predict the merge's memory, run it, and compare.
    """
    Demo(
        scale=scale,
        directory=directory.absolute(),
        keep=keep,
        workers=workers,
        memory_nbytes=parse_nbytes(memory, argument="--memory"),
        console=_console(),
    ).run()


@main.command()
@click.argument("left")
@click.argument("right")
@click.option("--on", multiple=True, help="Key column of both sides; repeat the option for several columns.")
@click.option("--left-on", multiple=True, help="Key column of the left side.")
@click.option("--right-on", multiple=True, help="Key column of the right side.")
@click.option("--how", type=click.Choice(_HOWS), default="inner", show_default=True, help="Which rows stay.")
@click.option("--memory", default=None, help="Memory that one worker may use; also prints the plan.")
def estimate(
    left: str,
    right: str,
    on: tuple[str, ...],
    left_on: tuple[str, ...],
    right_on: tuple[str, ...],
    how: Any,
    memory: str | None,
) -> None:
    """Predict the size of the join of two parquet datasets.

    Only the key columns of LEFT and RIGHT are read.
    """
    console = _console()
    begin = time.perf_counter()
    plan = safeframe.plan_merge(
        _read(left),
        _read(right),
        how=how,
        on=list(on) or None,
        left_on=list(left_on) or None,
        right_on=list(right_on) or None,
        memory=memory,
    )
    assert isinstance(plan.run, MergeRun), "it is the plan of a merge"
    _say(console, str(plan.run.estimate) if memory is None else plan.details())
    _say(console, f"(counted in {format_seconds(time.perf_counter() - begin)})")


@main.command()
@click.argument("path")
def inspect(path: str) -> None:
    """Print rows, row groups and sizes of the parquet files at PATH, from their footers."""
    console = _console()
    try:
        files = read_footers(path)
    except FileNotFoundError as error:
        raise _missing(path) from error
    table = Table()
    table.add_column("file")
    for name in ("rows", "row groups", "largest group", "on disk", "in memory"):
        table.add_column(name, justify="right")
    for file in files[:_FILES_SHOWN]:
        table.add_row(
            file.path.rsplit("/", 1)[-1],
            format_count(file.rows),
            format_count(file.row_groups),
            format_count(file.largest_row_group_rows),
            format_nbytes(file.file_nbytes),
            _in_memory((file,)),
        )
    console.print(table)
    if len(files) > _FILES_SHOWN:
        _say(console, f"... and {format_count(len(files) - _FILES_SHOWN)} more")
    largest = max(files, key=lambda file: (file.nbytes_at_least, file.rows))
    _say(console, f"files      {format_count(len(files))}")
    _say(console, f"rows       {format_count(sum(file.rows for file in files))}")
    _say(console, f"row groups {format_count(sum(file.row_groups for file in files))}")
    _say(console, f"on disk    {format_nbytes(sum(file.file_nbytes for file in files))}")
    _say(console, f"in memory  {_in_memory(files)}, the largest file {_in_memory((largest,))}")
    if not all(file.exact for file in files):
        _say(
            console,
            "Footers do not have the size of strings and lists in memory: these columns are not counted.",
        )


def _in_memory(files: tuple[ParquetFile, ...]) -> str:
    text = format_nbytes(sum(file.nbytes_at_least for file in files))
    return text if all(file.exact for file in files) else f"more than {text}"


def _read(path: str) -> dd.DataFrame:
    try:
        frame: dd.DataFrame = dd.read_parquet(path)
    except FileNotFoundError as error:
        raise _missing(path) from error
    return frame


def _missing(path: str) -> ValidationError:
    msg = f"There is no parquet dataset at {path!r}."
    return ValidationError(msg, hint="Name a parquet file, or a directory of them.")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _console() -> Console:
    return Console(highlight=False)

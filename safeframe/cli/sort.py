"""The command ``safeframe sort``."""

from __future__ import annotations

from typing import Any

import click

from safeframe.cli.frames import read_frame
from safeframe.cli.output import json_option, output
from safeframe.cli.run import Run, run_options
from safeframe.recipes.sort_values import plan_sort_values, sort_values


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--by", multiple=True, required=True, help="Column to sort by; repeat it, the most significant first."
)
@click.option("--descending", is_flag=True, help="Largest first.")
@click.option("--nulls-first", is_flag=True, help="Rows without a value first; they are last otherwise.")
@run_options
@json_option
def sort(
    source: str,
    out: str,
    by: tuple[str, ...],
    descending: bool,
    nulls_first: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Sort the parquet dataset IN into files at OUT.

    Prints the plan first, and writes nothing when it does not fit. Rows of
    equal keys stay in the order of the input. The files follow each other in
    the order of their numbers. An index that has a name is a column; one that
    has none is left out.
    """
    run = Run(**options)
    with output("sort", as_json=as_json) as printed:
        frame = read_frame(source)
        request: dict[str, Any] = {
            "by": list(by),
            "ascending": not descending,
            "na_position": "first" if nulls_first else "last",
            "ignore_index": True,
            **run.planned,
        }
        run.write(
            printed,
            out,
            lambda: plan_sort_values(frame, **request),
            lambda: sort_values(frame, **request),
            sources=(source,),
            suffixes=("",),
        )

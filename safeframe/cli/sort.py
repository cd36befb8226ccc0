"""The command ``safeframe sort``."""

from __future__ import annotations

from typing import Any

import click

from safeframe.cli.frames import read_frame
from safeframe.cli.output import json_option, output
from safeframe.cli.run import Run, run_options
from safeframe.facts.strategies import SORT_STRATEGIES
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.sort.arguments import check_sort
from safeframe.recipes.sort_values import plan_sort_values, sort_values


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--by", multiple=True, required=True, help="Column to sort by; repeat it, the most significant first."
)
@click.option("--descending", is_flag=True, help="Largest first.")
@click.option("--nulls-first", is_flag=True, help="Rows without a value first; they are last otherwise.")
@run_options(SORT_STRATEGIES)
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
    with output("sort", as_json=as_json, frames={"ddf": source}) as printed:
        frame = read_frame(source)
        order: dict[str, Any] = {
            "by": list(by),
            "ascending": not descending,
            "na_position": "first" if nulls_first else "last",
            "ignore_index": True,
        }
        request = {**order, **run.planned}
        check_sort(
            frame,
            **order,
            given=PartitionOptions(npartitions=None, memory=None, staging=None, **run.planned),
        )
        run.write(
            printed,
            out,
            lambda: plan_sort_values(frame, **request),
            lambda: sort_values(frame, **request),
            inputs=[(source, frame)],
            columns=list(frame.columns),
            suffixes=("",),
        )

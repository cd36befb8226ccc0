"""The command ``safeframe merge``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import click

from safeframe.cli.frames import key_options, named_keys, read_frame
from safeframe.cli.output import json_option, output
from safeframe.cli.run import Run, run_options
from safeframe.facts.merge import How
from safeframe.facts.strategies import MERGE_STRATEGIES
from safeframe.prepare.dask_arguments import MergeMoves
from safeframe.prepare.merge.facts import check_merge
from safeframe.prepare.merge.keys import KeyArguments
from safeframe.recipes.merge import merge as merge_frames
from safeframe.recipes.merge import plan_merge

_VALIDATE = ("one_to_one", "one_to_many", "many_to_one", "many_to_many")


@click.command()
@click.argument("left", type=click.Path())
@click.argument("right", type=click.Path())
@click.argument("out", type=click.Path())
@key_options
@click.option(
    "--how", type=click.Choice(get_args(How)), default="inner", show_default=True, help="Which rows stay."
)
@click.option(
    "--suffixes",
    nargs=2,
    default=("_x", "_y"),
    show_default=True,
    metavar="LEFT RIGHT",
    help="Ends of the names of columns that both sides have.",
)
@click.option("--indicator", is_flag=True, help="Add a column _merge that says which side a row is from.")
@click.option("--validate", type=click.Choice(_VALIDATE), help="Refuse keys that are there more often.")
@click.option("--max-output", help='Refuse a result predicted to be larger in memory than this, as "50GiB".')
@run_options(MERGE_STRATEGIES)
@json_option
def merge(
    left: str,
    right: str,
    out: str,
    on: tuple[str, ...],
    left_on: tuple[str, ...],
    right_on: tuple[str, ...],
    how: Any,
    suffixes: tuple[str, str],
    indicator: bool,
    validate: str | None,
    max_output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Join two parquet datasets, LEFT and RIGHT, into files at OUT.

    Prints the plan first, and writes nothing when it does not fit. Columns,
    rows and types are those of pandas.merge. An index that has a name is a
    column; one that has none is left out.
    """
    run = Run(**options)
    with output("merge", as_json=as_json, frames={"left": left, "right": right}) as printed:
        frames = read_frame(left), read_frame(right)
        keys = KeyArguments(how, **named_keys(on, left_on, right_on), suffixes=suffixes, indicator=indicator)
        limits = {
            "partition_size": run.partition_size,
            "max_output": max_output,
            "validate": validate,
        }
        sides = check_merge(*frames, keys, MergeMoves(strategy=run.strategy), **limits)
        request: dict[str, Any] = {**asdict(keys), **limits, "strategy": run.strategy}
        run.write(
            printed,
            out,
            lambda: plan_merge(*frames, **request),
            lambda: merge_frames(*frames, **request),
            inputs=list(zip((left, right), frames, strict=True)),
            columns=list(sides.output.names),
            suffixes=suffixes,
        )

"""The command ``safeframe estimate``."""

from __future__ import annotations

import time
from typing import Any, get_args

import click

from safeframe.cli.frames import key_options, named_keys, read_frame
from safeframe.cli.output import json_option, output
from safeframe.facts.merge import How, MergeRun
from safeframe.recipes.merge import plan_merge
from safeframe.units import format_seconds, parse_nbytes


@click.command()
@click.argument("left", type=click.Path())
@click.argument("right", type=click.Path())
@key_options
@click.option(
    "--how", type=click.Choice(get_args(How)), default="inner", show_default=True, help="Which rows stay."
)
@click.option("--memory", help="Memory that one worker may use; also prints the plan.")
@json_option
def estimate(
    left: str,
    right: str,
    on: tuple[str, ...],
    left_on: tuple[str, ...],
    right_on: tuple[str, ...],
    how: Any,
    memory: str | None,
    as_json: bool,
) -> None:
    """Predict the size of the join of two parquet datasets.

    Only the key columns of LEFT and RIGHT are read.
    """
    with output("estimate", as_json=as_json) as printed:
        if memory is not None:
            parse_nbytes(memory, argument="--memory")
        begin = time.perf_counter()
        plan = plan_merge(
            read_frame(left), read_frame(right), how=how, **named_keys(on, left_on, right_on), memory=memory
        )
        seconds = time.perf_counter() - begin
        assert isinstance(plan.run, MergeRun), "it is the plan of a merge"
        figures = plan.to_dict()
        printed.document["estimate"] = {
            **figures["merge"],
            "nbytes": figures["output_nbytes"],
            "fanout": plan.run.estimate.fanout,
        }
        if memory is not None:
            printed.document["plan"] = figures
        printed.document["seconds"] = round(seconds, 3)
        printed.say(str(plan.run.estimate) if memory is None else plan.details())
        printed.say(f"(counted in {format_seconds(seconds)})")

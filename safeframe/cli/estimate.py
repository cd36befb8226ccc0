"""The command ``safeframe estimate``."""

from __future__ import annotations

import tempfile
import time
from typing import Any, get_args

import click
import dask

from safeframe.cli.frames import key_options, named_keys, read_frame
from safeframe.cli.output import json_option, output
from safeframe.cli.run import CLUSTER_OPTIONS, MEMORY, THREADS, WORKERS, with_options
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.merge import How, MergeRun
from safeframe.facts.plan.summary import plan_summary
from safeframe.recipes.merge import plan_merge
from safeframe.sizing.directory import free_nbytes
from safeframe.units import format_seconds, parse_nbytes

_MORE = "--details has all steps and reasons"


@click.command()
@click.argument("left", type=click.Path())
@click.argument("right", type=click.Path())
@key_options
@click.option(
    "--how", type=click.Choice(get_args(How)), default="inner", show_default=True, help="Which rows stay."
)
@with_options(*CLUSTER_OPTIONS)
@click.option("--details", is_flag=True, help="Print the plan with all steps and reasons.")
@json_option
def estimate(
    left: str,
    right: str,
    on: tuple[str, ...],
    left_on: tuple[str, ...],
    right_on: tuple[str, ...],
    how: Any,
    workers: int | None,
    threads: int | None,
    memory: str | None,
    details: bool,
    as_json: bool,
) -> None:
    """Predict the size of the join of two parquet datasets.

    Only the key columns of LEFT and RIGHT are read. With --workers, --threads
    or --memory it also prints the plan that "safeframe merge" would have on
    such workers; none are started.
    """
    with output("estimate", as_json=as_json, frames={"left": left, "right": right}) as printed:
        nbytes = parse_nbytes(memory or MEMORY, argument="--memory")
        cluster = ClusterSpec(
            n_workers=workers or WORKERS,
            threads=threads or THREADS,
            memory=nbytes,
            disk=free_nbytes(dask.config.get("temporary-directory", None) or tempfile.gettempdir()),
        )
        planned = details or any(given is not None for given in (workers, threads, memory))
        begin = time.perf_counter()
        plan = plan_merge(
            read_frame(left), read_frame(right), how=how, **named_keys(on, left_on, right_on), cluster=cluster
        )
        seconds = time.perf_counter() - begin
        assert isinstance(plan.run, MergeRun), "it is the plan of a merge"
        figures = plan.to_dict()
        printed.document["estimate"] = {
            **figures["merge"],
            "nbytes": figures["output_nbytes"],
            "fanout": plan.run.estimate.fanout,
        }
        if planned:
            printed.document["plan"] = figures
        printed.document["seconds"] = round(seconds, 3)
        if details:
            printed.say(printed.typed(plan.details()))
        else:
            text = plan_summary(plan, _MORE) if planned else str(plan.run.estimate)
            printed.say(printed.typed(text))
        printed.say(f"(counted in {format_seconds(seconds)})")

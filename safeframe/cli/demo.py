"""The command ``safeframe demo``."""

from __future__ import annotations

from pathlib import Path

import click

from safeframe.cli.output import json_option, output
from safeframe.demo.show import Demo
from safeframe.units import parse_nbytes


@click.command()
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
@json_option
def demo(scale: float, directory: Path, keep: bool, workers: int, memory: str, as_json: bool) -> None:
    """Merge two tables whose join is much larger than its inputs.

    Generate a scaled-down version of a frequent question, start a
    small local cluster, predict the merge's memory, run it, and compare.
    """
    with output("demo", as_json=as_json) as printed:
        outcome = Demo(
            scale=scale,
            directory=directory.absolute(),
            keep=keep,
            workers=workers,
            memory_nbytes=parse_nbytes(memory, argument="--memory"),
            console=printed.console,
        ).run()
        printed.document["plan"] = outcome.plan.to_dict()
        printed.document["result"] = {
            "path": str(outcome.result),
            "rows": outcome.rows_out,
            "peak_worker_nbytes": outcome.measured.peak_worker_nbytes,
            "projected_worker_nbytes": outcome.plan.projected_worker_nbytes,
            "seconds": round(outcome.measured.seconds, 3),
        }

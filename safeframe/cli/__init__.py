"""The ``safeframe`` command.

Covers: the group of its commands. Each has a module of its own; ``output`` has what
they share of text, JSON and exit codes, ``run`` what those share that write files.
"""

from __future__ import annotations

from typing import Any

import click

from safeframe import __version__
from safeframe.cli.completion import completion
from safeframe.cli.demo import demo
from safeframe.cli.doctor import doctor
from safeframe.cli.estimate import estimate
from safeframe.cli.inspect import inspect
from safeframe.cli.merge import merge
from safeframe.cli.output import ExitCode, print_usage_error
from safeframe.cli.sort import sort

_JSON = "safeframe.as_json"


class _Group(click.Group):
    """Prints a wrong argument as JSON too, where the command was to print JSON."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """See :meth:`click.Group.resolve_command`."""
        ctx.meta[_JSON] = "--json" in args
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """See :meth:`click.Group.invoke`."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if ctx.meta.get(_JSON):
                print_usage_error(error)
            raise


_EXIT_CODES = "\n".join(["\b", "Exit codes:", *(f"  {code.value}  {code.meaning}" for code in ExitCode)])


@click.group(cls=_Group, epilog=_EXIT_CODES)
@click.version_option(__version__, prog_name="safeframe")
def main() -> None:
    """Memory-safe dask dataframe recipes: the numbers before the run.

    With --json a command prints one JSON document to standard output, and
    nothing else there. "safeframe completion" completes commands in a shell.
    """


for _command in (merge, sort, estimate, inspect, doctor, demo, completion):
    main.add_command(_command)

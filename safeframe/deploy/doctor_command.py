"""The command ``safeframe doctor``.

Covers: its arguments, its exit code, and its output as text or JSON.
"""

from __future__ import annotations

import json

import click
from distributed import Client

from safeframe.deploy.doctor import Diagnosis, examine

_CONNECT_SECONDS = 10


@click.command()
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of the scheduler whose cluster to examine, such as tcp://host:8786.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(scheduler: str | None, as_json: bool) -> None:
    """Find what makes runs fail: versions, memory limits, settings, free disk, staging.

    Without --scheduler it examines this machine. The exit code is 1 when
    something is wrong, and 0 when there is nothing worse than a warning.
    """
    diagnosis = _examine(scheduler)
    click.echo(json.dumps(diagnosis.to_dict(), indent=2) if as_json else str(diagnosis))
    if not diagnosis.ok:
        raise SystemExit(1)


def _examine(scheduler: str | None) -> Diagnosis:
    if scheduler is None:
        return examine()
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"There is no scheduler at {scheduler!r}: {error}"
        raise click.ClickException(msg) from error
    with client:
        return examine(client)

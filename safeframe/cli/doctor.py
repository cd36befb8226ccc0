"""The command ``safeframe doctor``."""

from __future__ import annotations

import click

from safeframe.cli.output import ExitCode, json_option, output
from safeframe.cli.run import connect
from safeframe.deploy.doctor import DoctorReport
from safeframe.deploy.doctor import doctor as examine


@click.command()
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of the scheduler whose cluster to examine, such as tcp://host:8786.",
)
@json_option
def doctor(scheduler: str | None, as_json: bool) -> None:
    """Find what makes runs fail: versions, memory limits, settings, free disk, staging.

    Without --scheduler it examines this machine. The exit code is 1 when
    something is wrong, and 0 when there is nothing worse than a warning.
    """
    with output("doctor", as_json=as_json) as printed:
        report = _examine(scheduler)
        printed.document.update(report.to_dict())
        printed.say(str(report))
    if not report.ok:
        raise SystemExit(ExitCode.FAILED)


def _examine(scheduler: str | None) -> DoctorReport:
    if scheduler is None:
        return examine()
    with connect(scheduler, as_default=False) as client:
        return examine(client)

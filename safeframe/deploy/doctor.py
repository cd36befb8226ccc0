"""Examines a cluster, or this machine, for what makes runs fail.

Covers: :func:`safeframe.doctor` and what it gives back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from safeframe.deploy.checks import (
    Finding,
    check_disks,
    check_groups,
    check_limits,
    check_machine,
    check_settings,
    check_state,
    check_threads,
    check_workers,
)
from safeframe.deploy.deviations import client_deviations, find_deviations, observe_scheduler
from safeframe.deploy.staging_check import check_own_staging, check_staging
from safeframe.deploy.version_check import check_distributions, check_own_versions, check_versions
from safeframe.deploy.worker_state import WorkerState, gather_states, require_synchronous
from safeframe.distribution import foreign_distribution
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.directory import inspect_directory

_MARKS = {"ok": "ok", "note": "note", "warning": "warning", "problem": "PROBLEM"}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DoctorReport:
    """Result of :func:`safeframe.doctor`; prints as text."""

    subject: str
    """What was examined."""
    findings: tuple[Finding, ...]
    """One for each check, in the order in which they were made."""

    @property
    def ok(self) -> bool:
        """Whether nothing is a problem; warnings may be there."""
        return not self.problems

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What has to be set right."""
        return tuple(one for one in self.findings if one.status == "problem")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What would better be otherwise."""
        return tuple(one for one in self.findings if one.status == "warning")

    def __repr__(self) -> str:
        return (
            f"<DoctorReport of {self.subject}: {len(self.findings)} findings, problems: {len(self.problems)}, "
            f"warnings: {len(self.warnings)}>"
        )

    def __str__(self) -> str:
        lines = [f"{self.subject}: problems: {len(self.problems)}, warnings: {len(self.warnings)}"]
        for one in self.findings:
            limit = f" ({one.limit})" if one.limit else ""
            lines.append(f"  {_MARKS[one.status]:<8} {one.name}: {one.found}{limit}")
            if one.status != "ok" and one.hint:
                lines.append(f"{'':<11}{one.hint}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{_MARKS[one.status]}</td><th scope='row' style='text-align:left'>{escape(one.name)}</th>"
            f"<td style='text-align:left'>{escape(one.found)}{escape(f' ({one.limit})' if one.limit else '')}"
            f"{'<br>' + escape(one.hint) if one.status != 'ok' and one.hint else ''}</td></tr>"
            for one in self.findings
        )
        title = f"{self.subject}: problems: {len(self.problems)}, warnings: {len(self.warnings)}"
        return f"<table><caption>{escape(title)}</caption>{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {"subject": self.subject, "ok": self.ok, "findings": [asdict(one) for one in self.findings]}


def doctor(client: Any | None = None) -> DoctorReport:
    """Find what makes runs on small workers fail or take long.

    Parameters
    ----------
    client
        A :class:`distributed.Client` of the cluster, not an asynchronous one;
        None for this machine and this process.

    Returns
    -------
    DoctorReport
        One finding for each check, ``"ok"``, ``"note"``, ``"warning"`` or
        ``"problem"``, with what to do: versions, foreign distributions of the
        name ``safeframe``, memory limits against the kernel's, free disk, P2P buffers and
        the other settings, paused workers, the staging directory.

    Raises
    ------
    UnsupportedError
        For an asynchronous client.
    ValidationError
        When ``client`` is not a client.

    Notes
    -----
    **Eager.** One round trip to each worker. A small file is written to the staging directory by one worker, read by the
    others, and removed. Nothing else is changed.

    Examples
    --------
    >>> import safeframe
    >>> report = safeframe.doctor()
    >>> report.ok, report.findings[0].name
    (True, 'versions')
    """
    if client is None:
        return DoctorReport(subject="this machine", findings=tuple(_of_this_machine()))
    require_synchronous(client)
    return DoctorReport(subject=str(client.scheduler.address), findings=tuple(_of_cluster(client)))


def _of_this_machine() -> Iterable[Finding]:
    yield from check_own_versions()
    yield from check_distributions({"this process": foreign_distribution()})
    yield from check_machine()
    directory = staging_facts(None).directory
    if directory is not None and "://" not in directory:
        yield from check_disks([(inspect_directory(directory), 0)])
    yield from check_own_staging()
    yield from check_settings(tuple(client_deviations()), ())


def _of_cluster(client: Any) -> Iterable[Finding]:
    states = gather_states(client)
    seen = [state for state in states.values() if isinstance(state, WorkerState)]
    yield from check_workers(states)
    yield from check_versions(client, seen)
    here = {"this process": foreign_distribution()}
    yield from check_distributions(here | {state.address: state.foreign for state in seen})
    if not seen:
        return
    yield from check_state(seen)
    yield from check_limits(seen)
    yield from check_groups(seen)
    yield from check_threads(seen)
    yield from check_disks([(state.directory, state.limit_nbytes or 0) for state in seen])
    yield from check_staging(client, seen)
    yield from check_settings(find_deviations(states, client.run_on_scheduler(observe_scheduler)), seen)

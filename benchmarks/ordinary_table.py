"""Results of recipes on ordinary data, and their table.

Covers: what was seen of a row, and whether it kept what its plan promised.
Does not cover: running anything (:mod:`benchmarks.ordinary`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from safeframe.units import format_nbytes

__all__ = ["Result", "table_text"]

_HEAD = (
    "row", "verdict", "seconds", "planning", "processor seconds", "measured", "projected", "allowed",
    "projected / measured", "staged", "pauses", "restarts", "strategy", "seen",
)  # fmt: skip
# A projection above this multiple of what was measured is loose.
_LOOSE = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What was seen of one row in one place."""

    row: str
    place: str
    scale: float
    commit: str
    at: str
    load: float
    fault: str = ""
    """What is wrong with its result."""
    error: str = ""
    """What ended it."""
    seconds: float | None = None
    failed_after_seconds: float | None = None
    planning_seconds: float | None = None
    processor_seconds: float | None = None
    """Of all processes, planning and run."""
    planning_peak_nbytes: int = 0
    peak_nbytes: int = 0
    projected_nbytes: int = 0
    ran_projected_nbytes: int | None = None
    allowed_nbytes: int = 0
    staged_nbytes: int = 0
    pauses: int = 0
    restarts: int = 0
    kills: int = 0
    reruns: int = 0
    strategy: str = ""
    plan: str = ""

    @property
    def failings(self) -> tuple[str, ...]:
        """What it did not keep, in words."""
        disturbances = {
            f"{self.pauses} pauses": self.pauses > 0,
            f"{self.restarts} restarts": self.restarts > 0,
            f"{self.kills} kills": self.kills > 0,
        }
        if self.error:
            return (self.error, *(text for text, seen in disturbances.items() if seen))
        projected = self.ran_projected_nbytes or self.projected_nbytes
        checks = {
            f"WRONG: {self.fault}": bool(self.fault),
            "above projected": self.peak_nbytes > projected,
            "projected above allowed": projected > self.allowed_nbytes,
            "loose": projected > _LOOSE * self.peak_nbytes,
            **disturbances,
        }
        return tuple(text for text, failed in checks.items() if failed)

    @property
    def kept(self) -> bool:
        """Whether its plan held and its result is right."""
        return not self.failings

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.place} {' | '.join(self.cells())}"

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its row of the table."""
        projected = self.ran_projected_nbytes or self.projected_nbytes
        return (
            self.row,
            "ok" if self.kept else f"**{'; '.join(self.failings)}**".replace("\n", " ").replace("|", "/"),
            _number(self.seconds),
            _number(self.planning_seconds),
            _number(self.processor_seconds),
            _nbytes(self.peak_nbytes),
            _nbytes(projected),
            _nbytes(self.allowed_nbytes),
            f"{projected / self.peak_nbytes:.2f}" if self.peak_nbytes and projected else "–",
            _nbytes(self.staged_nbytes),
            str(self.pauses),
            str(self.restarts),
            self.strategy or "–",
            f"{self.commit} {self.at} ({self.scale:g}, load {self.load})",
        )


def table_text(results: list[Result]) -> str:
    """Lay out all results, a section for each place."""
    kept = sum(result.kept for result in results)
    last = "The last column: commit, time, share of the files, load of the machine."
    lines = [f"{kept} of {len(results)} rows keep what their plans promised. {last}", ""]
    for place, members in groupby(
        sorted(results, key=lambda result: result.place), lambda result: result.place
    ):
        lines += [f"## {place}", "", f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
        lines += [f"| {' | '.join(result.cells())} |" for result in members]
        lines.append("")
    return "\n".join(lines)


def _number(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f}"


def _nbytes(nbytes: int) -> str:
    return format_nbytes(nbytes) if nbytes else "–"

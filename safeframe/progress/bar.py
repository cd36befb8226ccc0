"""How far one step is, in numbers.

Covers: the tasks that are done, and what they stand for: rows, bytes, the time that remains.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from safeframe.units import nbytes_unit


@dataclass(eq=False, kw_only=True)
class Bar:
    """A step that runs.

    Examples
    --------
    >>> bar = Bar(label="staging", rows=1_000_000, clock=iter([0.0, 30.0]).__next__)
    >>> bar.update(1, 4)
    >>> f"{bar.label} {bar.percent} {bar.detail}"
    'staging 25% 0.2/1.0 M rows, 90 s left'
    >>> bar.finish()
    >>> bar.percent, bar.detail
    ('100%', '1.0/1.0 M rows')
    """

    label: str
    unit: str = "tasks"
    """What one task makes."""
    rows: int | None = None
    """Rows that all tasks stand for; None where that is not known."""
    nbytes: int | None = None
    """And their bytes."""
    late_seconds: float = 0.0
    """It is shown only when it takes so long."""
    once_seen: bool = False
    """It is shown only when some of its tasks are known to be there."""
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    total: int | None = None
    """None until the tasks are known."""
    finished: bool = False

    def __post_init__(self) -> None:
        self._began = self.clock()

    def update(self, done: int, total: int) -> None:
        """Note how many tasks are done, and how many there are."""
        self.done, self.total = min(done, total), total

    def finish(self) -> None:
        """Note that the step is done, whatever was seen of it last."""
        self.done, self.finished = self.total or 0, True

    @property
    def is_late(self) -> bool:
        """Whether it is shown: it has tasks, where that matters, and has taken so long."""
        if self.once_seen and self.total is None:
            return False
        return self.late_seconds <= 0 or self.clock() - self._began >= self.late_seconds

    @property
    def fraction(self) -> float:
        """The share that is done; 1 once finished, of no tasks too."""
        if self.finished:
            return 1.0
        return self.done / self.total if self.total else 0.0

    @property
    def percent(self) -> str:
        """The share in words; rounded down, so that 100 % is the end."""
        return f"{int(100 * self.fraction)}%"

    @property
    def detail(self) -> str:
        """Rows and bytes, or else tasks, and the time that remains if it goes on like this."""
        if not self.total:
            return ""
        parts = []
        if self.rows is not None:
            parts.append(f"{_part(self.fraction, self.rows, _count_unit(self.rows))} rows")
        if self.nbytes is not None:
            parts.append(_part(self.fraction, self.nbytes, nbytes_unit(self.nbytes)))
        if not parts or self.unit == "files":
            parts.insert(0, f"{self.done:,}/{self.total:,} {self.unit}")
        if 0 < self.done < self.total and not self.finished:
            left = (self.clock() - self._began) / self.done * (self.total - self.done)
            parts.append(f"{_duration(left)} left")
        return ", ".join(parts)


def _part(fraction: float, whole: int, unit: tuple[str, float]) -> str:
    """Say how much of something there is, each task being taken for as much as any other."""
    name, size = unit
    form = ",.1f" if size > 1 else ",.0f"
    return f"{fraction * whole / size:{form}}/{whole / size:{form}}{name and f' {name}'}"


def _count_unit(count: int) -> tuple[str, float]:
    return next(((name, size) for name, size in (("G", 1e9), ("M", 1e6)) if count >= size), ("", 1))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

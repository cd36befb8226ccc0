"""The side of a merge that each worker can hold whole, and what rows of the other one can make with it.

Covers: which sides may be held, and whether one is small enough; the most result rows that probe rows make.
Does not cover: how partitions of the other side are joined (``broadcast``, ``sliced``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.keys import Counts
from safeframe.facts.merge import How, MergeFacts, SideFacts
from safeframe.facts.plan import Step
from safeframe.planning.memory import collected_peak_nbytes
from safeframe.planning.merge.key_loads import key_loads
from safeframe.planning.merge.offer import Widths
from safeframe.units import format_count, format_nbytes


def build_sides(how: How) -> tuple[str, ...]:
    """Name the sides that may be broadcast: never one whose unmatched rows stay."""
    if how in ("inner", "cross"):
        return ("right", "left")
    if how in ("left", "leftsemi", "leftanti"):
        return ("right",)
    return ("left",) if how == "right" else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BroadcastSides:
    """The two sides of a broadcast."""

    build: str
    """The name of the side that is held."""
    build_rows: int
    build_nbytes: int
    probe: SideFacts
    probe_width: float
    """Bytes of a row of the other side."""

    @property
    def rows(self) -> Counts:
        """Rows of the other side's partitions."""
        return self.probe.keys.partitions.rows

    def nbytes(self, rows: int) -> int:
        """Bytes of rows of the other side."""
        return int(rows * self.probe_width)


@dataclass(frozen=True, kw_only=True, slots=True)
class MostOutput:
    """How many result rows so many probe rows can make: as if they had the keys that multiply most."""

    rows: npt.NDArray[np.float64]
    """Probe rows, from none on, keys that multiply most first."""
    made: npt.NDArray[np.float64]
    """Result rows of these."""

    def of(self, rows: int) -> int:
        """Bound the result rows of some probe rows."""
        return math.ceil(float(np.interp(rows, self.rows, self.made)) - 1e-6)

    def most_rows(self, made: float) -> int:
        """Return the most probe rows that make no more result rows than that."""
        if self.made[-1] <= made:
            return 2**62
        last = int(np.searchsorted(self.made, made, side="right")) - 1
        rise = (self.made[last + 1] - self.made[last]) / (self.rows[last + 1] - self.rows[last])
        return int(self.rows[last] + (made - self.made[last]) / rise + 1e-6)


def build_side(build: str, facts: MergeFacts, widths: Widths) -> BroadcastSides | str:
    """Return a side that workers would hold, or why it is too large for that, unless it is requested."""
    held, probe = (facts.right, facts.left) if build == "right" else (facts.left, facts.right)
    build_width, probe_width = (
        (widths.right, widths.left) if build == "right" else (widths.left, widths.right)
    )
    nbytes = int(held.keys.rows * build_width)
    cap = int(max(facts.budget.task_nbytes, 0) * options.BROADCAST_FRACTION)
    if nbytes > cap and facts.strategy is None:
        return (
            f"the {build} side takes {format_nbytes(nbytes)} in memory, and each worker has "
            f"{format_nbytes(cap)} for a copy"
        )
    return BroadcastSides(
        build=build,
        build_rows=held.keys.rows,
        build_nbytes=nbytes,
        probe=probe,
        probe_width=probe_width,
    )


def collect_step(sides: BroadcastSides) -> Step:
    """Describe how the side that is held becomes one frame."""
    rows, nbytes = sides.build_rows, sides.build_nbytes
    return Step(
        kind=f"collect the {sides.build} side",
        tasks=1,
        task_peak_nbytes=collected_peak_nbytes(rows=rows, nbytes=nbytes),
        reason=(
            f"{format_nbytes(nbytes)} × {options.COLLECT_COPIES:g}, its partitions and joined into one, and "
            f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(rows)} rows"
        ),
    )


def most_output(facts: MergeFacts, build: str) -> MostOutput:
    """Bound the result rows of probe rows, however the keys are spread over the partitions."""
    most = 2.0**62
    if facts.how in ("leftsemi", "leftanti"):
        return MostOutput(rows=np.array([0.0, most]), made=np.array([0.0, most]))
    loads = key_loads(facts.left.keys, facts.right.keys, facts.how)
    probe, other = (loads.left, loads.right) if build == "right" else (loads.right, loads.left)
    null_probe, null_other = (
        (loads.null_left, loads.null_right) if build == "right" else (loads.null_right, loads.null_left)
    )
    # A row without a match stays, but in an inner merge, of whose keys none may be missing here.
    alone = 0.0 if facts.how in ("inner", "cross") and loads.exact else 1.0
    factor = np.append(np.maximum(other / loads.weight, alone), max(alone, null_other))
    rows = np.append(probe, null_probe)
    margin = 1.0 if loads.exact else options.SAMPLE_MARGIN
    heaviest = np.argsort(-factor, kind="stable")
    heaviest = heaviest[rows[heaviest] > 0]
    ends, made = np.cumsum(rows[heaviest]), np.cumsum(rows[heaviest] * factor[heaviest])
    return MostOutput(rows=np.append(0.0, ends), made=margin * np.append(0.0, made))

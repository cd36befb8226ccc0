"""What a plan counted of one side's rows, for the run to be held to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe.facts.keys import KeyStatistics

__all__ = ["PlannedKeys"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedKeys:
    """The rows of a frame as they were counted when the plan was made."""

    name: str
    """What the frame is called in a message: "the left side"."""
    rows: int
    """Its rows."""
    checksum: int | None = None
    """One number for its keys and the rows of each (``kernels.key_counts.key_checksum``); None where keys were
    not counted."""
    fewer: bool = False
    """Whether a filter may have left fewer rows since."""

    @classmethod
    def of(cls, name: str, keys: KeyStatistics, *, filtered: bool) -> PlannedKeys:
        """Read them from key statistics.

        Parameters
        ----------
        name
            What the frame is called in a message.
        keys
            What was counted.
        filtered
            Whether some of these rows may be gone since: of the others no checksum is known.
        """
        sums = keys.partitions.checksums
        known = len(sums) > 0 and not filtered
        checksum = int(sums.sum(dtype=np.uint64)) if known else None
        return cls(name=name, rows=keys.rows, checksum=checksum, fewer=filtered)

"""Whether what an engine made of an array, or of a bag, is all of it.

Covers: sums of an array, and weighted sums, which tell elements at other places;
keys of a bag, each once, with all of their items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.situations import CollectionDataset

__all__ = ["CollectionCheck", "check_collection"]

# Sums of many floats differ in their last digits with the order of adding.
_RELATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionCheck:
    """What was found."""

    rows: int
    """Elements that the sums are of, or items of all groups."""
    expected_rows: int
    """Those that there are."""
    wrong: tuple[str, ...]
    """What is not as it should be, in words."""

    @property
    def correct(self) -> bool:
        """Whether it is all there, once."""
        return self.rows == self.expected_rows and not self.wrong


def check_collection(dataset: CollectionDataset, answer: dict[str, Any]) -> CollectionCheck:
    """Compare what an engine found with what was generated; takes it out of the answer."""
    truth = dataset.truth
    if dataset.situation.task == "rechunk":
        sums = answer.pop("sums")
        close = (
            math.isclose(a, b, rel_tol=_RELATIVE_TOLERANCE) for a, b in zip(sums, truth.sums, strict=True)
        )
        names = ("the sum", "the weighted sum")
        wrong = tuple(name for name, right in zip(names, close, strict=True) if not right)
        return CollectionCheck(rows=truth.rows, expected_rows=truth.rows, wrong=wrong)
    groups = sorted(answer.pop("groups"))
    expected = [
        [key, count, total]
        for key, (count, total) in enumerate(zip(truth.counts, truth.sums, strict=True))
        if count
    ]
    wrong = (
        ()
        if groups == expected
        else (f"{sum(a != b for a, b in zip(groups, expected, strict=False))} groups",)
    )
    return CollectionCheck(rows=sum(count for _, count, _ in groups), expected_rows=truth.rows, wrong=wrong)

"""What is known of a side whose rows are looked up by their key."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KeyTable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTable:
    """A table with a place for every code from the smallest key's to the largest key's, each key's once."""

    base: int
    """Code of the smallest key."""
    span: int
    """Places, from the smallest key's to the largest key's."""
    rows: int
    """Rows of the side: each has a place of its own."""
    build_side: str
    """The side: ``"left"`` or ``"right"``."""
    slice_nbytes: int = 2**24
    """Bytes that one task writes: few to hold, and enough to read their rows in few pieces."""

    def nbytes(self, row_nbytes: int) -> int:
        """Bytes of the table, with one more row, for keys that are missing."""
        return (self.span + 1) * row_nbytes

    def slice_places(self, row_nbytes: int) -> int:
        """Places of a slice, of which each is written by one task."""
        return max(1, self.slice_nbytes // row_nbytes)

    def n_slices(self, row_nbytes: int) -> int:
        """Slices of the table."""
        return -(-self.span // self.slice_places(row_nbytes))

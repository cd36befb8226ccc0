"""How rows pass through files: tasks that write them, levels of shards, and what there is of pieces and requests."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeSize:
    """What a staged exchange of one frame has of files, pieces and requests."""

    files: int
    """Files of all levels."""
    shards: int
    """Shards."""
    coarse: int
    """Coarse shards of a first level; 0 where there is one level."""
    pieces: int
    """Pieces of all files."""
    piece_nbytes: int
    """Bytes of a piece on average, on the level where they are smaller."""
    requests: int
    """Reads, at most: neighbouring pieces at once, and the index of each file once in each process."""
    manifest_nbytes: int
    """Bytes of the manifest, which each worker has."""
    index_nbytes: int
    """Bytes of indexes that a process keeps, at most."""

    @property
    def width(self) -> int:
        """Shards of a coarse one; 0 where there is one level."""
        return -(-self.shards // self.coarse) if self.coarse else 0

    @property
    def worker_nbytes(self) -> int:
        """Bytes that a worker has of it while shards are read: the manifest as it came and as it is, and indexes."""
        return 2 * self.manifest_nbytes + self.index_nbytes

    def __str__(self) -> str:
        levels = f"{format_count(self.coarse)} coarse shards, then " if self.coarse else ""
        return (
            f"{format_count(self.files)} files, {levels}{format_count(self.shards)} shards: {format_count(self.pieces)} "
            f"pieces of {format_nbytes(self.piece_nbytes)} on average, {format_count(self.requests)} requests, a manifest of "
            f"{format_nbytes(self.manifest_nbytes)}"
        )

"""The files that the numbers of a plan were read from, and what marks each as the file that it was."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

_MARK = "=3q"


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Local files when a plan was made."""

    paths: tuple[str, ...]
    marks: bytes
    """Size, time of the last write, and inode of each, as 64-bit integers."""

    @property
    def last_writes(self) -> list[int]:
        """When each was written last, in nanoseconds."""
        return [at for _, at, _ in struct.iter_unpack(_MARK, self.marks)]

    def by_path(self) -> dict[str, bytes]:
        """Return what marks each."""
        width = struct.calcsize(_MARK)
        return {path: self.marks[at * width : (at + 1) * width] for at, path in enumerate(self.paths)}

    def __repr__(self) -> str:
        return f"SourceFiles({len(self.paths)} files)"

    def __dask_tokenize__(self) -> tuple[str, str]:
        # One number for all of them: a token is taken several times of an expression, and there may be thousands.
        paths = "\0".join(self.paths).encode(errors="surrogateescape")
        return "SourceFiles", hashlib.sha256(b"\0".join((paths, self.marks))).hexdigest()

"""What a stage task says of the file that it wrote: never more than a few numbers, however many pieces there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.engine.storage.owned_file import OwnedFile
from safeframe.kernels.columns.encoded import Encoding

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ColumnForm:
    """How a column was written in Arrow's types."""

    encoding: Encoding
    categories: pd.CategoricalDtype | None = None
    """What its integers stand for, when the column is categorical."""


Form = np.dtype[np.void] | tuple[ColumnForm, ...]
"""How rows were written: the layout of a row, or the form of each column."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """What was written of a file at once, when the rows that waited were too many, or had become wider."""

    form: Form
    pieces: int
    """How many there are."""


class StagedFile(OwnedFile):
    """What a group of input partitions became: a file, and where in it its index is."""

    def __init__(
        self,
        path: str,
        parts: tuple[FilePart, ...],
        shards: tuple[int, int],
        rows: int,
        nbytes: int,
        index_nbytes: int,
        index_checksum: int,
        rows_in: int,
        rows_dropped: int,
        checksum: int = 0,
    ) -> None:
        super().__init__(path)
        self.parts = parts
        """How its rows were written, those that were written at once alike."""
        self.shards = shards
        """The first shard that there are rows of, and the last."""
        self.rows = rows
        """Rows of all shards."""
        self.nbytes = nbytes
        """Bytes of all pieces, behind which the index begins."""
        self.index_nbytes = index_nbytes
        """Bytes of the index."""
        self.index_checksum = index_checksum
        """Of its bytes, so that no other attempt's file passes for this one."""
        self.rows_in = rows_in
        """Rows of the input partitions."""
        self.rows_dropped = rows_dropped
        """Rows that no result row can come from."""
        self.checksum = checksum
        """Of the keys of the input's rows; see :class:`safeframe.kernels.routing.router.Routes`."""

    def arguments(self) -> tuple[Any, ...]:
        """See :class:`OwnedFile`."""
        return (
            self.path, self.parts, self.shards, self.rows, self.nbytes, self.index_nbytes, self.index_checksum,
            self.rows_in, self.rows_dropped, self.checksum,
        )  # fmt: skip

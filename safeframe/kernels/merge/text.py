"""What strings take that a join repeats, counted before they are copied.

A plan knows the mean width of a row, and a bound of it from a sample; which rows the join repeats, and
how often, is known once their positions are. One long value on a key of many rows would otherwise end
a worker while its copies are made.

Covers: strings and bytes that are in Arrow. A Python object is repeated as a pointer to it, and nested
values are not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.kernels.columns.arrow_buffers import has_bytes
from safeframe.kernels.columns.coded_text import text_lengths
from safeframe.kernels.columns.taking import in_arrow
from safeframe.kernels.columns.values import Block
from safeframe.kernels.order import Positions


class TextTooLargeError(Exception):
    """Result rows whose strings take more than was allowed; nothing was made of them."""

    def __init__(self, rows: int, nbytes: int) -> None:
        super().__init__(rows, nbytes)
        self.rows = rows
        self.nbytes = nbytes


def check_text(
    rows: int,
    sides: Sequence[tuple[Block, Sequence[int], Positions | slice, Positions | None]],
    most_nbytes: int | None,
    coded: Sequence[Collection[int]] | None = None,
) -> None:
    """Raise when strings of result rows take more than a number of bytes.

    Parameters
    ----------
    rows
        Result rows.
    sides
        Of each side its columns, the numbers of those that the result has, the positions of the rows that are
        taken (-1 for none), and how many times each of them stands in the result; None for once.
    most_nbytes
        What they may take; None for any number.
    coded
        Of each side the numbers of columns of text that may be categories, which count as text; None for none.

    Raises
    ------
    TextTooLargeError
        With their bytes.

    Examples
    --------
    >>> import pandas as pd
    >>> column = pd.array(["a" * 1000, "b"], dtype="string[pyarrow]")
    >>> check_text(3, [([column], [0], np.array([0, 1, 0]), None)], 3000)
    >>> check_text(3, [([column], [0], np.array([0, 0, 0]), None)], 2000)
    Traceback (most recent call last):
        ...
    safeframe.kernels.merge.text.TextTooLargeError: (3, 3000)
    """
    if most_nbytes is None or not rows:
        return
    lengths = [
        _lengths(block, columns, positions, numbers)
        for (block, columns, positions, _), numbers in zip(sides, coded or [()] * len(sides), strict=True)
    ]
    longest = sum(int(some.max(initial=0)) for some in lengths if some is not None)
    if longest * rows <= most_nbytes:
        return
    nbytes = 0
    for some, (_, _, positions, repeats) in zip(lengths, sides, strict=True):
        if some is None:
            continue
        taken = some if isinstance(positions, slice) else np.where(positions < 0, 0, some[positions])
        nbytes += int((taken if repeats is None else taken * repeats).sum())
    if nbytes > most_nbytes:
        raise TextTooLargeError(rows, nbytes)


def _lengths(
    block: Block, columns: Sequence[int], positions: Positions | slice, coded: Collection[int]
) -> npt.NDArray[np.int64] | None:
    """Return the bytes of the strings of each row, of those of a slice alone; None where no column has any."""
    rows = positions if isinstance(positions, slice) else slice(None)
    total: npt.NDArray[np.int64] | None = None
    for number in columns:
        column = block[number]
        if number in coded and isinstance(column, pd.Categorical):
            some = text_lengths(column[positions] if isinstance(positions, slice) else column)
            total = some if total is None else total + some
            continue
        if not in_arrow(column.dtype):
            continue
        values = pa.array(block[number][rows])
        if not has_bytes(values.type) or not len(values):
            continue
        lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
        total = lengths if total is None else total + lengths
    return total

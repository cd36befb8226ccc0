"""The keys of partitions, each row under its number in the frame.

Covers: slices of key columns as they are staged, or joined with those of other partitions; leaving out rows that
cannot matter.
Does not cover: which rows stay (``kernels.distinct``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.base import tokenize

from safeframe.engine.exchange.nodes import EachPart
from safeframe.engine.planned.rows import PartRows, check_rows
from safeframe.facts.distinct import Keep, Wanted
from safeframe.facts.keys import Counts, KeySchema
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.distinct import candidates, first_row
from safeframe.sizing.parquet.column_sets import ANY_WAY, Reading
from safeframe.sizing.partitions.slices import SlicedPart


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DistinctSpec:
    """What every task that finds distinct keys has to know."""

    on: tuple[Any, ...]
    """The key columns."""
    schema: KeySchema
    """How keys become codes."""
    keep: Keep
    wanted: Wanted
    ignore_index: bool
    """Whether the result's index counts rows."""
    rows: Counts
    """Rows of each partition when the plan was made."""

    def columns(self, frame: pd.DataFrame) -> list[pd.Series[Any]]:
        """Return the key columns of a partition."""
        return [frame[name] for name in self.on]

    def planned(self, number: int) -> PartRows:
        """Return the rows that a partition was planned with."""
        return "the frame", number, int(self.rows[number])

    def staged(self, meta: pd.DataFrame) -> FrameSpec:
        """Return how keys are staged: with the number of their row."""
        keys = meta[list(self.on)].iloc[:0]
        return FrameSpec(meta=keys.set_axis(pd.Index([], dtype=np.int64), axis=0), with_index=True)


class NumberedKeys(EachPart):
    """Makes of each partition its keys, under the numbers of their rows.

    Parameters
    ----------
    spec
        Which keys.
    reduced
        Whether rows that cannot matter are left out.
    """

    def __init__(self, spec: DistinctSpec, *, reduced: bool) -> None:
        self.spec = spec
        self.reduced = reduced

    def of_part(self, number: int) -> Callable[[SlicedPart], SlicedPart]:
        """See :class:`EachPart`."""
        planned, spec = self.spec.planned(number), self.spec
        return _OfPart(spec.on, spec.schema, spec.keep if self.reduced else None, planned)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return "safeframe-numbered-keys", tokenize(self.spec), self.reduced


@dataclass(frozen=True, slots=True, eq=False)
class _OfPart:
    """What a task has to know of one partition."""

    on: tuple[Any, ...]
    schema: KeySchema
    keep: Keep | None
    """Which row of a key stays; None where all rows go on."""
    planned: PartRows

    def __call__(self, part: SlicedPart) -> SlicedPart:
        return NumberedPart(part, self)


class NumberedPart:
    """A partition's keys, in slices."""

    __slots__ = ("of", "part")

    def __init__(self, part: SlicedPart, of: _OfPart) -> None:
        self.part = part
        self.of = of

    @property
    def number(self) -> int:
        """The partition's number."""
        return self.of.planned[1]

    def slices(self, nbytes: int | None, reading: Reading = ANY_WAY) -> Iterator[pd.DataFrame]:
        """See :class:`safeframe.sizing.partitions.slices.SlicedPart`."""
        of, rows = self.of, 0
        first = first_row(of.planned[1])
        for frame in self.part.slices(nbytes, reading):
            keys = frame[list(of.on)]
            del frame
            keys.index = pd.RangeIndex(first + rows, first + rows + len(keys))
            rows += len(keys)
            if of.keep is not None:
                keys = keys[candidates([keys[name] for name in of.on], of.schema, of.keep)]
            holder = [keys]
            del keys
            yield holder.pop()
        check_rows(rows, of.planned)

"""What is known about the keys of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from safeframe.facts.estimate import Estimate, about
from safeframe.facts.notebook import how_counted, key_facts, keys_html
from safeframe.units import format_count, format_key, format_names

Codes = npt.NDArray[np.uint64]
"""One unsigned 64-bit number per key; see :class:`KeySchema`."""
Counts = npt.NDArray[np.int64]
"""Rows per key."""

KeyKind = Literal[
    "int", "uint", "float", "bool", "datetime", "timedelta", "date", "decimal", "string", "number", "object"
]
"""What the values of a key column are, whatever pandas stores them in."""

_WHOLE_KINDS = frozenset({"int", "uint", "bool", "datetime", "timedelta", "date", "decimal"})
DECIMAL_DIGITS = 18
"""Digits of a decimal of which every one has a code of its own; wider ones are of kind ``object``."""
_ORDERED_KINDS = _WHOLE_KINDS | {"float"}


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyColumn:
    """The common type of one key column of both sides.

    ``number`` is an integer side against a float side: compared as numbers,
    never through a lossy cast.
    """

    kind: KeyKind
    unit: str | None = None
    """The common unit of both sides, for ``datetime`` and ``timedelta``."""
    tz_aware: bool = False
    """Whether ``datetime`` values are instants in UTC."""
    digits: int = 0
    """The most decimal digits of a ``decimal``, of which 64 bits have room for 18."""
    scale: int = 0
    """How many of them are behind the point."""
    nan_is_value: bool = False
    """Whether NaN is a key like any other, as among Arrow's floats, and no null."""

    @property
    def is_whole(self) -> bool:
        """Whether codes of neighbouring values are neighbours, so that a table may have a place for each."""
        return self.kind in _WHOLE_KINDS


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySchema:
    """How the rows of the key columns become one code each.

    A single column of an ordered kind has codes that keep its order and differ
    for different values (``injective``). Any other key is hashed to 64 bits:
    equal keys have equal codes, and different keys nearly always differ, so
    that a join of the rows still has to compare the values.

    With ``bounds``, strings have codes that keep the order of the bounds: the
    high bits of a code say where its key is among them, and the low bits are a
    hash, none for a key that is one of the bounds.

    A null in a single key column has no code and is counted apart (pandas
    joins null to null). In a key of several columns a null is a value.
    """

    columns: tuple[KeyColumn, ...]
    """One entry per key column."""
    bounds: tuple[str, ...] = ()
    """Keys of a single column of strings, ascending; empty where codes do not follow their order."""

    @property
    def injective(self) -> bool:
        """Whether different keys always have different codes, in the order of the keys."""
        return len(self.columns) == 1 and self.columns[0].kind in _ORDERED_KINDS

    @property
    def ordered(self) -> bool:
        """Whether codes keep the order of the keys, at the least of the bounds."""
        return self.injective or bool(self.bounds)

    @property
    def hash_bits(self) -> int:
        """Low bits of a code that are a hash, where there are bounds."""
        return 64 - (2 * len(self.bounds) + 1).bit_length()

    @property
    def nulls_apart(self) -> bool:
        """Whether null keys are counted apart rather than coded."""
        return len(self.columns) == 1


def _not_counted() -> Counts:
    return np.empty(0, np.int64)


def _no_checksums() -> Codes:
    return np.empty(0, np.uint64)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyCounting:
    """What tasks hold while they count the keys of a frame."""

    tasks: int
    """Tasks that read key columns."""
    slice_rows: int
    """Rows of key columns that a task has at a time, at most."""
    slice_nbytes: int
    """Bytes of these key columns, about."""
    summary_nbytes: int
    """Bytes of a summary of the keys of some partitions, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionKeys:
    """Rows and key range of each partition, in partition order."""

    rows: Counts
    null_rows: Counts
    """Rows with a null key per partition."""
    first: Codes
    """Smallest code per partition; meaningless where all rows are null."""
    last: Codes
    """Largest code per partition; meaningless where all rows are null."""
    increasing: npt.NDArray[np.bool_]
    """Whether the codes never fall from a row to the next within the partition."""
    first_rows: Counts = field(default_factory=_not_counted)
    """Rows of the smallest code per partition; empty where they were not counted."""
    last_rows: Counts = field(default_factory=_not_counted)
    """Rows of the largest code per partition; empty where they were not counted."""
    checksums: Codes = field(default_factory=_no_checksums)
    """One number for the codes of each partition and their rows, whatever their order
    (``safeframe.kernels.keys.counts.key_checksum``); empty where they were not counted."""

    @property
    def full(self) -> npt.NDArray[np.bool_]:
        """Which partitions have a key that is not null."""
        return np.asarray(self.rows > self.null_rows)

    @classmethod
    def joined(cls, parts: Sequence[PartitionKeys]) -> PartitionKeys:
        """Concatenate the partitions of neighbours."""
        return cls(
            **{of.name: np.concatenate([getattr(part, of.name) for part in parts]) for of in fields(cls)}
        )

    def as_one(self) -> PartitionKeys:
        """Return the one partition that these are slices of, in order."""
        if len(self.rows) == 1:
            return self
        sums = {name: _sum(getattr(self, name)) for name in _SUMS}
        full = self.full
        if not full.any():
            return replace(self, **sums, **{name: getattr(self, name)[:1] for name in _ENDS})
        first, last = self.first[full], self.last[full]
        least, most = first.min(keepdims=True), last.max(keepdims=True)
        counted = len(self.first_rows) > 0
        return PartitionKeys(
            **sums,
            first=least,
            last=most,
            increasing=(self.increasing.all() & (last[:-1] <= first[1:]).all()).reshape(1),
            first_rows=_sum(self.first_rows[full][first == least]) if counted else self.first_rows,
            last_rows=_sum(self.last_rows[full][last == most]) if counted else self.last_rows,
        )


_SUMS = ("rows", "null_rows", "checksums")
"""What slices of a partition have together."""
_ENDS = ("first", "last", "increasing", "first_rows", "last_rows")


def _sum(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the sum of numbers of slices; none where they were not counted."""
    return numbers.sum(keepdims=True) if len(numbers) else numbers


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyStatistics:
    """Rows per key: exact while the distinct keys fit the capacity, a sample beyond.

    With ``exact``, ``codes`` and ``counts`` hold every key. Otherwise they hold
    the keys whose hash is below a threshold, each with its exact count: a
    sample of ``sample_fraction`` of all distinct keys, the same keys on both
    sides of a join. The heaviest keys are then also known, in
    ``heavy_codes``, with counts that are exact when ``heavy_error`` is zero and
    at most ``heavy_error`` too small otherwise.
    """

    on: tuple[Any, ...]
    """The key columns; None for an index without a name."""
    schema: KeySchema
    """How keys became codes."""
    rows: int
    """Rows of the frame, null keys included."""
    null_rows: int
    """Rows whose (single) key is null."""
    codes: Codes
    """Known keys, ascending."""
    counts: Counts
    """Rows of each known key."""
    exact: bool
    """Whether ``codes`` holds every key of the frame."""
    sample_fraction: float
    """The share of the distinct keys that ``codes`` holds; 1.0 when exact."""
    heavy_codes: Codes
    """The heaviest keys, ascending; a subset of ``codes`` when exact."""
    heavy_counts: Counts
    """Rows of each of the heaviest keys."""
    heavy_error: int
    """By how much a count in ``heavy_counts`` may be too small."""
    distinct: Estimate
    """Number of distinct keys, without nulls."""
    minimum: Any
    """Smallest key, for a single column with an order; otherwise None."""
    maximum: Any
    """Largest key, for a single column with an order; otherwise None."""
    labels: dict[int, Any]
    """Key values by code, of the heaviest keys and of a sample for quantiles."""
    partitions: PartitionKeys
    """Rows and key range of each partition."""
    capacity: int
    """Number of distinct keys that are counted exactly."""
    nbytes_bound: int = field(default=0)
    """Upper bound of one summary while statistics are gathered, in bytes."""
    counting: KeyCounting | None = field(default=None, repr=False)
    """What tasks held while the keys were counted; None where none were."""

    @classmethod
    def uncounted(cls, *, on: tuple[Any, ...], schema: KeySchema, rows: Counts) -> KeyStatistics:
        """Return the statistics of keys that were not read: only the rows per partition are known."""
        n, none = len(rows), np.empty(0, np.uint64)
        total = int(rows.sum())
        return cls(
            on=on, schema=schema, rows=total, null_rows=0, codes=none, counts=_not_counted(), exact=False,
            sample_fraction=0.0, heavy_codes=none, heavy_counts=_not_counted(), heavy_error=total,
            distinct=Estimate(lower=0, expected=total, upper=total, method="footer", exact=False),
            minimum=None, maximum=None, labels={}, capacity=0,
            partitions=PartitionKeys(
                rows=rows, null_rows=np.zeros(n, np.int64), first=np.zeros(n, np.uint64),
                last=np.zeros(n, np.uint64), increasing=np.zeros(n, np.bool_),
            ),
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """Size of the statistics in bytes."""
        return self.codes.nbytes + self.counts.nbytes + self.heavy_codes.nbytes + self.heavy_counts.nbytes

    def heaviest(self, most: int = 5) -> list[tuple[str, int]]:
        """Return the keys with most rows, as text, and their rows; the heaviest first.

        Parameters
        ----------
        most
            Number of keys, at most.
        """
        order = np.argsort(-self.heavy_counts, kind="stable")[:most]
        pairs = zip(self.heavy_codes[order].tolist(), self.heavy_counts[order].tolist(), strict=True)
        return [
            (format_key(self.labels[code]) if code in self.labels else "not known", rows)
            for code, rows in pairs
        ]

    def __str__(self) -> str:
        lines = [f"keys of {format_names(self.on)}"]
        lines += [f"  {label:<10}  {fact}" for label, fact in key_facts(self)]
        for number, (key, rows) in enumerate(self.heaviest(3)):
            lines.append(f"  {'' if number else 'heaviest':<10}  {key}: {format_count(rows)} rows")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<KeyStatistics of {format_names(self.on)}: {format_count(self.rows)} rows, {format_count(self.null_rows)} of "
            f"them null, {about(self.distinct)}{format_count(self.distinct.expected)} distinct keys, counted: "
            f"{how_counted(self)}>"
        )

    def _repr_html_(self) -> str:
        return keys_html(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoundedKeys:
    """How many keys a frame has at most, by what its files say of them, and no value was read for."""

    keys: int
    """So many, those with a null among them, at most."""
    rows: Counts
    """Rows of each partition, before any filter."""
    fewer: bool
    """Whether a filter may leave fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedKeys:
    """The rows of a frame as they were counted when the plan was made."""

    name: str
    """What the frame is called in a message: "the left side"."""
    rows: int
    checksum: int | None = None
    """One number for its keys and the rows of each (``kernels.keys.counts.key_checksum``); None where keys were
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShuffleKeys:
    """Rows per key, for the size of output partitions."""

    codes: Codes
    """All keys, or the heaviest where there are too many to count."""
    counts: Counts
    exact: bool
    """Whether these are all keys."""
    rows: int
    """Rows of the frame, those without a key among them."""
    null_rows: int
    """Rows without a key."""
    heaviest_key: str
    """The heaviest key as text; empty when its value is not known."""
    counting: KeyCounting | None = None
    """What tasks held while the keys were counted; None where that was done before."""
    rows_of_others: float = 1.0
    """Rows that the key of a row has, on average, where it is none of these."""

    @classmethod
    def of(cls, keys: KeyStatistics) -> ShuffleKeys:
        """Return what a shuffle needs of key statistics."""
        codes, counts = (keys.codes, keys.counts) if keys.exact else (keys.heavy_codes, keys.heavy_counts)
        label = ""
        if len(counts):
            top = int(codes[int(np.argmax(counts))])
            label = repr(keys.labels[top]) if top in keys.labels else ""
        return cls(
            codes=codes,
            counts=counts,
            exact=keys.exact,
            rows=keys.rows,
            null_rows=keys.null_rows,
            heaviest_key=label,
            counting=keys.counting,
            rows_of_others=_rows_of_others(keys),
        )


def _rows_of_others(keys: KeyStatistics) -> float:
    """Return the rows that the key of a row has, on average, by the sample of the keys that are not the heaviest."""
    if keys.exact:
        return 1.0
    counts = keys.counts[~np.isin(keys.codes, keys.heavy_codes)].astype(np.float64)
    return float((counts**2).sum() / counts.sum()) if counts.sum() else 1.0

"""Joins and a frame of ordinary data: strings, many columns, keys of many types.

Covers: ids of sixteen characters; the join task of db-benchmark; a table of 200 columns whose files
are one row group each, to be ordered and to be joined with a small table.
Does not cover: TPC-H's tables, which a program of its own makes (:mod:`benchmarks.situations.tpch`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.situations.frames import FrameSituation
from benchmarks.situations.joins import Situation
from benchmarks.situations.keys import HexKey, NumberKey, TextKey
from benchmarks.situations.tables import Column, ShiftedTable, Table, TwinColumn

__all__ = ["ORDINARY_FRAMES", "ORDINARY_JOINS"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _MemberSituation(Situation):
    """A join that is shown in one table with others."""

    @property
    def family(self) -> str:
        """What comes before the first underscore of its name."""
        return self.name.split("_")[0]


_STRINGS = Situation(
    name="strings",
    title="20 M rows left join 2 M ids of sixteen characters, nine tenths match, written as parquet",
    left=Table(
        files=20,
        rows_per_file=1_000_000,
        keys=2_222_222,
        columns=(Column(name="word", kind="word", high=4), Column(name="x", kind="float64")),
    ),
    right=Table(
        files=4,
        rows_per_file=500_000,
        keys=2_000_000,
        columns=(Column(name="label", kind="word", high=4), Column(name="y", kind="int64")),
        unique=True,
    ),
    key=HexKey(name="id"),
    seed=2026,
)

_X_FILES, _X_ROWS = 10, 1_000_000
# Rows of the small, the medium and the big table, and keys of x for each.
_SIZES = {"id1": 10, "id2": 10_000, "id3": 10_000_000}
_TWINS = {"id4": "id1", "id5": "id2", "id6": "id3"}


def _task(number: int, on: str, how: Literal["inner", "left"]) -> Situation:
    """Return a join of db-benchmark's x with the table that has as many rows as the column has values."""
    base = _TWINS.get(on, on)
    size = _SIZES[base]
    name, kind = {"id1": ("small", 0), "id2": ("medium", 1), "id3": ("big", 2)}[base]
    x = Table(
        files=_X_FILES,
        rows_per_file=_X_ROWS,
        keys=size,
        columns=(*_id_columns(on, tuple(_SIZES)), Column(name="v1", kind="float64", high=100)),
    )
    files = max(1, size // _X_ROWS)
    # The other ids of the right side have names of their own, as in db-benchmark's queries.
    others = _id_columns(on, tuple(_SIZES)[: kind + 1])
    right = ShiftedTable(
        files=files,
        rows_per_file=size // files,
        keys=size,
        columns=(*map(_renamed, others), Column(name="v2", kind="float64", high=100)),
        unique=True,
    )
    return _MemberSituation(
        name=f"j1_q{number}",
        title=f"db-benchmark's x of 10 M rows, {how} join of its {name} table on {on}",
        left=x,
        right=right,
        key=(NumberKey if on == base else TextKey)(name=on),
        how=how,
        seed=108,
    )


def _id_columns(on: str, numbers: tuple[str, ...]) -> tuple[Column, ...]:
    """Return id columns as numbers and the same as strings, without the one that is the key."""
    base = _TWINS.get(on, on)
    columns: list[Column] = []
    for name in numbers:
        if name != base:
            columns.append(Column(name=name, kind="int64", high=_SIZES[name]))
        elif name != on:
            columns.append(TwinColumn(name=name, kind="int64"))
    for name, twin in _TWINS.items():
        if name != on and twin in numbers:
            columns.append(TwinColumn(name=name, kind="text", of=None if twin == base else twin))
    return tuple(columns)


def _renamed(column: Column) -> Column:
    if isinstance(column, TwinColumn) and column.of is not None:
        return replace(column, name=f"r_{column.name}", of=f"r_{column.of}")
    return replace(column, name=f"r_{column.name}")


# Some 2.3 kB a row in memory: files of 525 000 rows are row groups of 1 GiB.
_WIDE = Table(
    files=4,
    rows_per_file=525_000,
    keys=10_000,
    columns=(
        *(Column(name=f"f{i:03d}", kind="float64", high=1) for i in range(80)),
        *(Column(name=f"t{i:03d}", kind="text", high=10**9) for i in range(60)),
        *(Column(name=f"n{i:03d}", kind="int64", high=2**31) for i in range(39)),
        *(Column(name=f"w{i:03d}", kind="word", high=4) for i in range(20)),
    ),
)

ORDINARY_JOINS: dict[str, Situation] = {
    situation.name: situation
    for situation in (
        _STRINGS,
        _task(1, "id1", "inner"),
        _task(2, "id2", "inner"),
        _task(3, "id2", "left"),
        _task(4, "id5", "inner"),
        _task(5, "id3", "inner"),
        _task(6, "id6", "inner"),
        _MemberSituation(
            name="wide_merge",
            title="200 columns in row groups of 1 GiB, left join of a small table, written as parquet",
            left=_WIDE,
            right=Table(
                files=1,
                rows_per_file=9_000,
                keys=10_000,
                columns=(Column(name="label", kind="text", high=1_000), Column(name="y", kind="float64")),
                unique=True,
            ),
            key=NumberKey(name="k"),
            seed=200,
        ),
    )
}
"""Joins of ordinary data, by name."""

ORDINARY_FRAMES: dict[str, FrameSituation] = {
    "wide_sort": FrameSituation(
        name="wide_sort",
        title="200 columns in row groups of 1 GiB, ordered by one of them into parquet files",
        family="wide",
        table=_WIDE,
        key="k",
        task="sort",
        seed=200,
    )
}
"""Frames of ordinary data, by name."""

"""What is done with ordinary data: which recipes on which files.

Covers: the data, in fewer files of the same size for a smaller scale; a row for each recipe on each of
them; doing a row's work in the current process or on its cluster.
Does not cover: measuring it (:mod:`benchmarks.ordinary`), or what comes out (:mod:`benchmarks.ordinary_check`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.check_hashes import JoinedSides
from benchmarks.situations import JOINS, ORDINARY_JOINS, TPCH, Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.situations import Situation, Table, TpchDataset, TpchSituation

__all__ = ["ROWS", "Row", "make_data", "start_recipe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One recipe on one situation's data."""

    name: str
    """Its name: data, a dot, what is done."""
    situation: str
    """Whose data; but for merges, of its left side."""
    recipe: str
    """The function."""
    by: tuple[str, ...] = ()
    """Columns of the order or of the groups; a merge has those of its situation."""
    how: str = ""
    """The join; empty for the situation's own."""
    lagged: str = ""
    """The column that is shifted."""
    order_by: tuple[str, ...] = ()
    """Columns that rows of a group are sorted by, no two of them equal."""

    def sides(self, dataset: Dataset | TpchDataset) -> JoinedSides:
        """Return the join of a merge."""
        left_on, right_on = _keys(dataset)
        return JoinedSides(
            left=dataset.left,
            right=dataset.right,
            left_on=left_on,
            right_on=right_on,
            how=self.how or dataset.situation.how,
        )


def _rows_of(
    data: str, situation: str, *, by: Mapping[str, Sequence[str]], lagged: str, order_by: Sequence[str]
) -> tuple[Row, ...]:
    """Return a row for every recipe; ``by`` has the columns of each."""
    merges = [
        Row(name=f"{data}.merge_{how}", situation=situation, recipe="merge", how=how)
        for how in ("left", "outer")
    ]
    others = [
        Row(name=f"{data}.{recipe}", situation=situation, recipe=recipe, by=tuple(by[recipe]))
        for recipe in ("sort_values", "set_index", "shuffle")
    ]
    lag = Row(
        name=f"{data}.lag", situation=situation, recipe="lag", by=tuple(by["lag"]), lagged=lagged,
        order_by=tuple(order_by),
    )  # fmt: skip
    balance = Row(name=f"{data}.rebalance", situation=situation, recipe="rebalance_partitions")
    return (*merges, *others, lag, balance)


_EVERY = ("sort_values", "set_index", "shuffle", "lag")

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        *_rows_of("strings", "strings", by=dict.fromkeys(_EVERY, ("id",)), lagged="x", order_by=["x"]),
        *_rows_of(
            "tpch",
            "tpch_sf3_orders",
            by={
                "sort_values": ["l_shipdate", "l_orderkey"],
                "set_index": ["l_partkey"],
                "shuffle": ["l_partkey"],
                "lag": ["l_suppkey"],
            },
            lagged="l_extendedprice",
            order_by=["l_orderkey", "l_linenumber"],
        ),
        Row(name="tpch.sort_text", situation="tpch_sf3_orders", recipe="sort_values", by=("l_comment",)),
        Row(name="tpch.merge_partsupp", situation="tpch_sf3_partsupp", recipe="merge"),
        *_rows_of(
            "wide",
            "wide_merge",
            by={"sort_values": ["f000"], "set_index": ["k"], "shuffle": ["t000"], "lag": ["k"]},
            lagged="f001",
            order_by=["f000"],
        ),
        *(Row(name=f"j1.q{number}", situation=f"j1_q{number}", recipe="merge") for number in range(1, 7)),
        Row(name="composite.merge", situation="composite", recipe="merge"),
    )
}
"""Every row, by name."""


def make_data(name: str, scale: float, directory: Path) -> Dataset | TpchDataset:
    """Make a situation's data in a share of its files, each as large as at full size."""
    if name in TPCH:
        return _fewer_parts(TPCH[name], scale).materialise(directory)
    return _fewer_files({**JOINS, **ORDINARY_JOINS}[name], scale).materialise(directory)


def start_recipe(row: Row, dataset: Dataset | TpchDataset) -> Any:
    """Call the recipe: it plans, and returns the collection that it will make."""
    import dask.dataframe as dd

    import safeframe

    left_on, right_on = _keys(dataset)
    options = dataset.situation.key.read_options if isinstance(dataset, Dataset) else {}
    frame = dd.read_parquet(dataset.left, **options)
    match row.recipe:
        case "merge":
            other = dd.read_parquet(dataset.right, **options)
            how: Any = row.how or dataset.situation.how
            return safeframe.merge(frame, other, how=how, **_on(left_on, right_on))
        case "sort_values":
            return safeframe.sort_values(frame, list(row.by))
        case "set_index":
            return safeframe.set_index(frame, row.by[0])
        case "shuffle":
            return safeframe.shuffle(frame, list(row.by))
        case "lag":
            return safeframe.groupby_lag_transform(
                frame, list(row.by), row.lagged, 1, order_by=list(row.order_by), names="lagged"
            )
        case "rebalance_partitions":
            return safeframe.rebalance_partitions(frame)
    raise AssertionError(row.recipe)


def _on(left: list[str], right: list[str]) -> dict[str, Any]:
    return {"on": left} if left == right else {"left_on": left, "right_on": right}


def _keys(dataset: Dataset | TpchDataset) -> tuple[list[str], list[str]]:
    if isinstance(dataset, Dataset):
        return list(dataset.situation.key.columns), list(dataset.situation.key.columns)
    return list(dataset.situation.left_on), list(dataset.situation.right_on)


def _fewer_files(situation: Situation, scale: float) -> Situation:
    right = _share_of(situation.right, scale, 1.0)
    # A right side of one file is whole, and then the keys of the left side are.
    share = right.files / situation.right.files
    return replace(
        situation,
        left=_share_of(situation.left, scale, share),
        right=_share_of(situation.right, scale, share),
        scale=scale,
    )


def _share_of(table: Table, scale: float, share: float) -> Table:
    return replace(table, files=max(1, round(table.files * scale)), keys=round(table.keys * share))


def _fewer_parts(situation: TpchSituation, scale: float) -> TpchSituation:
    tables = situation.tables
    parts = tuple((table, max(1, round(files * scale))) for table, files in tables.parts)
    return replace(
        situation,
        tables=replace(tables, factor=tables.factor * scale, parts=parts, name=f"tpch_sf3_files_{scale:g}"),
    )

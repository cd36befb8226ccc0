"""What a join's result is called: its columns and index, and where each comes from.

Two frames of one row each that never match are given to ``pandas.merge``, every
value of them the name of its place. What comes out says which columns there
are, what they are called, and which side, or both, each is taken from: pandas
owns the rules, of suffixes, of keys of one name, and of indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from safeframe.facts.merge import How


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """Where a column of the result comes from."""

    left: int | None
    """Position among the left columns, or None."""
    right: int | None
    """Position among the right columns, or None; both are set for a key that is one column of the result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinOutput:
    """The result's columns and index."""

    columns: tuple[OutputColumn, ...]
    """The columns but the indicator, in order."""
    names: pd.Index[Any]
    """Their names, and then that of the indicator."""
    indicator: pd.CategoricalDtype | None
    """The type of the indicator, which is the last column; None without one."""
    index: OutputColumn | None
    """Where the index comes from; None where it counts rows."""
    index_name: Any
    """The name of the index."""


def join_output(
    left: pd.DataFrame,
    right: pd.DataFrame,
    keys: JoinKeys,
    *,
    how: How,
    suffixes: tuple[str | None, str | None],
    indicator: bool | str,
    rows: tuple[int, int] | None = None,
) -> JoinOutput:
    """Work out the result's columns and index from two empty frames.

    Parameters
    ----------
    left, right
        Frames with the right names; rows are not looked at. Where the index
        is not a column yet, it will be the last one.
    keys
        The keys.
    how, suffixes, indicator
        As for :func:`pandas.merge`; a semi or anti join has the left columns.
    rows
        Rows of both sides, where they are known: next to a side without any, pandas takes another index.

    Raises
    ------
    ValueError, KeyError, TypeError
        As pandas does, for names that clash and arguments that are none.

    Examples
    --------
    >>> from safeframe.kernels.merge.output import JoinKeys, SideKeys
    >>> on = SideKeys(on=("k",), names=("k",), given=("k",))
    >>> frame = pd.DataFrame({"k": [], "a": []})
    >>> output = join_output(
    ...     frame, frame, JoinKeys(left=on, right=on), how="left", suffixes=("", "_r"), indicator=False
    ... )
    >>> list(output.names), output.columns[0]
    (['k', 'a', 'a_r'], OutputColumn(left=0, right=0))
    """
    frames = _place_labels(left, keys.left, "L"), _place_labels(right, keys.right, "R")
    if how in ("leftsemi", "leftanti"):
        on_index = any((keys.left.added is not None, keys.left.given is None, keys.right.given is None))
        return _left_output(frames[0], indicator, on_index=on_index)
    arguments: dict[str, Any] = {"how": "cross"}
    if how != "cross":
        arguments = {"how": "outer", **_side(keys.left, "left"), **_side(keys.right, "right")}
    merged = frames[0].merge(frames[1], suffixes=suffixes, indicator=indicator, **arguments)
    own = merged.columns[:-1] if indicator else merged.columns
    index = None if how == "cross" else _source(merged.index)
    index_name = None if index is None else merged.index.name
    if index is not None:
        # It depends on how=, and on which side has rows, which index stays, and whose name.
        there = [frame.iloc[:n] for frame, n in zip(frames, rows or (1, 1), strict=True)]
        own_index = there[0].merge(there[1], suffixes=suffixes, **{**arguments, "how": how}).index
        index_name = own_index.name
        if rows is not None and 0 in rows and not (keys.left.given is None and keys.right.given is None):
            kept = how if how in ("left", "right") else "outer"
            merged_index = there[0].merge(there[1], suffixes=suffixes, **{**arguments, "how": kept}).index
            index = _source(merged_index) or index
    return JoinOutput(
        columns=tuple(_source(merged.iloc[:, i]) or OutputColumn(None, None) for i in range(len(own))),
        names=merged.columns,
        indicator=merged.dtypes.iloc[-1] if indicator else None,
        index=index,
        index_name=index_name,
    )


def _left_output(left: pd.DataFrame, indicator: bool | str, *, on_index: bool) -> JoinOutput:
    """Return the left columns, and the left index where a join is on an index."""
    shown = left.merge(
        left.iloc[:, :0], how="cross", indicator=indicator
    )  # for the indicator's name and type
    return JoinOutput(
        columns=tuple(OutputColumn(int(place[1:]), None) for place in left.iloc[0]),
        names=shown.columns,
        indicator=shown.dtypes.iloc[-1] if indicator else None,
        index=_source(left.index) if on_index else None,
        index_name=left.index.name if on_index else None,
    )


def _place_labels(meta: pd.DataFrame, side: SideKeys, letter: str) -> pd.DataFrame:
    names = list(meta.columns)
    at = names.index(side.added) if side.added in names else len(names)
    index: pd.Index[Any] = pd.Index([f"{letter}{at}"], dtype=object, name=meta.index.name)
    values = [[f"{letter}{i}" for i in range(len(names))]]
    places = pd.DataFrame(values, columns=meta.columns, index=index, dtype=object)
    return places.drop(columns=names[at : at + 1])


def _side(side: SideKeys, name: str) -> dict[str, Any]:
    return {f"{name}_index": True} if side.given is None else {f"{name}_on": list(side.given)}


def _source(places: pd.Series[Any] | pd.Index[Any]) -> OutputColumn | None:
    found = {place[0]: int(place[1:]) for place in places if isinstance(place, str)}
    return OutputColumn(found.get("L"), found.get("R")) if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SideKeys:
    """One side's keys."""

    on: tuple[Any, ...]
    """The key columns, as the join has them: an index is a column of its own."""
    names: tuple[Any, ...]
    """What the user calls them; None for an index without a name, nothing for a cross join."""
    given: tuple[Any, ...] | None
    """The names as pandas takes them in ``left_on`` or ``right_on``; None for the index."""
    added: str | None = None
    """The last column, which the frame did not have: its index, or a constant for a cross join."""
    freq: Any = None
    """The freq of the index, where that is what was added."""

    @property
    def kept(self) -> tuple[Any, ...]:
        """The columns that no projection may take away: the keys, and what was added."""
        return self.on if self.added is None or self.added in self.on else (*self.on, self.added)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinKeys:
    """Both sides' keys."""

    left: SideKeys
    """Keys of the left side."""
    right: SideKeys
    """Keys of the right side."""


def add_column(frame: pd.DataFrame, name: str, *, index: bool) -> pd.DataFrame:
    """Add the index as a column, or a constant.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index([7, 8], name="k"))
    >>> add_column(frame, "index", index=True)["index"].tolist()
    [7, 8]
    """
    if index:
        column = pd.Series(frame.index.array, index=frame.index, dtype=frame.index.dtype, copy=False)
    else:
        column = pd.Series(0, index=frame.index, dtype="int8")
    added = frame.copy(deep=False)
    added[name] = column
    return added

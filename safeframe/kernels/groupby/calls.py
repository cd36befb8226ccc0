"""What a user does with groups, as pandas does it on rows of whole groups.

Covers: grouping a frame that has all rows of its groups; calls that follow each other, as ``rolling(3).mean()`` are;
names of keys that are no columns of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from safeframe.kernels.keys.nulls import any_null

_LIKE_INPUT = frozenset(
    {
        "transform",
        "cumsum",
        "cumprod",
        "cummin",
        "cummax",
        "cumcount",
        "shift",
        "diff",
        "rank",
        "ffill",
        "bfill",
        "pct_change",
    }
)
"""Methods that give rows without a key a row of nulls."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupCall:
    """A call on the groups of a frame."""

    by: tuple[Any, ...]
    """Columns that have the keys."""
    names: tuple[Any, ...]
    """What the keys are called in the result."""
    listed: bool
    """Whether keys were given as a list: pandas passes tuples of them to functions then."""
    options: Mapping[str, Any]
    """Arguments of ``DataFrame.groupby``."""
    picked: Any
    """The column, or the list of columns, that are looked at; None for all others."""
    calls: tuple[tuple[Any, tuple[Any, ...], Mapping[str, Any]], ...]
    """Names, arguments and keyword arguments of methods, each called on what the one before returns; or functions of that."""
    finish: Callable[[Any], Any] | None = None
    """What is made of the result, if anything."""

    @property
    def said(self) -> str:
        """The methods, as in ``rolling().mean()``."""
        return ".".join(f"{getattr(method, '__name__', method)}()" for method, _, _ in self.calls)

    def calls_for_groups(self, frame: pd.DataFrame) -> bool:
        """Whether there are groups without rows: of categories that do not occur."""
        dtypes = (frame[name].dtype for name in self.by)
        return not self.options["observed"] and any(isinstance(one, pd.CategoricalDtype) for one in dtypes)

    def has_groups(self, frame: pd.DataFrame) -> bool:
        """Whether a frame has a group."""
        if self.calls_for_groups(frame):
            return True
        if not len(frame) or not self.options["dropna"]:
            return len(frame) > 0
        null = any_null([frame[name] for name in self.by])
        return null is None or not null.all()

    @property
    def keeps_rows(self) -> bool:
        """Whether rows that are in no group have a row in the result, too."""
        return len(self.calls) == 1 and self.calls[0][0] in _LIKE_INPUT

    @property
    def needs_groups(self) -> bool:
        """Whether pandas loses rows of which none is in a group, or raises, though the call keeps rows."""
        method, args, kwargs = self.calls[0]
        function = args[0] if args else kwargs.get("func")
        own = not isinstance(function, str) or function not in _LIKE_INPUT
        return self.keeps_rows and method == "transform" and own

    def __call__(self, frame: pd.DataFrame) -> Any:
        """Group a frame and make the calls."""
        rows = frame
        keys: list[Any] = []
        for column, name in zip(self.by, self.names, strict=True):
            if column is name or column == name:
                keys.append(column)
            else:  # no column of the user's: pandas takes a series, and its functions see the other columns
                # Copied, since pandas takes a series that shares values with a column of its name for that column.
                keys.append(frame[column].rename(name).copy())
                rows = rows.drop(columns=column)
        options = dict(self.options)
        if self.calls[0][0] == "describe" and not options["as_index"]:
            options["sort"] = True  # else pandas gives figures to other keys than theirs
        made: Any = rows.groupby(keys if self.listed or len(keys) > 1 else keys[0], **options)
        if self.picked is not None:
            made = made[self.picked]
        for method, args, kwargs in self.calls:
            made = (
                method(made, *args, **kwargs) if callable(method) else getattr(made, method)(*args, **kwargs)
            )
        return made if self.finish is None else self.finish(made)

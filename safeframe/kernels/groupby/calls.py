"""What a user does with groups, as pandas does it on rows of whole groups.

Covers: grouping a frame that has all rows of its groups; calls that follow each other, as ``rolling(3).mean()`` are;
names of keys that are no columns of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


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
    calls: tuple[tuple[str, tuple[Any, ...], Mapping[str, Any]], ...]
    """Names, arguments and keyword arguments of methods, each called on what the one before returns."""
    finish: Callable[[Any], Any] | None = None
    """What is made of the result, if anything."""

    def __call__(self, frame: pd.DataFrame) -> Any:
        """Group a frame and make the calls."""
        keys: Any = list(self.by) if self.listed or len(self.by) > 1 else self.by[0]
        made: Any = frame.groupby(keys, **self.options)
        if self.picked is not None:
            made = made[self.picked]
        for method, args, kwargs in self.calls:
            made = getattr(made, method)(*args, **kwargs)
        made = self._renamed(made)
        return made if self.finish is None else self.finish(made)

    def _renamed(self, made: Any) -> Any:
        new = {
            old: name
            for old, name in zip(self.by, self.names, strict=True)
            if old is not name and old != name
        }
        if not new:
            return made
        if isinstance(made, pd.DataFrame) and any(name in made.columns for name in new):
            made = made.rename(columns=new)
        if any(name in new for name in made.index.names):
            made.index = made.index.set_names([new.get(name, name) for name in made.index.names])
        return made

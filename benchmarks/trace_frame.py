"""Trace the files of safeframe that a frame passes through, from the call of a recipe to what it returns.

``python -m benchmarks.trace_frame`` runs three recipes on small parquet files, by the
strategy ``staged`` and dask's synchronous scheduler, under :func:`sys.setprofile`:
``merge`` and ``to_parquet`` of its result, ``set_index``, and ``groupby_lag_transform``.

A *frame* is a dask collection, an expression, a pandas dataframe, or an Arrow table or
batch. A frame passes through a file when a function of that file has one among its
arguments (``self`` too), or returns one. Facts, plans, options and errors are no
frames, nor is a dataframe of at most two rows: that only tells types, or which column
comes from where. Left out are questions that dask asks an expression while it
simplifies, as the frame goes nowhere then, and ``_dask/``, which is the door to dask
and no layer.

Frames are also counted where they are *held*, by the fields of a dataclass or by the
items of a list, tuple or dictionary: a file that gets a record with a frame in it can
use the frame. That is a number of its own, next to that of files which get one directly.

A *step up* is a pair of files: the frame passes through one, and next through another
one in a higher layer, by the import contract of pyproject. Imports go down, so that no
function calls one of a higher layer; but where a frame goes down, up and down again,
several trips do what one may do.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask._expr import Expr

import safeframe

__all__ = ["RECIPES", "Way", "trace", "traced"]

PACKAGE = Path(safeframe.__file__).parent
_SIMPLIFIES = frozenset({"simplify", "simplify_once", "_simplify_up", "_simplify_down"})
_ROWS_OF_TYPES = 2  # as many has what dask makes to try a function on
_HELD_DEPTH = 2
_VARARGS = 0x04 | 0x08  # inspect.CO_VARARGS, CO_VARKEYWORDS


@dataclass
class Way:
    """The files that a frame passes through.

    Examples
    --------
    >>> way = Way({"recipes": 0, "engine": 1, "kernels": 2})
    >>> for file in ["recipes/sort.py", "engine/sort.py", "kernels/sort.py", "engine/sort.py"]:
    ...     way.passes(file)
    >>> way.files
    ['recipes/sort.py', 'engine/sort.py', 'kernels/sort.py']
    >>> way.steps_up
    [('kernels/sort.py', 'engine/sort.py')]
    """

    depths: dict[str, int]
    """How far down each top-level module is."""
    visits: list[str] = field(default_factory=list)
    """Files, in order, each as often as the frame comes to it."""

    def passes(self, file: str) -> None:
        """Add a file."""
        self.visits.append(file)

    @property
    def files(self) -> list[str]:
        """Each file once, in the order of the first visits."""
        return list(dict.fromkeys(self.visits))

    @property
    def steps_up(self) -> list[tuple[str, str]]:
        """Each step up once, in order."""
        steps = (
            (before, after)
            for before, after in pairwise(self.visits)
            if self._depth(after) < self._depth(before)
        )
        return list(dict.fromkeys(steps))

    def _depth(self, file: str) -> int:
        return self.depths[file.split("/")[0].removesuffix(".py")]


def layer_depths(package: Path = PACKAGE) -> dict[str, int]:
    """Return how far down each top-level module is, by the import contract next to a package."""
    contracts = tomllib.loads((package.parent / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {
        module.strip("() ").removeprefix("safeframe."): depth
        for depth, layer in enumerate(layers)
        for module in layer.replace("|", ":").split(":")
    }


@contextmanager
def traced(*, held: bool = False) -> Iterator[Way]:
    """Record where frames go, in this thread; with ``held`` also those that records and lists hold."""
    depth = _HELD_DEPTH if held else 0
    way, prefix, door = Way(layer_depths()), f"{PACKAGE}/", f"{PACKAGE}/_dask/"
    calls: list[list[Any]] = []  # a file, and whether a frame passes through it, for each call in order
    running: list[list[Any]] = []

    def profile(frame: FrameType, event: str, value: Any) -> None:
        path = frame.f_code.co_filename
        if event not in ("call", "return") or not path.startswith(prefix) or path.startswith(door):
            return
        if event == "call":
            running.append([path.removeprefix(prefix), not _simplifies(frame) and _takes_frame(frame, depth)])
            calls.append(running[-1])
        elif running:
            call = running.pop()
            call[1] = call[1] or (is_frame(value, depth) and not _simplifies(frame))

    sys.setprofile(profile)
    try:
        yield way
    finally:
        sys.setprofile(None)
        for file, has_frame in calls:
            if has_frame:
                way.passes(file)


def is_frame(value: Any, depth: int = 0) -> bool:
    """Whether a value is a frame or a part of one, or holds one, down to a depth.

    Examples
    --------
    >>> rows = pd.DataFrame({"a": range(5)})
    >>> is_frame(rows), is_frame(rows.head(2)), is_frame([rows]), is_frame([rows], depth=1)
    (True, False, False, True)
    """
    if isinstance(value, pd.DataFrame):
        return len(value) > _ROWS_OF_TYPES
    if isinstance(value, (Expr, dd.DataFrame, dd.Series, dd.Index, pa.Table, pa.RecordBatch)):
        return True
    if depth == 0:
        return False
    items: Iterable[Any] = ()
    if type(value) in (list, tuple):
        items = value
    elif type(value) is dict:
        items = value.values()
    elif is_dataclass(value):
        items = (getattr(value, one.name, None) for one in fields(value))
    return any(is_frame(item, depth - 1) for item in items)


def _takes_frame(frame: FrameType, depth: int) -> bool:
    code = frame.f_code
    n_arguments = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & _VARARGS).bit_count()
    values = frame.f_locals
    return any(is_frame(values.get(name), depth) for name in code.co_varnames[:n_arguments])


def _simplifies(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in _SIMPLIFIES:
            return True
        frame = frame.f_back
    return False


def _merge(left: Any, right: Any, staging: str, target: str) -> None:
    merged = safeframe.merge(left, right, on="k", strategy="staged", staging=staging)
    safeframe.to_parquet(merged, target)


def _set_index(left: Any, right: Any, staging: str, target: str) -> None:
    safeframe.set_index(left, "k", strategy="staged", staging=staging).compute()


def _lag(left: Any, right: Any, staging: str, target: str) -> None:
    safeframe.groupby_lag_transform(
        left, "k", "a", [1], order_by="t", strategy="staged", staging=staging
    ).compute()


RECIPES: dict[str, Callable[[Any, Any, str, str], None]] = {
    "merge": _merge,
    "set_index": _set_index,
    "groupby_lag_transform": _lag,
}


def trace(name: str, *, held: bool = False) -> Way:
    """Return the way of a frame through one of the recipes."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as directory, dask.config.set(scheduler="synchronous"):
        for side, rows in [("left", 3000), ("right", 300)]:
            Path(directory, side).mkdir()
            for number in range(3):
                columns = {
                    "k": generator.integers(0, 200, rows),
                    "t": np.arange(rows),
                    side[0]: generator.random(rows),
                }
                frame = pd.DataFrame(columns).rename(columns={"l": "a", "r": "b"})
                frame.to_parquet(f"{directory}/{side}/{number}.parquet")
        left, right = (dd.read_parquet(f"{directory}/{side}") for side in ("left", "right"))
        with traced(held=held) as way:
            RECIPES[name](left, right[["k", "b"]], directory, f"{directory}/out")
    return way


def main(arguments: Sequence[str]) -> None:
    """Print the ways of all recipes, as JSON with ``--json``."""
    ways = {name: (trace(name), trace(name, held=True)) for name in RECIPES}
    if "--json" in arguments:
        plain = {
            name: {
                "files": direct.files,
                "steps_up": direct.steps_up,
                "held_files": held.files,
                "held_steps_up": held.steps_up,
            }
            for name, (direct, held) in ways.items()
        }
        print(json.dumps(plain))
        return
    print(f"{'':24}{'files':>6}{'steps up':>10}{'held: files':>14}{'steps up':>10}")
    for name, both in ways.items():
        print(f"{name:24}", *(f"{len(way.files):5}{len(way.steps_up):10}    " for way in both), sep="")
    for name, (direct, held) in ways.items():
        print(f"\n{name}", *direct.files, sep="\n    ")
        print("  held", *(file for file in held.files if file not in direct.files), sep="\n    ")
        print("  steps up", *(f"{before} -> {after}" for before, after in direct.steps_up), sep="\n    ")


if __name__ == "__main__":
    main(sys.argv[1:])

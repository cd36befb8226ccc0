"""Parquet datasets that tests of faults write, and what is left of them."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import pandas as pd

__all__ = ["PARTS", "frame", "names", "rows"]

PARTS = [f"part.{n}.parquet" for n in range(4)]


def frame(start: int, npartitions: int = 4) -> dd.DataFrame:
    """Return a hundred rows that count from ``start`` on."""
    values = range(start, start + 100)
    return dd.from_pandas(pd.DataFrame({"x": values}, index=values), npartitions=npartitions)


def rows(place: Path) -> list[int]:
    """Return the numbers that a dataset has."""
    return sorted(dd.read_parquet(str(place))["x"].compute())


def names(place: Path) -> list[str]:
    """Return the names of a directory's entries."""
    return sorted(path.name for path in place.iterdir())

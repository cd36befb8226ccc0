"""Holds a recipe's result to what dask's own frame of the same rows answers, call by call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd

from tests.conformance.calls import (
    DASK_FAILS,
    FILTERS,
    NOT_AFTER_P2P,
    NOT_OF_ONE_PARTITION,
    NOT_WITH_A_SCHEDULER_IN_THIS_PROCESS,
    UNORDERED,
    WITHOUT_INDEX,
    calls_of,
)
from tests.conformance.compare import computed, same
from tests.conformance.results import COLUMNS, RESULTS, made, same_rows_in_dask, tables

__all__ = ["Matrix"]


class Matrix:
    """Results that were made once, by recipe, source and scheduler, and dask's frames of the same rows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[tuple[str, str, str], tuple[dd.DataFrame, dd.DataFrame]] = {}

    def frames(self, name: str, source: str, scheduler: str) -> tuple[dd.DataFrame, dd.DataFrame]:
        """Return a recipe's result, and dask's frame of its rows."""
        key = (name, source, scheduler)
        if key not in self._made:
            directory = self._directory / source
            directory.mkdir(exist_ok=True)
            collection = made(name, source, directory)
            self._made[key] = collection, same_rows_in_dask(collection)
        return self._made[key]

    def check_rows(self, name: str, source: str, scheduler: str) -> None:
        """Hold the rows to those of pandas, and every partition to the meta."""
        collection, same_in_dask = self.frames(name, source, scheduler)
        found = same_in_dask.compute().sort_values("i", ignore_index=True)
        # dask has strings as Arrow's, whatever pandas has.
        expected = tables()["whole_by_i"].astype({"s": found["s"].dtype})
        pd.testing.assert_frame_equal(found[COLUMNS], expected)
        for part in dask.compute(*collection.to_delayed()):
            assert list(part.dtypes.items()) == list(collection._meta.dtypes.items())
            assert part.index.name == collection._meta.index.name
            assert part.index.dtype == collection._meta.index.dtype

    def check_calls(self, name: str, source: str, scheduler: str, groups: tuple[str, ...]) -> None:
        """Hold every call to what dask's own frame answers; a failure says which differ, a line a call."""
        collection, same_in_dask = self.frames(name, source, scheduler)
        no_index = WITHOUT_INDEX | (FILTERS if RESULTS[name].counted_index else set())
        left_out = NOT_AFTER_P2P if RESULTS[name].needs_workers else set()
        if collection.npartitions == 1:
            left_out = left_out | NOT_OF_ONE_PARTITION
        if scheduler == "distributed":
            left_out = left_out | NOT_WITH_A_SCHEDULER_IN_THIS_PROCESS
        differences = []
        for group in groups:
            for call, function in calls_of(group, collection, self._directory).items():
                if call in left_out:
                    continue
                index = call not in no_index
                difference = _difference(call, function, collection, same_in_dask, index=index)
                if difference is not None:
                    differences.append(f"{call}: {difference}")
        assert not differences, "\n" + "\n".join(differences)


def _difference(
    call: str, function: Any, collection: dd.DataFrame, same_in_dask: dd.DataFrame, *, index: bool
) -> str | None:
    try:
        expected = computed(function(same_in_dask))
    except Exception as error:  # noqa: BLE001  # whatever dask raises
        return None if call in DASK_FAILS else f"dask itself raises {_brief(error)}, and it is not listed"
    try:
        found = computed(function(collection))
    except Exception as error:  # noqa: BLE001  # is a line of the report
        return f"raises {_brief(error)}"
    try:
        same(found, expected, ordered=call not in UNORDERED, index=index)
    except AssertionError as error:
        return f"differs: {' '.join(str(error).split())[:300]}"
    return None


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

"""Calls that dask users make on a frame give the same on what a recipe returns, without a cluster.

Each recipe is looked at from one source; all sources and schedulers, in ``test_everything``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dask
import pytest

from tests.conformance.calls import DASK_FAILS, GROUPS, calls_of
from tests.conformance.compare import computed
from tests.conformance.page import PAGE, text
from tests.conformance.results import LOCAL, RESULTS

_SMALL_GROUPS = ("indexing", "partitions", "known-divisions", "mechanics")
_LARGE_GROUPS = ("rows", "reducing", "grouping", "joining", "files")


# One way of most recipes, of which CI makes all calls: hundreds of them. Of the others it compares rows; the rest is nightly.
_ALL_CALLS = {
    "merge-staged", "set_index-staged", "sort_values-staged", "lag-halo", "groupby-staged", "drop_duplicates-staged",
}  # fmt: skip


def _in_turn(all_of: Collection[str]) -> list[Any]:
    """Each result with one of its sources, all sources among them; those that are not in ``all_of`` are nightly."""
    return [
        pytest.param(
            name,
            RESULTS[name].sources[number % len(RESULTS[name].sources)],
            marks=[] if name in all_of else [pytest.mark.nightly],
        )
        for number, name in enumerate(LOCAL)
    ]


def test_the_page_of_calls_is_that_of_the_matrix():
    assert PAGE.read_text() == text(), "python -m tests.conformance.page writes it"


@pytest.mark.parametrize(("name", "source"), _in_turn(LOCAL))
@pytest.mark.parametrize("scheduler", ["sync"], indirect=True)
def test_rows_are_those_of_pandas(matrix, name, source, scheduler):
    matrix.check_rows(name, source, scheduler)


@pytest.mark.parametrize(("name", "source"), _in_turn(_ALL_CALLS))
@pytest.mark.parametrize("scheduler", ["sync"], indirect=True)
class TestCalls:
    def test_partitions_and_mechanics(self, matrix, name, source, scheduler):
        matrix.check_calls(name, source, scheduler, _SMALL_GROUPS)

    def test_rows_groups_and_files(self, matrix, name, source, scheduler):
        matrix.check_calls(name, source, scheduler, _LARGE_GROUPS)


@pytest.mark.parametrize("scheduler", ["sync"], indirect=True)
def test_calls_that_are_listed_fail_in_dask(matrix, scheduler, tmp_path):
    works = []
    for call, name in DASK_FAILS.items():
        _, same_in_dask = matrix.frames(name, "parquet", scheduler)
        found = [
            calls[call] for group in GROUPS if call in (calls := calls_of(group, same_in_dask, tmp_path))
        ]
        try:
            computed(found[0](same_in_dask))
        except Exception:  # noqa: BLE001  # whatever dask raises
            continue
        works.append(call)
    assert works == []


@pytest.mark.parametrize("scheduler", ["sync"], indirect=True)
def test_optimizing_one_frame_raises_where_dask_gives_rows_of_other_steps(matrix, scheduler):
    collection, same_in_dask = matrix.frames("merge-staged", "parquet", scheduler)
    # dask.optimize takes the first keys of a graph for those of the frame, which holds for graphs of one step.
    column = same_in_dask[["a"]].map_partitions(lambda frame: frame + 1)
    assert not dask.optimize(column)[0].compute().equals(column.compute()), "dask has mended it"
    with pytest.raises(TypeError):
        dask.optimize(collection)[0].compute()

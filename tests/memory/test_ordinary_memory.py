"""Recipes on ordinary data keep to their plans on workers that the kernel holds, and what they make is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import safeframe
from benchmarks.ordinary_check import find_fault
from benchmarks.ordinary_rows import ROWS, Row, _fewer_files, make_data, start_recipe
from benchmarks.situations import JOINS, ORDINARY_JOINS, TPCH, Dataset, TpchDataset
from benchmarks.situations.tpch import find_generator
from benchmarks.tight import TightCluster
from safeframe.facts.plan import Plan

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
    pytest.mark.filterwarnings("ignore::safeframe.PartitionSizeWarning"),
]

# What CI has time for; the others are nightly.
_IN_CI = {
    "strings.merge_left", "strings.set_index", "strings.lag", "tpch.merge_left", "tpch.lag", "wide.sort_values", "j1.q6",
    "composite.merge",
}  # fmt: skip
# Rows of a file, as a share of the full size; and the share of the files.
_SHARES = {"strings": (0.2, 0.25), "wide_merge": (0.02, 1.0), "composite": (0.05, 0.25)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("ordinary")


def small(name: str, directory):
    if name in TPCH:
        if find_generator() is None:
            pytest.skip("tpchgen-cli is not installed")
        tables = replace(
            TPCH[name].tables, factor=0.1, parts=(("lineitem", 6), ("orders", 3), ("partsupp", 1))
        )
        return replace(TPCH[name], tables=tables).materialise(directory)
    rows, files = _SHARES.get(name, (0.05, 0.5))
    return _fewer_files({**JOINS, **ORDINARY_JOINS}[name].scaled(rows), files).materialise(directory)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _IN_CI else pytest.mark.nightly) for name in ROWS]
)
def test_a_recipe_keeps_to_its_plan(tight: TightCluster, tmp_path, directory, name: str) -> None:
    row = ROWS[name]
    keeps_to_its_plan(tight, row, small(row.situation, directory), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "strings.sort_values",
        pytest.param("strings.lag", marks=pytest.mark.nightly),
        pytest.param("strings.shuffle", marks=pytest.mark.nightly),
        pytest.param("tpch.merge_left", marks=pytest.mark.nightly),
        pytest.param("tpch.lag", marks=pytest.mark.nightly),
        # A row group of 1 GiB of 200 columns.
        pytest.param("wide.sort_values", marks=pytest.mark.nightly),
        pytest.param("wide.merge_left", marks=pytest.mark.nightly),
        pytest.param("wide.set_index", marks=pytest.mark.nightly),
        pytest.param("wide.lag", marks=pytest.mark.nightly),
        pytest.param("wide.rebalance", marks=pytest.mark.nightly),
    ],
)
def test_files_of_full_size_are_cut(tight: TightCluster, tmp_path, directory, name: str) -> None:
    # Whole partitions, of 1 M rows and 35 MiB or of 750,000 rows and 130 MiB, were refused.
    row = ROWS[name]
    if row.situation in TPCH and find_generator() is None:
        pytest.skip("tpchgen-cli is not installed")
    keeps_to_its_plan(tight, row, make_data(row.situation, 1 / 12, directory), tmp_path)


@pytest.mark.parametrize("name", ["wide.set_index", pytest.param("wide.shuffle", marks=pytest.mark.nightly)])
def test_wide_rows_are_read_a_few_columns_at_a_time(
    tight: TightCluster, tmp_path, directory, name: str
) -> None:
    # Pages and dictionaries of 200 columns were more than a worker has.
    row = ROWS[name]
    wide = _fewer_files(ORDINARY_JOINS[row.situation].scaled(0.12), 0.25).materialise(directory)
    plan = keeps_to_its_plan(tight, row, wide, tmp_path)
    assert "of a few columns at a time" in plan.steps[0].reason


def keeps_to_its_plan(tight: TightCluster, row: Row, dataset: Dataset | TpchDataset, tmp_path: Path) -> Plan:
    made = start_recipe(row, dataset)
    plan = safeframe.explain(made).written
    assert plan.fits
    output = tmp_path / "output"
    safeframe.to_parquet(made, output, write_index=row.recipe == "set_index")
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0
    assert seen.charged_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= 2 * seen.charged_nbytes, (plan.details(), seen)
    assert find_fault(row, dataset, output, tmp_path) == ""
    return plan

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest

from benchmarks import run
from benchmarks.check_collections import check_collection
from benchmarks.engines_collections import COLLECTION_WORK
from benchmarks.situations import CLUSTER_ENGINES, COLLECTIONS, SITUATIONS

SMALL = 1e-5


@pytest.fixture(params=["o2_64", "o3_8"])
def dataset(request, tmp_path):
    return (
        SITUATIONS[request.param].scaled(SMALL if request.param == "o2_64" else 0.002).materialise(tmp_path)
    )


def test_full_sizes_are_those_of_the_report():
    sizes = {name: situation.nbytes for name, situation in COLLECTIONS.items()}
    assert sizes["o2_64"] == 64**4 * 8
    assert sizes["o2_256"] == 2**35
    assert sizes["o3_8"] == 8 * 314_572 * 40
    assert all(situation.engines == CLUSTER_ENGINES for situation in COLLECTIONS.values())


def test_scaling_keeps_the_shape():
    array = COLLECTIONS["o2_64"].scaled(1 / 16)
    assert (array.parts, array.part_items, array.nbytes) == (32, 32**3, 32**4 * 8)
    bag = COLLECTIONS["o3_64"].scaled(0.5)
    assert (bag.parts, bag.part_items) == (64, 157_286)


@pytest.mark.parametrize("engine", CLUSTER_ENGINES)
def test_engines_find_what_is_true(dataset, engine):
    with dask.config.set(scheduler="sync"):
        answer = COLLECTION_WORK[engine, dataset.situation.task](None, dataset, None)
    check = check_collection(dataset, answer)
    assert check.correct, check
    assert check.rows == dataset.truth.rows
    assert not {"sums", "groups"} & answer.keys(), "results would be long lists"


def test_an_array_with_two_elements_changed_over_is_wrong(tmp_path):
    dataset = COLLECTIONS["o2_64"].scaled(SMALL).materialise(tmp_path)
    situation = dataset.situation
    whole = np.hstack([situation.part(number) for number in range(situation.parts)])
    whole[[0, 1]] = whole[[1, 0]]
    answer = {"sums": [whole.sum(), situation.weighted(whole, 0, 0)]}
    assert check_collection(dataset, answer).wrong == ("the weighted sum",)


@pytest.mark.parametrize("change", ["twice", "missing", "more"])
def test_groups_that_are_not_all_there_are_wrong(tmp_path, change):
    dataset = COLLECTIONS["o3_8"].scaled(0.001).materialise(tmp_path)
    groups = [
        [key, *pair] for key, pair in enumerate(zip(dataset.truth.counts, dataset.truth.sums, strict=True))
    ]
    assert check_collection(dataset, {"groups": list(groups)}).correct
    if change == "twice":
        groups.append(groups[0])
    elif change == "missing":
        groups.pop()
    else:
        groups[3] = [3, groups[3][1] + 1, groups[3][2]]
    assert not check_collection(dataset, {"groups": groups}).correct


def test_runs_are_judged_by_it(dataset):
    answer = {"seconds": 1.0, "sums": [0.0, 0.0], "groups": []}
    check = check_collection(dataset, dict(answer))
    figures = {"resident_peak_nbytes": 1, "group_peak_nbytes": 1, "enforced_by": "nobody", "oom_kills": 0}
    judged = run._judge("safeframe", dataset, dict(answer), figures, check, 1)
    assert judged.outcome == "wrong"
    good = replace(check, rows=dataset.truth.rows, wrong=())
    assert run._judge("safeframe", dataset, dict(answer), figures, good, 1).outcome == "finished"

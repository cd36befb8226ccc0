"""The canary names what is gone or is called otherwise, with the line of safeframe that uses it."""

from __future__ import annotations

import json
import sys

import distributed.shuffle
import pytest
from dask._expr import Expr
from dask.dataframe.dask_expr import _expr, _merge
from distributed import worker_memory
from distributed.shuffle import _core

from tests.versions import canary
from tests.versions.shapes import differences, has, shape
from tests.versions.uses import HELD, private_attributes, used


@pytest.fixture(scope="module")
def record():
    return json.loads(canary.RECORD.read_text(encoding="utf-8"))


def test_nothing_of_the_installed_dask_is_otherwise(record):
    assert canary.findings(record) == []


def test_what_is_recorded_is_what_is_used(record):
    now = canary.recorded()
    assert now["defined"] == record["defined"], "run python -m tests.versions.canary --record"
    assert now["shapes"].keys() == record["shapes"].keys()


def test_every_private_attribute_that_the_door_reads_is_looked_at():
    looked_at = {name for names in HELD.values() for name in names}
    assert private_attributes().keys() <= looked_at
    assert len(private_attributes()) > 20


def test_a_class_that_is_gone(record, monkeypatch):
    monkeypatch.setattr(_expr, "Joined", _merge.Merge, raising=False)
    monkeypatch.delattr(_merge, "Merge")
    found = canary.findings(record)
    assert any(
        text.startswith(
            "the module dask.dataframe.dask_expr._merge has no Merge; safeframe/_dask/expressions.py:"
        )
        for text in found
    )
    # Modules of dask's that had imported it still have it.
    assert any("has one of that name" in text for text in found)


def test_a_module_that_is_gone(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed.shuffle._core", None)
    monkeypatch.delattr(distributed.shuffle, "_core")
    found = canary.findings(record)
    names = {use.path for use in used() if use.owner == "distributed.shuffle._core"}
    assert len(names) > 4
    for name in names:
        assert any(text.startswith(f"{name}, which safeframe/_dask/p2p.py") for text in found)


def test_a_function_that_takes_something_else(record, monkeypatch):
    def barrier_key(shuffle, *, run):
        return f"{shuffle}{run}"

    monkeypatch.setattr(_core, "barrier_key", barrier_key)
    (found,) = canary.findings(record)
    assert found.startswith(
        "distributed.shuffle._core.barrier_key takes something else: shuffle_id is gone, shuffle is needed, "
        "run is needed (was: shuffle_id; is: shuffle, *, run); safeframe/_dask/p2p.py:"
    )


def test_a_parameter_more_is_no_finding(record, monkeypatch):
    monkeypatch.setattr(_core, "barrier_key", lambda shuffle_id, run=None: shuffle_id)
    assert canary.findings(record) == []


def test_operands_of_an_expression_in_another_order(record, monkeypatch):
    monkeypatch.setattr(_merge.Merge, "_parameters", ["right", "left", *_merge.Merge._parameters[2:]])
    found = canary.findings(record)
    assert len(found) == 1
    assert "left is in another place, right is in another place" in found[0]


@pytest.mark.parametrize("name", ["_tree_repr_lines", "_tune_down"])
def test_an_attribute_that_is_read_or_defined_is_gone(record, monkeypatch, name):
    monkeypatch.delattr(Expr, name)
    assert f"dask._expr.Expr has no {name} any more" in "\n".join(canary.findings(record))


def test_an_attribute_of_objects_alone(monkeypatch):
    assert has(worker_memory.WorkerMemoryManager, "memory_spill_fraction")
    assert not has(worker_memory.WorkerMemoryManager, "memory_spilling_fraction")


def test_findings_are_printed_and_fail(monkeypatch, capsys):
    assert canary.main([]) == 0
    assert "0 of them not as they were" in capsys.readouterr().out
    monkeypatch.delattr(_expr, "Fused")
    assert canary.main(["--json"]) == 1
    assert any("_expr has no Fused" in text for text in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ("a, b=", "a, b=, c=", []),
        ("a, b=", "a, b=, **more", []),
        ("a, *, b=", "a, b=", []),
        ("a, *, b=", "a, **more", []),
        ("a, b", "*args", []),
        ("a", "a, b", ["b is needed"]),
        ("a, b", "a, *, b", ["b is given by its name alone"]),
        ("a, b", "b, a", ["a is in another place", "b is in another place"]),
        ("a, *, b=", "a", ["b is gone"]),
        ("", "", []),
    ],
)
def test_which_changes_break_calls(before, now, found):
    assert differences(before, now) == found


def test_shapes_are_read_of_signatures():
    def function(a, b=1, *args, c, d=2, **more):
        return a, b, args, c, d, more

    assert shape(function) == "a, b=, *args, c, d=, **more"
    assert shape(_expr.Filter) == "frame, predicate"
    assert shape("text") is None

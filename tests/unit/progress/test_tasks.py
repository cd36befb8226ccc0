from __future__ import annotations

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from dask.utils import key_split

import safeframe
from safeframe.progress.bar import Bar
from safeframe.progress.tasks import TaskBars, computed, followed, named_tasks


def test_local_tasks_are_counted_by_group():
    bar, other = Bar(label="adding"), Bar(label="other")
    tasks = named_tasks("add-up", sum, (([i],) for i in range(5)))
    (name,) = {key[0] for task in tasks for key in dict(task.dask)}
    seen = []
    update = bar.update
    bar.update = lambda done, total: (seen.append((done, total)), update(done, total))
    with followed(TaskBars({name: bar, "other": other})):
        assert dask.compute(*tasks, scheduler="sync") == (0, 1, 2, 3, 4)
    assert seen == [(done, 5) for done in range(6)]
    assert other.total is None


def test_tasks_are_one_group_and_begin_with_their_words():
    tasks = [*named_tasks("add-up", sum, [([1],)]), *named_tasks("add-up", sum, [([1],), ([2],)])]
    assert {key_split(task.key) for task in tasks} == {"add-up"}
    assert len({task.key for task in tasks}) == 3
    assert len({task.key[0] for task in tasks}) == 2


def test_groups_that_a_scheduler_has_forgotten_are_done():
    bar = Bar(label="staging")
    bars = TaskBars({"left": bar, "right": bar})
    bars.seen({"left": (1, 4), "right": (0, 2), "stranger": (7, 7)})
    assert (bar.done, bar.total) == (1, 6)
    bars.seen({"right": (1, 2)})
    assert (bar.done, bar.total) == (5, 6)


def test_a_failure_passes_and_leaves_no_bar(capsys):
    def fails(_):
        msg = "no"
        raise ValueError(msg)

    with dask.config.set({"safeframe.progress": True}), pytest.raises(ValueError, match="no"):
        computed("adding", named_tasks("add-up", fails, [(1,)]))
    assert capsys.readouterr().err == ""


def test_nothing_to_compute_is_done(capsys):
    with dask.config.set({"safeframe.progress": True}):
        assert computed("adding", []) == ()
    assert capsys.readouterr().err == "adding: 100%\n"


def test_statistics_say_how_far_they_are(capsys):
    frame = dd.from_pandas(pd.DataFrame({"k": range(40)}), npartitions=4)
    with dask.config.set({"safeframe.progress": True}):
        safeframe.key_statistics(frame, "k")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("counting keys: 100%, ")
    assert lines[-1].endswith(" tasks")

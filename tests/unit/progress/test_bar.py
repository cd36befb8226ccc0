from __future__ import annotations

import pytest

from safeframe.progress.bar import Bar


def bar_at(seconds, **given):
    times = iter([0.0, *seconds])
    return Bar(label="staging", clock=lambda: next(times), **given)


def test_tasks_and_the_time_that_remains():
    bar = bar_at([60.0, 60.0])
    assert (bar.percent, bar.detail) == ("0%", "")
    bar.update(2, 8)
    assert (bar.percent, bar.detail) == ("25%", "2/8 tasks, 3 min left")


def test_rows_and_bytes_in_one_unit():
    bar = bar_at([30.0], rows=40_000_000, nbytes=3 * 2**30)
    bar.update(1, 4)
    assert bar.detail == "10.0/40.0 M rows, 0.8/3.0 GiB, 90 s left"


def test_files_are_counted_beside_their_rows():
    bar = bar_at([], rows=1500, unit="files")
    bar.update(4, 4)
    assert bar.detail == "4/4 files, 1,500/1,500 rows"


def test_hundred_percent_is_the_end_only():
    bar = bar_at([])
    bar.update(999, 1000)
    assert bar.percent == "99%"


@pytest.mark.parametrize("seen", [None, (0, 0), (3, 8)], ids=["nothing", "no tasks", "some"])
def test_it_ends_at_hundred_percent(seen):
    bar = bar_at([])
    if seen is not None:
        bar.update(*seen)
    bar.finish()
    assert (bar.percent, bar.fraction) == ("100%", 1.0)
    assert bar.detail == ("8/8 tasks" if seen == (3, 8) else "")


def test_a_late_one_is_seen_once_it_is_late():
    bar = bar_at([0.5, 1.5], late_seconds=1.0)
    assert not bar.is_late
    assert bar.is_late

"""A printed plan answers in ten lines: will it fit, how large, which way, and why."""

from __future__ import annotations

import io
from dataclasses import replace
from textwrap import dedent

import pytest
from rich.console import Console

from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Plan
from safeframe.facts.plan.summary import files_summary
from tests.unit.facts.plan.plans import merge_plan, too_large
from tests.unit.facts.plan.test_text import PLAN
from tests.unit.planning.test_printed_plans import PLANNED


def test_a_plan_that_fits() -> None:
    assert str(merge_plan("apple")) + "\n" == dedent("""\
        merge: FITS
          strategy    staged, because the column <script>alert('$x$')</script> has few keys
          memory      projected 406 MiB of 997 MiB allowed per worker (41%), at 'join cells'
          staging     313 MiB in /scratch, which has 821 MiB free
          rows        exactly 7,919, 76.9 for each row of the larger side
          size        317 KiB in memory
          partitions  1,009, the largest at most 59 MiB (target 61 MiB)
          heaviest    key 'apple': 53 × 89 → 4,717 rows
          not taken   sorted
          more        plan.details() has all steps and reasons, plan.plot() draws them
        """)


def test_files_that_a_command_writes() -> None:
    lines = files_summary(merge_plan("apple"), "--json").splitlines()
    assert lines[6] == "  files       1,009, the largest at most 59 MiB (target 61 MiB)"
    assert lines[-1] == "  more        --json"
    assert len(lines) == len(str(merge_plan("apple")).splitlines())
    assert files_summary(too_large(), "--json").splitlines()[-1].startswith("  hint ")


def test_a_plan_that_does_not_fit_says_what_would() -> None:
    lines = str(too_large()).splitlines()
    assert lines[0] == "merge: DOES NOT FIT"
    assert lines[-2] == "  too large   join cells: a worker would reach 406 MiB, and 307 MiB is allowed"
    assert lines[-1].startswith(
        "  hint        Give each worker 406 MiB or more, or 1 thread instead of 2, read"
    )


def test_an_interval_says_where_it_comes_from() -> None:
    rows = Estimate(lower=7_001, expected=7_919, upper=9_973, method="sketch", exact=False)
    text = str(replace(PLAN, output_rows=rows, output_nbytes=rows.scaled(41)))
    assert "  rows        about 7,919 (between 7,001 and 9,973: sketch)\n" in text
    assert "  size        about 317 KiB (between 280 KiB and 399 KiB: sketch) in memory\n" in text


@pytest.mark.parametrize(
    ("free", "words"), [(None, "313 MiB in /scratch, whose free space is not known"), (2**40, "1 TiB free")]
)
def test_what_is_known_of_the_staging_directory(free: int | None, words: str) -> None:
    assert words in str(replace(PLAN, staging_free_nbytes=free))


ALL = {**PLANNED, "merge": merge_plan(), "too large": too_large()}


@pytest.mark.parametrize("name", ALL)
def test_every_plan_has_ten_lines_at_most_and_a_short_representation(name: str) -> None:
    plan = ALL[name]
    assert 7 <= len(str(plan).splitlines()) <= 10
    assert len(repr(plan)) <= 200
    assert "\n" not in repr(plan)


def test_the_representation_has_what_decides() -> None:
    assert repr(merge_plan()) == (
        "<Plan of merge by staged: FITS, exactly 7,919 rows in 1,009 partitions, 406 MiB projected of 997 MiB per worker>"
    )
    assert "DOES NOT FIT" in repr(too_large())


def test_a_long_key_is_cut() -> None:
    assert len(str(merge_plan("x" * 10**6))) < 1_000
    assert len(merge_plan("x" * 10**6).details()) < 3_000


@pytest.mark.parametrize(("plan", "colour"), [(merge_plan(), "\x1b[1;32m"), (too_large(), "\x1b[1;31m")])
def test_rich_prints_the_same_with_the_verdict_in_colour(plan: Plan, colour: str) -> None:
    def printed(*, colours: bool) -> str:
        into = io.StringIO()
        Console(
            file=into, width=400, force_terminal=colours, color_system="standard" if colours else None
        ).print(plan)
        return into.getvalue()

    # Markup of rich in a user's names stays what it is.
    assert printed(colours=False) == f"{plan}\n"
    assert colour in printed(colours=True).splitlines()[0]

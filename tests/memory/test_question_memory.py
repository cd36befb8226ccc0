"""The question's own script, with the author's function between recipes, at a hundredth on tight workers."""

from __future__ import annotations

from dataclasses import replace

import pytest

import safeframe
from benchmarks.check import check_output
from benchmarks.engines_question import run_script
from benchmarks.situations import JOINS

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]


def test_the_author_s_script_at_a_hundredth(tight, tmp_path):
    tenth = JOINS["question_script"]
    # As many keys as the author had, each with fewer rows.
    hundredth = replace(
        tenth,
        left=tenth.left.scaled(0.1, keys=False),
        right=tenth.right.scaled(0.1, keys=False),
        scale=0.1,
    )
    data = hundredth.materialise(tmp_path / "data")
    work = tmp_path / "work"
    work.mkdir()
    names = run_script("script", data, work)
    plan = safeframe.explain(names["merged"])
    found = check_output(data, work / "merged", scratch=tmp_path)
    assert found.correct, found
    assert found.rows > 9_900_000
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (plan.details(), seen)

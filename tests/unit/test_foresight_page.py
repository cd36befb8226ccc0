"""The page of projected against measured says what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.foresight import PAGE, RESULTS, page_text, read_promises


def test_the_page_is_that_of_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(), "python benchmarks/foresight.py"


def test_of_several_runs_the_one_nearest_to_its_projection_counts(tmp_path: Path) -> None:
    result = json.loads((RESULTS / "q3.json").read_text())
    run = next(run for run in result["runs"] if run["engine"] == "safeframe")
    above = {**run, "resident_peak_nbytes": run["details"]["projected_worker_nbytes"] * 2}
    (tmp_path / "q3.json").write_text(json.dumps({**result, "runs": [run, above, run]}))
    (promise,) = read_promises(tmp_path)
    assert promise.share == 2
    assert promise.recipe == "merge"
    text = page_text(tmp_path)
    assert "In 0 of 1 situations" in text
    assert "`q3` (100% above)" in text
    assert "sf-broken" in text


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    path = RESULTS / "foresight" / "calibration.json"
    result = json.loads(path.read_text())
    assert result["seeds"] >= 200
    counted = [one for shape in result["shapes"].values() for one in shape["counted"].values()]
    assert len(counted) >= 15
    # Four standard deviations: one miss in some ten thousand. Two, the inner half: 95 in 100, of which fewer
    # than 180 of 200 would come of chance once in hundreds of times.
    assert all(one["held"] >= 0.99 * one["joins"] for one in counted)
    assert all(one["held_by_half"] >= 0.9 * one["joins"] for one in counted)

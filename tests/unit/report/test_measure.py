"""A measurement as text, in a notebook and as a plot; made by hand."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from safeframe.report.measure import Measurement
from tests.markup import check_page, text_of
from tests.unit.facts.plan.test_text import MIB, PLAN

EVIL = "tcp://<script>"


def measured(peak: int = 389, *, workers: int = 3) -> Measurement:
    peaks = {f"{EVIL}:{n}": (peak - n) * MIB for n in range(workers)}
    return Measurement(
        plans=[PLAN],
        peaks=peaks,
        samples={worker: [(at / 20, nbytes) for at in range(4096)] for worker, nbytes in peaks.items()},
        rows_out=7_919,
        seconds=17.0,
    )


def test_the_representation_is_a_line_however_many_samples_there_are() -> None:
    assert repr(measured()) == "<Measurement: peak 389 MiB of 406 MiB projected in 3 workers, 17 s>"
    assert repr(Measurement()) == "<Measurement: peak 0 B in 0 workers, 0 s>"


def test_the_page_has_each_worker_beside_the_projection() -> None:
    page = measured()._repr_html_()
    check_page(page)
    assert "<script" not in page
    text = text_of(page)
    for words in (
        "389 MiB of 406 MiB",
        "387 MiB of 406 MiB",
        "997 MiB per worker",
        "within the projection",
        EVIL,
    ):
        assert words in text


def test_a_peak_above_the_projection_is_said_to_be() -> None:
    page = measured(419)._repr_html_()
    assert '<span class="sf-bad">ABOVE the projection</span>' in page
    assert '"sf-over"' in page.split("</style>")[1]


def test_lost_workers_and_no_plan_are_shown() -> None:
    alone = replace(measured(), plans=[], lost_workers=("a", "b"))
    page = alone._repr_html_()
    check_page(page)
    assert "2 workers; the memory they used is not known" in text_of(page)
    assert "projected" not in text_of(page)
    check_page(Measurement()._repr_html_())


def test_of_many_workers_the_fullest_are_shown() -> None:
    text = text_of(measured(workers=300)._repr_html_())
    assert "the 20 fullest of 300" in text
    assert f"{EVIL}:19\n" in text
    assert f"{EVIL}:20\n" not in text


@pytest.mark.parametrize("mine", [True, False])
def test_the_plot_has_the_projection_and_the_limit(mine: bool) -> None:
    plt.close("all")
    given = plt.figure().add_subplot() if mine else None
    axes = measured().plot(given)
    lines = {line.get_label(): line.get_ydata()[0] for line in axes.get_lines()}
    assert lines["projected, 406 MiB"] == pytest.approx(406)
    assert lines["limit, 997 MiB"] == pytest.approx(997)
    assert len(lines) == 5
    assert plt.get_fignums() == [axes.figure.number]
    assert (given is axes) is mine
    plt.close("all")

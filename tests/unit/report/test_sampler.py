"""The sampler sees a process's peak, and keeps little."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import psutil
import pytest

from safeframe.report import sampler as sampler_module
from safeframe.report.sampler import Sampler

BALLAST_NBYTES = 96 * 2**20
SLACK_NBYTES = 8 * 2**20


def _touch(nbytes: int) -> None:
    np.ones(nbytes, dtype="uint8").sum()


def _in_a_process_of_its_own(measure: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Measure where no test has left freed memory, or a thread, that would count or be used again."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def _for_a_moment() -> tuple[int, int]:
    before = psutil.Process().memory_info().rss
    sampler = Sampler(interval_seconds=3600)
    sampler.start()
    _touch(BALLAST_NBYTES)
    sampler.stop()
    return sampler.peak_nbytes, before


def test_the_peak_holds_what_was_there_only_for_a_moment() -> None:
    peak, before = _in_a_process_of_its_own(_for_a_moment)
    assert peak >= before + BALLAST_NBYTES - SLACK_NBYTES


def _before() -> tuple[int, int]:
    _touch(BALLAST_NBYTES)
    before = psutil.Process().memory_info().rss
    sampler = Sampler()
    sampler.start()
    sampler.stop()
    return sampler.peak_nbytes, before


def test_the_peak_does_not_hold_what_was_there_before() -> None:
    peak, before = _in_a_process_of_its_own(_before)
    assert peak <= before + SLACK_NBYTES


def _two_samplers() -> tuple[int, int]:
    outer, inner = Sampler(interval_seconds=3600), Sampler(interval_seconds=3600)
    outer.start()
    _touch(BALLAST_NBYTES)
    inner.start()
    inner.stop()
    outer.stop()
    return outer.peak_nbytes, inner.peak_nbytes


def test_a_second_sampler_does_not_make_the_first_forget() -> None:
    outer, inner = _in_a_process_of_its_own(_two_samplers)
    assert outer >= inner + BALLAST_NBYTES - SLACK_NBYTES


def test_without_a_high_water_mark_the_peak_is_the_highest_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "_reset_high_water", lambda: False)
    sampler = Sampler(interval_seconds=3600)
    sampler.start()
    sampler.stop()
    assert sampler.peak_nbytes == max(nbytes for _, nbytes in sampler.samples)


def test_a_long_run_keeps_few_samples_and_its_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "MAX_SAMPLES", 8)
    sampler = Sampler(interval_seconds=3600)
    readings = iter([*range(1, 50), 1_000, *range(50, 100)])
    monkeypatch.setattr(sampler, "_process", _Process(readings))
    for _ in range(100):
        sampler._sample()
    assert len(sampler.samples) < 8
    assert max(nbytes for _, nbytes in sampler.samples) == sampler.peak_nbytes == 1_000
    assert [at for at, _ in sampler.samples] == sorted(at for at, _ in sampler.samples)


def test_stopping_ends_the_thread() -> None:
    sampler = Sampler()
    sampler.start()
    sampler.stop()
    sampler.stop()
    assert "safeframe-sampler" not in {thread.name for thread in threading.enumerate()}


class _Process:
    def __init__(self, readings: object) -> None:
        self._readings = readings

    def memory_info(self) -> object:
        class _Memory:
            rss = next(self._readings)  # type: ignore[call-overload]

        return _Memory

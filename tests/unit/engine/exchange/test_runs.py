"""Of all tasks of a run that fail, the first says why."""

from __future__ import annotations

from safeframe.engine.exchange.runs import first_failure, forget_failure
from safeframe.errors import StagingFullError


def test_later_failures_have_the_words_of_the_first():
    first = StagingFullError("full", hint="free some", needed_nbytes=2, free_nbytes=1)
    assert first_failure("run", first) is first
    later = first_failure("run", FileNotFoundError("gone"))
    assert later is not first
    assert type(later) is StagingFullError
    assert str(later) == str(first)
    assert later.figures == first.figures
    assert later.__traceback__ is None
    forget_failure("run")


def test_a_run_that_starts_again_has_not_failed():
    first_failure("run", ValueError("one"))
    forget_failure("run")
    forget_failure("run")
    error = ValueError("two")
    assert first_failure("run", error) is error
    forget_failure("run")


def test_an_error_that_cannot_be_copied_is_raised_as_it_is():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__("odd")

    error = OddError(1, 2)
    assert first_failure("run", error) is error
    assert first_failure("run", other := OSError()) is other
    forget_failure("run")

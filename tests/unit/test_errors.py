"""Errors keep their words, their figures and their built-in base, also between processes."""

from __future__ import annotations

import pickle

import pytest

from safeframe import errors

BASES = {
    "KeyNotFoundError": KeyError,
    "MemoryBudgetError": MemoryError,
    "OutputTooLargeError": ValueError,
    "RowConservationError": RuntimeError,
    "SafeframeError": Exception,
    "SchemaMismatchError": TypeError,
    "StagingError": OSError,
    "StagingFullError": OSError,
    "ClusterError": ConnectionError,
    "UnsupportedError": NotImplementedError,
    "ValidationError": ValueError,
}


def test_every_error_is_listed_here() -> None:
    raised = {name for name in errors.__all__ if issubclass(getattr(errors, name), Exception)}
    warned = {name for name in raised if issubclass(getattr(errors, name), errors.SafeframeWarning)}
    assert warned == {
        "SafeframeWarning", "OutputExplosionWarning", "PartitionSizeWarning", "RoundedIntegersWarning",
    }  # fmt: skip
    assert raised - warned == set(BASES)


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_a_caller_may_catch_the_built_in(name: str, base: type[Exception]) -> None:
    error = getattr(errors, name)("409 MiB of 401 MiB", hint="Take less.")
    with pytest.raises(base, match="409 MiB of 401 MiB"):
        raise error
    assert isinstance(error, errors.SafeframeError)


@pytest.mark.parametrize("name", BASES)
def test_the_message_is_the_words_then_the_hint(name: str) -> None:
    error = getattr(errors, name)("409 MiB of 401 MiB", hint="Take less.", needed_nbytes=409, free_nbytes=401)
    assert str(error) == "409 MiB of 401 MiB\n\nHint: Take less."
    assert str(getattr(errors, name)("409 MiB of 401 MiB")) == "409 MiB of 401 MiB"
    assert error.figures == {"needed_nbytes": 409, "free_nbytes": 401}


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_an_error_survives_the_way_from_a_worker(name: str, protocol: int) -> None:
    error = getattr(errors, name)("409 MiB of 401 MiB", hint="Take less.", needed_nbytes=409)
    again = pickle.loads(pickle.dumps(error, protocol=protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert (again.hint, again.figures) == (error.hint, error.figures)


def test_a_full_staging_directory_is_a_staging_error() -> None:
    assert issubclass(errors.StagingFullError, errors.StagingError)


def test_warnings_are_ours_and_user_warnings() -> None:
    assert issubclass(errors.OutputExplosionWarning, errors.SafeframeWarning)
    assert issubclass(errors.RoundedIntegersWarning, errors.SafeframeWarning)
    assert issubclass(errors.SafeframeWarning, UserWarning)

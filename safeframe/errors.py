"""Every error and warning that safeframe raises on purpose.

::

    SafeframeError
    ├── MemoryBudgetError      (MemoryError)          a plan, or a run, that needs more than it may use
    ├── OutputTooLargeError    (ValueError)           a result larger than max_output, or than a graph can hold
    ├── StagingError           (OSError)              the staging directory cannot be used
    │   └── StagingFullError                          ... or has no room
    ├── SchemaMismatchError    (TypeError)            key types, or a partition's types, that do not agree
    ├── KeyNotFoundError       (KeyError)             a column that is not there
    ├── RowConservationError   (RuntimeError)         data that changed, or an exchange that lost or gained rows
    ├── UnsupportedError       (NotImplementedError)  something that safeframe does not do
    ├── ClusterError           (ConnectionError)      a cluster whose workers do not answer
    └── ValidationError        (ValueError)           arguments, or data, that break a stated rule

    SafeframeWarning (UserWarning)
    ├── OutputExplosionWarning                        a join that multiplies its input
    ├── PartitionSizeWarning                          an output partition larger than its sample allows
    └── RoundedIntegersWarning                        a join that makes floats of integers beyond 2**53

Each message says what was requested, both numbers in units, which limit, and ends
with a hint that can be acted on. The figures are attributes too, in
``error.figures``. All of them survive pickling, because they travel from
workers to the client.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ClusterError",
    "KeyNotFoundError",
    "MemoryBudgetError",
    "OutputExplosionWarning",
    "OutputTooLargeError",
    "PartitionSizeWarning",
    "RoundedIntegersWarning",
    "RowConservationError",
    "SafeframeError",
    "SafeframeWarning",
    "SchemaMismatchError",
    "StagingError",
    "StagingFullError",
    "UnsupportedError",
    "ValidationError",
]


class SafeframeError(Exception):
    """Base of every error that safeframe raises on purpose.

    Parameters
    ----------
    message
        What was requested and why it is refused, with both numbers.
    hint
        What the user can do about it.
    **figures
        The numbers of the message, for programs.
    """

    def __init__(self, message: str, *, hint: str = "", **figures: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.figures = figures

    def __str__(self) -> str:
        return f"{self.message}\n\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.figures)


def _rebuild(cls: type[SafeframeError], message: str, hint: str, figures: dict[str, Any]) -> SafeframeError:
    return cls(message, hint=hint, **figures)


class MemoryBudgetError(SafeframeError, MemoryError):
    """A plan, or a task, needs more memory than one worker may use."""


class OutputTooLargeError(SafeframeError, ValueError):
    """A predicted result is larger than ``max_output`` allows, or has more partitions than a dask graph can hold."""


class StagingError(SafeframeError, OSError):
    """The staging directory cannot be used."""


class StagingFullError(StagingError):
    """The staging directory has no room for the exchange."""


class SchemaMismatchError(SafeframeError, TypeError):
    """Types that have to agree do not: of two keys, or of a partition and its frame."""


class KeyNotFoundError(SafeframeError, KeyError):
    """A column is not in the frame."""


class RowConservationError(SafeframeError, RuntimeError):
    """The rows are not those that went in, or that the plan counted."""


class UnsupportedError(SafeframeError, NotImplementedError):
    """Something that safeframe does not do."""


class ValidationError(SafeframeError, ValueError):
    """An argument, or the data, breaks a stated rule."""


class ClusterError(SafeframeError, ConnectionError):
    """No worker of a cluster answers."""


class SafeframeWarning(UserWarning):
    """Base of every warning that safeframe issues."""


class OutputExplosionWarning(SafeframeWarning):
    """A join multiplies its input; the message has the exact figures."""


class PartitionSizeWarning(SafeframeWarning):
    """An output partition has more bytes than the sample of its strings and objects allows, or gave rows to others to prevent that."""


class RoundedIntegersWarning(SafeframeWarning):
    """A join whose rows may lack a match rounds integers beyond 2**53, as pandas does; the message has the columns."""

"""Arguments that are one of a few values, and the words for those that are none of them.

Covers: choices and flags, and which name was probably meant.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from typing import Any

from safeframe.errors import ValidationError


def check_choice(value: Any, choices: Iterable[str], *, argument: str, what: str) -> None:
    """Raise when an argument is none of the values that there are.

    Parameters
    ----------
    value
        What the user gave.
    choices
        The values.
    argument
        Its name.
    what
        What a value is, for the message: "a strategy of merge".

    Raises
    ------
    ValidationError
        With the nearest choice, and all of them.
    """
    known = tuple(choices)
    # Its type first: a frame or an array is equal to nothing in a way that has a truth value.
    if isinstance(value, str) and value in known:
        return
    msg = f"{argument}={value!r} is not {what}."
    hint = f"{did_you_mean(value, known)}Leave it out, or use one of {', '.join(known)}."
    raise ValidationError(msg, hint=hint)


def check_flags(**given: Any) -> None:
    """Raise when an argument, by its name, is neither True nor False.

    Raises
    ------
    ValidationError
        With the first of them.
    """
    for argument, value in given.items():
        # numpy's own type of them has had both names.
        if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
            msg = f"{argument}={value!r} is neither True nor False."
            raise ValidationError(msg, hint="Pass True or False, or leave it out.")


def check_count(value: Any, *, argument: str, what: str) -> None:
    """Raise when an argument is neither None nor a whole number of at least 1.

    Raises
    ------
    ValidationError
        With the value.
    """
    try:
        good = value is None or (not isinstance(value, bool) and operator.index(value) >= 1)
    except TypeError:
        good = False
    if not good:
        msg = f"{argument}={value!r} is not {what}."
        raise ValidationError(msg, hint="Pass 1 or more, or leave it out.")


def did_you_mean(value: Any, known: Iterable[Any]) -> str:
    """Return the start of a hint: the names that are nearest to one that is not there, empty where none is near."""
    names = {str(name).lower(): name for name in known}
    near = (
        difflib.get_close_matches(str(value).lower(), names, n=2, cutoff=0.6)
        if isinstance(value, str)
        else []
    )
    return f"Did you mean {' or '.join(repr(names[name]) for name in near)}? " if near else ""

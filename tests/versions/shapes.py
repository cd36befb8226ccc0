"""What can be called with what, as text that a file keeps, and whether a later one still takes the same calls."""

from __future__ import annotations

import functools
import inspect
from typing import Any

__all__ = ["differences", "has", "shape"]

_KEYWORD_ONLY, _POSITIONAL_ONLY = "*", "/"


def shape(value: Any) -> str | None:
    """Return the names of what something takes; None for what is not called, or does not tell.

    An expression of dask's takes its ``_parameters``, whatever its signature says.

    Examples
    --------
    >>> def send(shards, /, to, *, timeout=None, **more): ...
    >>> shape(send)
    'shards, /, to, *, timeout=, **more'
    >>> shape(7) is None
    True
    """
    parameters = getattr(value, "_parameters", None)
    if isinstance(value, type) and isinstance(parameters, list):
        return ", ".join(parameters)
    if not callable(value):
        return None
    try:
        # As it is written: what dask wraps in a decorator is called with what is inside.
        return _text(inspect.signature(value))
    except (TypeError, ValueError):
        return None


def _text(signature: inspect.Signature) -> str:
    words: list[str] = []
    last = None
    for one in signature.parameters.values():
        if last is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            words.append(_POSITIONAL_ONLY)
        if one.kind is one.KEYWORD_ONLY and last not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL):
            words.append(_KEYWORD_ONLY)
        stars = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        words.append(f"{stars}{one.name}{'' if one.default is one.empty else '='}")
        last = one.kind
    return ", ".join([*words, _POSITIONAL_ONLY] if last is inspect.Parameter.POSITIONAL_ONLY else words)


def differences(before: str, now: str) -> list[str]:
    """Return why a call that was right for a shape may be wrong for another; parameters more do no harm.

    Examples
    --------
    >>> differences("id, spec=", "id, spec=, run=")
    []
    >>> differences("id, spec", "spec, *, run")
    ['id is gone', 'spec is in another place', 'run is needed']
    """
    old, new = _parsed(before), _parsed(now)
    found = []
    for name, place in old.items():
        if name not in new:
            # What takes anything takes this, too.
            if not any(other.startswith("**" if place is None else "*") for other in new):
                found.append(f"{name} is gone")
        elif place is not None and new[name] is None:
            found.append(f"{name} is given by its name alone")
        elif place is not None and new[name] != place:
            found.append(f"{name} is in another place")
    needed = {word for word in now.split(", ") if word.isidentifier()}
    return [*found, *(f"{name} is needed" for name in new if name in needed and name not in old)]


def _parsed(text: str) -> dict[str, int | None]:
    """Return the place of each parameter; None where it is given by name alone."""
    found: dict[str, int | None] = {}
    by_name = False
    for word in text.split(", ") if text else []:
        if word == _POSITIONAL_ONLY:
            continue
        if word.startswith("*"):
            by_name = True
        if word != _KEYWORD_ONLY:
            found[word.removesuffix("=")] = None if by_name else len(found)
    return found


def has(kind: type, name: str) -> bool:
    """Whether objects of a class have an attribute, as far as can be told without one."""
    if hasattr(kind, name):
        return True
    for base in kind.__mro__:
        if name in vars(base).get("__annotations__", {}) or name in getattr(base, "_parameters", ()):
            return True
        source = _source(base)
        if f"self.{name} =" in source or f"self.{name}: " in source:
            return True
    return False


@functools.cache
def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""

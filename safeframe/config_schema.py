"""Settings under ``safeframe`` held against their schema.

dask takes any name and any value without a word, so that a setting with a wrong letter
would have no effect. Here each one is looked up in ``safeframe-schema.yaml``, and what
is not there is named, with the nearest name that is and the place that it was set in.

Covers: the keywords of JSON schema that our schema uses, and ``format: size``.
"""

from __future__ import annotations

import copy
import difflib
import functools
import math
import numbers
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any

import dask.config
import yaml

from safeframe.errors import ValidationError
from safeframe.units import parse_nbytes

_ROOT = "safeframe"
_checked: Any = None

_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "null": ("null", lambda value: value is None),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "integer": ("a whole number", lambda value: isinstance(value, numbers.Integral)),
    "number": ("a number", lambda value: isinstance(value, numbers.Real) and math.isfinite(value)),
    "string": ("a string", lambda value: isinstance(value, (str, os.PathLike)) and os.fspath(value) != ""),
    "object": ("a section", lambda value: isinstance(value, Mapping)),
}
"""Types of the schema: what they are called, and what is of them."""
_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: value > bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMaximum": ("less than", lambda value, bound: value < bound),
}


def check_settings() -> None:
    """Raise when a setting under ``safeframe`` is not known, or has a value that it cannot have.

    Raises
    ------
    ValidationError
        With its name, its value, where it was set, and the nearest name or the values that it can have.

    Notes
    -----
    Settings that were checked before are compared with what they were then, in microseconds.
    """
    global _checked
    known = _plain_names()
    found = {
        name: value for name, value in dask.config.config.items() if name == _ROOT or _plain(name) in known
    }
    if found == _checked:
        return
    for name, value in found.items():
        if name != _ROOT:
            raise _unknown(name, value)
        _check(name, value, schema()["properties"][_ROOT])
    _checked = copy.deepcopy(found)


@functools.cache
def schema() -> dict[str, Any]:
    """Read the schema of the settings."""
    text = resources.files("safeframe").joinpath("safeframe-schema.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@functools.cache
def setting_names() -> tuple[str, ...]:
    """Return the full names of all settings, sections left out."""
    return tuple(_names(_ROOT, schema()["properties"][_ROOT]))


def _names(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    if "properties" not in entry:
        yield name
    for below, part in entry.get("properties", {}).items():
        yield from _names(f"{name}.{below}", part)


@functools.cache
def _plain_names() -> frozenset[str]:
    """Return what a name of the first level may not be: a setting with a dot, or an underscore, too few."""
    return frozenset(_plain(known) for known in setting_names())


def _plain(name: Any) -> str:
    # dask takes "-" and "_" for the same in names of settings.
    return str(name).replace("_", "-").replace(".", "-")


def _check(name: str, value: Any, entry: Mapping[str, Any]) -> None:
    if not _fits(value, entry):
        raise _bad_value(name, value, entry)
    for key, below in (value if isinstance(value, Mapping) else {}).items():
        known = {_plain(one): one for one in entry.get("properties", {})}
        # Not the plain name: a dot in a key is a level too few.
        written = str(key).replace("_", "-")
        full = f"{name}.{known.get(written, key)}"
        if written not in known:
            raise _unknown(full, below)
        _check(full, below, entry["properties"][known[written]])


def _fits(value: Any, entry: Mapping[str, Any]) -> bool:
    types = _types(entry)
    # To Python a flag is a number too.
    if isinstance(value, bool) and "boolean" not in types:
        return False
    if not any(_TYPES[type_][1](value) for type_ in types):
        return False
    if "enum" in entry and value not in entry["enum"]:
        return False
    if entry.get("format") == "size" and value is not None:
        try:
            parse_nbytes(value)
        except ValidationError:
            return False
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return True
    return all(holds(value, entry[bound]) for bound, (_, holds) in _BOUNDS.items() if bound in entry)


def _types(entry: Mapping[str, Any]) -> tuple[str, ...]:
    types = entry["type"]
    return (types,) if isinstance(types, str) else tuple(types)


def _described(entry: Mapping[str, Any]) -> str:
    """Say in words which values a setting can have."""
    if "enum" in entry:
        return f"one of {', '.join(map(repr, entry['enum']))}"
    types = [type_ for type_ in _types(entry) if type_ != "null"]
    if entry.get("format") == "size":
        text = 'a size such as "64MiB"'
    else:
        text = " or ".join(_TYPES[type_][0] for type_ in types)
    bounds = [f"{words} {entry[bound]}" for bound, (words, _) in _BOUNDS.items() if bound in entry]
    if bounds:
        text += f" of {' and '.join(bounds)}"
    return text + (", or null" if "null" in _types(entry) else "")


def _bad_value(name: str, value: Any, entry: Mapping[str, Any]) -> ValidationError:
    msg = f"The setting {name}={value!r}{_origin(name, value)} is not {_described(entry)}."
    hint = f"Set {_described(entry)}."
    if "properties" in entry:
        hint = f"Set one of {', '.join(_names(name, entry))}."
    return ValidationError(msg, hint=hint)


def _unknown(name: str, value: Any) -> ValidationError:
    while isinstance(value, Mapping) and value:  # of a section that is not known, the first setting
        key = next(iter(value))
        name, value = f"{name}.{key}", value[key]
    names = {known.removeprefix(f"{_ROOT}."): known for known in setting_names()}
    below = name.replace("_", "-").removeprefix(_ROOT).lstrip(".-")
    same = [known for known in names if _plain(known) == _plain(below)]
    nearest = same or difflib.get_close_matches(below, names, n=1)
    near = f"Did you mean {_ROOT}.{nearest[0]}? " if nearest else ""
    msg = f"There is no setting {name}={value!r}{_origin(name, value)}."
    return ValidationError(msg, hint=f"{near}Below {_ROOT} there are {', '.join(names)}.")


def _origin(name: str, value: Any) -> str:
    """Return where a setting was set, for a message: a variable of the environment, a file, or a program."""
    variable = "DASK_" + name.replace(".", "__").replace("-", "_").upper()
    if variable in os.environ and _holds(dask.config.collect_env(), name, value):
        return f" (from the environment, {variable})"
    files = list(dask.config.collect_yaml(dask.config.paths, return_paths=True))
    for path, content in reversed(files):  # the last one wins
        if _holds(content, name, value):
            return f" (from {path})"
    return ""


def _holds(content: Any, name: str, value: Any) -> bool:
    """Whether settings have a value by a name."""
    for part in name.split("."):
        if not isinstance(content, Mapping):
            return False
        keys = {str(key).replace("_", "-"): key for key in content}
        written = part.replace("_", "-")
        if written not in keys:
            return False
        content = content[keys[written]]
    return bool(content == value)

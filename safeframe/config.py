"""Settings, in :mod:`dask.config` under the name ``safeframe``.

Covers: the defaults of ``safeframe.yaml``, and reading a setting, which holds all of
them against ``safeframe-schema.yaml`` first (``safeframe.config_schema``).

A user sets them as every dask setting: in a YAML file in ``~/.config/dask``, as
``DASK_SAFEFRAME__STAGING__DIRECTORY=/scratch`` in the environment, or with
``dask.config.set({"safeframe.staging.directory": "/scratch"})``.
"""

from __future__ import annotations

import os
from importlib import resources
from typing import Any

import dask.config
import yaml

from safeframe import options
from safeframe.config_schema import check_settings
from safeframe.units import parse_nbytes


def defaults() -> dict[str, Any]:
    """Read the defaults that come with the library.

    Returns
    -------
    dict
        Of one entry, ``"safeframe"``.
    """
    text = resources.files("safeframe").joinpath("safeframe.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def setting(name: str, default: Any = None) -> Any:
    """Return the value of a setting, after all settings were checked.

    Parameters
    ----------
    name
        Below ``safeframe``, as ``"staging.directory"``.
    default
        The value where there is none.

    Raises
    ------
    ValidationError
        When one of the settings, not only this one, is not known or has a value that it cannot have.
    """
    check_settings()
    return dask.config.get(f"safeframe.{name}", default)


def headroom() -> float:
    """Return the share of a worker's memory that plans fill.

    Examples
    --------
    >>> headroom()
    0.8
    """
    return float(setting("headroom", options.HEADROOM_FRACTION))


def key_capacity() -> int:
    """Return how many distinct keys statistics count exactly."""
    return int(setting("key-capacity", options.KEY_CAPACITY))


def progress() -> bool | None:
    """Return whether progress is shown; None for where somebody looks."""
    value = setting("progress")
    return None if value is None else bool(value)


def partition_nbytes(given: str | int | None) -> int | None:
    """Return the bytes of a partition that an argument names, or else the setting; None where neither does.

    Raises
    ------
    ValidationError
        When it is no size, by the name of the argument or of the setting.
    """
    if given is not None:
        return parse_nbytes(given, argument="partition_size")
    value = setting("partition-size")
    return None if value is None else parse_nbytes(value, argument="safeframe.partition-size")


def staging_directory() -> str | None:
    """Return the directory or URL for staged exchanges that is set; None where there is none."""
    value = setting("staging.directory")
    return None if value is None else os.fspath(value)


# Defaults give way to what the user has set: a file, the environment, or dask.config.set before this import.
dask.config.update_defaults(defaults())

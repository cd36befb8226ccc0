"""Settings, in :mod:`dask.config` under the name ``safeframe``.

Covers: the defaults of ``safeframe.yaml``, and reading a setting.

A user sets them as every dask setting: in a YAML file in ``~/.config/dask``, as
``DASK_SAFEFRAME__STAGING__DIRECTORY=/scratch`` in the environment, or with
``dask.config.set({"safeframe.staging.directory": "/scratch"})``.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import dask.config
import yaml

from safeframe import options
from safeframe.errors import ValidationError
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


def headroom() -> float:
    """Return the share of a worker's memory that plans fill.

    Raises
    ------
    ValidationError
        When the setting is no share.

    Examples
    --------
    >>> headroom()
    0.8
    """
    value = dask.config.get("safeframe.headroom", options.HEADROOM_FRACTION)
    try:
        share = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0.0 < share <= 1.0:
        msg = f"The setting safeframe.headroom={value!r} is not a share of a worker's memory."
        raise ValidationError(msg, hint="Set a number between 0 and 1, such as 0.8.")
    return share


def key_capacity() -> int:
    """Return how many distinct keys statistics count exactly.

    Raises
    ------
    ValidationError
        When the setting is not a number of keys.
    """
    value = dask.config.get("safeframe.key-capacity", options.KEY_CAPACITY)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"The setting safeframe.key-capacity={value!r} is not a number of keys."
        raise ValidationError(msg, hint="Set a whole number of at least 1, such as 1048576.")
    return value


def partition_nbytes(given: str | int | None) -> int | None:
    """Return the bytes of a partition that an argument names, or else the setting; None where neither does.

    Raises
    ------
    ValidationError
        When it is no size, by the name of the argument or of the setting.
    """
    if given is not None:
        return parse_nbytes(given, argument="partition_size")
    value = dask.config.get("safeframe.partition-size", None)
    return None if value is None else parse_nbytes(value, argument="safeframe.partition-size")


# Defaults give way to what the user has set: a file, the environment, or dask.config.set before this import.
dask.config.update_defaults(defaults())

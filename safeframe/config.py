"""Settings, in :mod:`dask.config` under the name ``safeframe``.

Covers: the defaults of ``safeframe.yaml``, and reading a setting.
Does not cover: what a setting is good for (``safeframe-schema.yaml`` says it),
nor thresholds that nobody needs to change (:mod:`safeframe.options`).

A user sets them as every dask setting: in a YAML file in ``~/.config/dask``, as
``DASK_SAFEFRAME__STAGING__DIRECTORY=/scratch`` in the environment, or with
``dask.config.set({"safeframe.staging.directory": "/scratch"})``.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import dask.config
import yaml

__all__ = ["defaults", "get"]


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


def get(name: str) -> Any:
    """Give the value of a setting.

    Parameters
    ----------
    name
        Its name without the leading ``safeframe.``.

    Raises
    ------
    KeyError
        When there is no such setting.

    Examples
    --------
    >>> get("headroom")
    0.8
    """
    return dask.config.get(f"safeframe.{name}")


# Defaults give way to what the user has set: a file, the environment, or dask.config.set before this import.
dask.config.update_defaults(defaults())

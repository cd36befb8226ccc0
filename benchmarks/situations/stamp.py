"""What all situations share: data that are made once, and the names of engines.

Covers: a directory per situation and scale, reused while its stamp says that it
holds what is requested.
Does not cover: making the data.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["ALL_ENGINES", "CLUSTER_ENGINES", "TRIAL_ENGINES", "VARIANT_ENGINES", "stamped"]

CLUSTER_ENGINES = ("safeframe", "dask")
"""Those that run on the tight cluster; the others are one process."""
ALL_ENGINES = (*CLUSTER_ENGINES, "duckdb", "polars")
"""All that do any work, in the order in which they run."""
TRIAL_ENGINES = ("pyarrow",)
"""Those that a single situation is measured by."""
VARIANT_ENGINES = ("dask_split_out",)
"""Stock dask once more, told into how many partitions the groups of a group-by go; on the tight cluster too."""

_STAMP = "stamp.json"
_STAMP_FORMAT = 1


def stamped(
    situation: Any, directory: str | os.PathLike[str], make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Make a situation's data below a directory, unless they are there already.

    Parameters
    ----------
    situation
        A dataclass with ``name`` and ``scale``; the data are reused while it is equal.
    directory
        Where all situations' data lie; each has a directory of its own in it.
    make
        Writes the data into the directory that it is given, and says what is true of
        them as plain values.

    Returns
    -------
    tuple[Path, dict[str, Any]]
        The situation's directory, and what is true of its data.
    """
    root = Path(directory) / f"{situation.name}-{situation.scale:g}"
    wanted = {"format": _STAMP_FORMAT, "situation": json.loads(json.dumps(asdict(situation)))}
    stamp = root / _STAMP
    if stamp.exists():
        found = json.loads(stamp.read_text())
        truth: dict[str, Any] = found.pop("truth")
        if found == wanted:
            return root, truth
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    truth = make(root)
    # The stamp comes last and at once, so that what an interrupted run left is made again.
    fresh = stamp.with_suffix(".tmp")
    fresh.write_text(json.dumps({**wanted, "truth": truth}, indent=1))
    fresh.replace(stamp)
    return root, truth

"""Asks a file system how much room it has."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["free_nbytes"]


def free_nbytes(directory: str) -> int:
    """Count the free bytes of the file system that ``directory`` is, or will be, on."""
    path = Path(directory).expanduser().absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free

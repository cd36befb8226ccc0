"""The name that safeframe is installed by, and the other project that has its import name.

What PyPI has under the name ``safeframe`` is another project: it brings a module
``safeframe`` too, so that the two overwrite each other's files, and hooks pandas in
every process.
"""

from __future__ import annotations

import warnings
from importlib import metadata

from safeframe.errors import SafeframeWarning

DISTRIBUTION = "dask-safeframe"
"""What ``pip install`` knows this project by."""

REPAIR = (
    f"pip uninstall safeframe, then pip install --force-reinstall --no-deps {DISTRIBUTION} "
    "(in a checkout: . in place of the name)"
)
"""What to do where the other project is installed next to this one."""

_OTHER = "safeframe"


def foreign_distribution() -> str | None:
    """Return name and version of the other project that is installed here, None where there is none.

    Looks at the names of what is installed, and nothing is imported: some tenths of a millisecond.
    """
    try:
        other = metadata.distribution(_OTHER)
    except metadata.PackageNotFoundError:
        return None
    # A checkout of this project that was installed before it had a name of its own.
    if any(needed.startswith("dask[dataframe]") for needed in other.requires or ()):
        return None
    return f"{_OTHER} {other.version}"


def warn_of_foreign_distribution() -> None:
    """Warn when the other project is installed next to this one."""
    other = foreign_distribution()
    if other is not None:
        msg = (
            f"The distribution {other!r} is installed here. It is another project: it shares the module name "
            f"safeframe with {DISTRIBUTION}, so that the two overwrite each other's files, and it hooks pandas in every "
            f"process of this environment. Hint: {REPAIR}."
        )
        warnings.warn(msg, SafeframeWarning, stacklevel=2)

"""Other projects' distributions that install a package of our name.

PyPI's ``safeframe`` is not this library: it has a package ``safeframe`` too, and a ``.pth``
file that loads it into every process. Where both are installed, the files of the one that
came last are there.

Covers: finding them.
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions

_PACKAGE = "safeframe"
_OWN_FILE = "safeframe/py.typed"


def foreign_distributions() -> tuple[str, ...]:
    """Return the name and version of each distribution ``safeframe`` that another project has made."""
    return tuple(
        f"{one.metadata['Name']} {one.version}" for one in distributions(name=_PACKAGE) if _is_foreign(one)
    )


def _is_foreign(distribution: Distribution) -> bool:
    """Whether it installs a package of our name that is not ours; one that installs none is a link to our sources."""
    files = [path.as_posix() for path in distribution.files or ()]
    return _OWN_FILE not in files and any(
        path.startswith(f"{_PACKAGE}/") or path == f"{_PACKAGE}.pth" for path in files
    )

"""A directory that is one user's alone, in a base that others may write to.

::

    <base>/safeframe-<user>/                   the usual one
    <base>/safeframe-<user>-<random>/          where that name is taken: another's, a link, open to others

What is read from there is trusted to be rows of this user. So a directory is
used only if it belongs to the user of this process, is open to nobody else, and
is no symbolic link. Whoever takes the usual name keeps nobody from
working: another is made, whose name could not be known before, and those that
come later find it by the same rules.

Covers: finding or making the directory.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from safeframe.errors import StagingError


def user_name() -> str:
    """Return the name of the user of this process, as it may be part of a file's name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return re.sub(r"[^\w.]", "_", name)


def is_own(found: os.stat_result) -> bool:
    """Whether a file or directory belongs to the user of this process, and nobody else may read or write it."""
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def private_directories(base: Path) -> Iterator[Path]:
    """Find the directories in a base that are this user's alone, the usual one first."""
    usual = f"safeframe-{user_name()}"
    others = re.compile(re.escape(usual) + r"-[0-9a-f]{16}")
    with os.scandir(base) as entries:
        names = sorted(entry.name for entry in entries if entry.name == usual or others.fullmatch(entry.name))
    for name in names:
        with contextlib.suppress(OSError):
            found = (base / name).lstat()
            if stat.S_ISDIR(found.st_mode) and is_own(found):
                yield base / name


def private_directory(base: Path) -> Path:
    """Find or make the directory in a base that is this user's alone.

    Raises
    ------
    StagingError
        When the file system does not keep it private.
    OSError
        When it cannot be made; FileNotFoundError when it was removed meanwhile.
    """
    base.mkdir(parents=True, exist_ok=True)
    usual = base / f"safeframe-{user_name()}"
    with contextlib.suppress(FileExistsError):
        return _made(usual)
    for found in private_directories(base):
        return found
    # Gone, where another process of the user has just removed it: who asks tries again.
    usual.lstat()
    return _made(base / f"{usual.name}-{secrets.token_hex(8)}")


def _made(directory: Path) -> Path:
    """Make a directory, which nobody else can have made then.

    Its owner is not compared: it has another number where the file system maps users.
    """
    directory.mkdir(mode=0o700)
    mode = stat.S_IMODE(directory.lstat().st_mode)
    if mode & 0o077:
        directory.rmdir()
        base = str(directory.parent)
        msg = f"The staging directory {base!r} cannot keep files private: a directory made there has mode {mode:04o}."
        hint = (
            "Name a directory on a file system with permissions in staging=, or mount this one so that "
            "directories in it have mode 0700."
        )
        raise StagingError(msg, hint=hint, directory=base)
    return directory

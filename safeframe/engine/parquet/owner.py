"""Who owns a directory, and who may read it: kept when another takes its place.

Covers: mode, owner, group, extended attributes (access control lists among them).
Does not cover: the files in it, which are those of whoever writes them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def can_be_kept(directory: Path) -> bool:
    """Return whether this user can make a directory of the same owner and group."""
    if os.geteuid() == 0:
        return True
    of = directory.stat()
    return of.st_uid == os.geteuid() and of.st_gid in (os.getegid(), *os.getgroups())


def take_over(old: Path, new: Path) -> None:
    """Copy what can be copied of a directory's owner, group, attributes and mode."""
    of = old.stat()
    with contextlib.suppress(OSError):
        os.chown(new, of.st_uid, of.st_gid)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(old):
                with contextlib.suppress(OSError):
                    os.setxattr(new, name, os.getxattr(old, name))
    # Last: a new owner takes the bits for set-id away.
    new.chmod(stat.S_IMODE(of.st_mode))


def is_same(old: Path, new: Path) -> bool:
    """Return whether owner, group and mode are the same."""
    one, other = old.stat(), new.stat()
    return (one.st_uid, one.st_gid, stat.S_IMODE(one.st_mode)) == (
        other.st_uid,
        other.st_gid,
        stat.S_IMODE(other.st_mode),
    )

"""What can go wrong with files: full disks, a staging directory that goes, staged files that change, input that changes.

Covers: faults of local files.
Does not cover: object stores (``stores``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import ClassVar

import pandas as pd

from tests.faults.machine.faults import Fault
from tests.faults.machine.recipes import LEFT_FILES, Recipe

__all__ = ["FILE_FAULTS"]

_PAGE = 4096


class _FullDisk(Fault):
    """A file system of its own that somebody else fills, but for a few pages."""

    allowed_errors = ("StagingError",)
    mounts = True
    place: ClassVar[str]

    def prepare(self) -> None:
        self.scene.mount(self.place)
        self.left = int(self.rng.integers(0, 12)) * _PAGE

    def strike(self, worker: str) -> None:
        disk = self.scene.directory / self.place
        found = os.statvfs(disk)
        ballast = max(0, found.f_bavail * found.f_frsize - self.left)
        if ballast:
            descriptor = os.open(disk / "ballast", os.O_CREAT | os.O_WRONLY)
            with contextlib.suppress(OSError):
                os.posix_fallocate(descriptor, 0, ballast)
            os.close(descriptor)

    def repair(self) -> None:
        (self.scene.directory / self.place / "ballast").unlink(missing_ok=True)


class StagingFull(_FullDisk):
    """No room for staged rows."""

    name = "the staging disk is full"
    place = "staging"
    phases = ("statistics", "stage", "seal")

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.staged


class OutputFull(_FullDisk):
    """No room for the files of the result."""

    name = "the output disk is full"
    place = "output"

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.written


class _OfStaging(Fault):
    phases = ("stage", "seal", "fetch", "write")
    allowed_errors = ("StagingError", "RowConservationError")

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.staged

    def staged(self) -> list[Path]:
        """Return the staged files that there are, in an order that depends on their sizes alone."""
        found = [path for path in (self.scene.directory / "staging").rglob("*.staged") if path.stat().st_size]
        return sorted(found, key=lambda path: (path.stat().st_size, path.name))

    def one(self) -> Path | None:
        """Return one of them."""
        found = self.staged()
        self.scene.done = bool(found)
        return found[int(self.rng.integers(len(found)))] if found else None


class DirectoryRemoved(_OfStaging):
    """The staging directory is removed."""

    name = "the staging directory is removed"

    def strike(self, worker: str) -> None:
        for path in (self.scene.directory / "staging").iterdir():
            shutil.rmtree(path, ignore_errors=True)


class FileTruncated(_OfStaging):
    """A staged file loses its end."""

    name = "a staged file is truncated"

    def strike(self, worker: str) -> None:
        if path := self.one():
            os.truncate(path, int(self.rng.integers(path.stat().st_size)))


class BitFlipped(_OfStaging):
    """One bit of a staged file is another."""

    name = "a bit of a staged file is flipped"

    def strike(self, worker: str) -> None:
        if path := self.one():
            at = int(self.rng.integers(path.stat().st_size))
            with path.open("r+b") as file:
                file.seek(at)
                byte = file.read(1)[0] ^ (1 << int(self.rng.integers(8)))
                file.seek(at)
                file.write(bytes([byte]))


class FilesExchanged(_OfStaging):
    """A staged file has the content of another attempt's."""

    name = "staged files are exchanged"

    def strike(self, worker: str) -> None:
        found = self.staged()
        self.scene.done = len(found) > 1
        if len(found) > 1:
            one, other = (found[i] for i in self.rng.choice(len(found), 2, replace=False))
            aside = one.with_suffix(".aside")
            one.rename(aside)
            other.rename(one)
            aside.rename(other)


class FileRemoved(_OfStaging):
    """A staged file is gone."""

    name = "a staged file is removed"

    def strike(self, worker: str) -> None:
        if path := self.one():
            path.unlink(missing_ok=True)


class _OfInput(Fault):
    phases = ("stage", "seal", "fetch", "write", "commit")
    allowed_errors = ("SafeframeError",)

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.reads

    def change(self) -> None:
        """Write one file again, in place or as a new file of its name: other keys, fewer rows or more."""
        path = self.file()
        frame = pd.read_parquet(path)
        # A recipe that takes files in order refuses the next run where one is not.
        how = int(self.rng.integers(3 if self.scene.takes_order else 4))
        if how == 0:
            frame = frame.iloc[: len(frame) // 2]
        elif how == 1:
            frame = pd.concat([frame, frame.iloc[:50]], ignore_index=True)
        elif how == 2:
            frame["k"] = frame["k"].to_numpy()[::-1]
        else:
            frame["n"] = frame["n"] + 100_000
        other = path.with_name("new")
        frame.to_parquet(other, index=False)
        if self.rng.random() < 0.5:
            path.write_bytes(other.read_bytes())
            other.unlink()
        else:
            other.replace(path)

    def file(self) -> Path:
        """Return one of the left dataset's files."""
        return self.scene.directory / "left" / f"{self.rng.integers(LEFT_FILES)}.parquet"


class InputChangedBefore(_OfInput):
    """An input file is written again between planning and running."""

    name = "an input file changes before the run"
    moments = ()

    def between(self) -> None:
        self.change()


class InputRemovedBefore(_OfInput):
    """An input file is removed between planning and running."""

    name = "an input file is removed before the run"
    moments = ()

    def between(self) -> None:
        self.file().unlink()


class InputChangedWhile(_OfInput):
    """An input file is written again while the run reads."""

    name = "an input file changes during the run"

    def strike(self, worker: str) -> None:
        self.change()


class InputRemovedWhile(_OfInput):
    """An input file is removed while the run reads."""

    name = "an input file is removed during the run"
    # That of dask's reader, which names the file.
    allowed_errors = ("SafeframeError", "FileNotFoundError")

    def strike(self, worker: str) -> None:
        self.file().unlink()


FILE_FAULTS: tuple[type[Fault], ...] = (
    BitFlipped, FileTruncated, FilesExchanged, FileRemoved, DirectoryRemoved, StagingFull, OutputFull,
    InputChangedBefore, InputChangedWhile, InputRemovedBefore, InputRemovedWhile,
)  # fmt: skip

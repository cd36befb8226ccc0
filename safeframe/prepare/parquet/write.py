"""How ``to_parquet`` writes a frame: its rows, or a merge's blocks without making them, and in which directory.

Covers: choosing between the two, refusals that need the size of the files, the expression.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.dataframe as dd
from dask.base import tokenize

from safeframe import options
from safeframe._dask.parquet import files_read
from safeframe._dask.trees import fingerprint
from safeframe.choices import check_choice
from safeframe.engine.merge.nodes import FilteredMerge, SafeMerge
from safeframe.engine.parquet.nodes import JoinedToParquet, SafeToParquet, streamed
from safeframe.engine.parquet.swap import Swap, writes_inside
from safeframe.engine.parquet.target import Dataset, ParquetTarget
from safeframe.engine.parquet.without_rows import JoinedFrame, joined_form, joined_frame, unwritable
from safeframe.engine.planned.nodes import Planned
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.strategies import WRITE_STRATEGIES
from safeframe.prepare.parquet.arguments import check_file_names
from safeframe.prepare.parquet.checks import check_room, check_target, refuse_larger_files
from safeframe.units import parse_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedWrite:
    """A write that has not begun."""

    expression: Any
    """What writes when it is computed."""
    target: ParquetTarget
    """What is written, and where."""
    token: str
    known: tuple[str, ...]
    """Files at the target that the frame is read from, whatever their names."""
    files: int
    """How many files there will be."""


@dataclass(frozen=True, slots=True)
class _FileSizes:
    """How large all files will be, as far as a plan knows it."""

    nbytes: int = 0
    """Bytes before compression; of rows that are made, the least that they have."""
    least_fraction: float = 0.0
    """The part of these that the files have at least."""
    predicted_nbytes: int = 0
    """Bytes that ``max_output=`` is compared with."""


@dataclass(frozen=True, slots=True)
class _WrittenRows:
    """Each partition is written as it is."""

    ddf: dd.DataFrame
    files: int

    @property
    def counted_rows(self) -> int | None:
        return None

    def sizes(self) -> _FileSizes:
        plan = self.ddf.expr.own_plan if isinstance(self.ddf.expr, Planned) else None
        if plan is None:
            return _FileSizes()
        nbytes = int(plan.output_nbytes.lower)
        return _FileSizes(nbytes, options.FILE_FRACTION, int(nbytes * options.FILE_FRACTION))

    def token(self, dataset: Dataset, *, inside: bool, resume: bool) -> str:
        return _new_token()

    def continued(self, directory: str) -> _WrittenRows:
        return self

    def expression(self, target: ParquetTarget, token: str, known: tuple[str, ...]) -> Any:
        return SafeToParquet(self.ddf.expr, target, token, known)


@dataclass(frozen=True, slots=True)
class _WrittenBlocks:
    """The blocks of a merge are written, and its rows never made."""

    found: JoinedFrame

    @property
    def files(self) -> int:
        return self.found.plan.written.output_partitions

    @property
    def counted_rows(self) -> int | None:
        """Rows of all files, to the row."""
        counted: int | None = self.found.merge.counted_rows
        return counted

    def sizes(self) -> _FileSizes:
        write = self.found.write
        # How many rows a filter leaves is not known.
        filtered = isinstance(self.found.merge, FilteredMerge)
        least_fraction = 0.0 if filtered else options.JOINED_FILE_FRACTION
        return _FileSizes(write.file_nbytes, least_fraction, write.file_nbytes)

    def token(self, dataset: Dataset, *, inside: bool, resume: bool) -> str:
        """Name the write by what it writes, so that a later run finds its files."""
        form, merge = joined_form(self.found, dataset), self.found.merge
        token: str = tokenize(
            fingerprint(merge.left),
            fingerprint(merge.right),
            replace(form, group_rows=dataset.group_rows or 0),
            dataset.custom_metadata,
            dataset.name_function,
        )[:12]
        if not Swap(dataset.target, token, inside=inside).busy:
            return token
        if resume:
            msg = f"Another process writes the same merge to {dataset.target!r} now."
            raise ValidationError(msg, hint="Wait for it to end, or write to another path.")
        return _new_token()

    def continued(self, directory: str) -> _WrittenBlocks:
        """Return the way of a write that goes on from the files of an earlier one."""
        return _WrittenBlocks(self.found.divided_as_before(directory))

    def expression(self, target: ParquetTarget, token: str, known: tuple[str, ...]) -> Any:
        found, merge = self.found, self.found.merge
        form = joined_form(found, target)
        return JoinedToParquet(
            merge.left, merge.right, form, found.plan, found.write, merge.planned_keys, target, token, known
        )


def check_way(strategy: str | None) -> None:
    """Raise when ``strategy=`` is no way to write parquet."""
    if strategy is not None:
        check_choice(strategy, WRITE_STRATEGIES, argument="strategy", what="a way to write parquet")


def prepare_write(
    ddf: dd.DataFrame, dataset: Dataset, *, strategy: str | None, resume: bool, max_output: str | int | None
) -> PreparedWrite:
    """Choose how a frame is written, and where its files lie until all are there.

    Raises
    ------
    ValidationError
        When the target may not be written, or another process writes the same there.
    UnsupportedError
        When a merge is to be written without its rows, and cannot be.
    OutputTooLargeError, StagingFullError
        When the files are predicted to be larger than ``max_output``, or than the free disk.
    """
    place = dataset.target
    known = files_read_from(ddf, place) if dataset.is_local else ()
    way = _choose(ddf, dataset, strategy, resume=resume)
    entries = check_target(dataset, way.files, known)
    check_file_names(dataset.name_function, dataset.first, way.files)
    sizes = way.sizes()
    if max_output is not None:
        refuse_larger_files(sizes.predicted_nbytes, parse_nbytes(max_output, argument="max_output"))
    if dataset.is_local:
        check_room(sizes.nbytes, sizes.least_fraction, place)
        inside = writes_inside(Path(place), entries)
        token = way.token(dataset, inside=inside, resume=resume)
        directory = str(Swap(place, token, inside=inside).directory)
        if resume:
            way = way.continued(directory)
    else:
        inside, token, directory = False, _new_token(), place
    target = ParquetTarget.of(
        dataset, directory=directory, inside=inside, resume=resume, rows=way.counted_rows
    )
    return PreparedWrite(
        expression=way.expression(target, token, known),
        target=target,
        token=token,
        known=known,
        files=way.files,
    )


def _choose(
    ddf: dd.DataFrame, dataset: Dataset, strategy: str | None, *, resume: bool
) -> _WrittenRows | _WrittenBlocks:
    """Choose whether rows are made."""
    found: JoinedFrame | str | None
    if strategy == "rows":
        found = "strategy='rows' was requested"
    elif isinstance(ddf.expr, SafeMerge) and isinstance(ddf.expr.run.write, str):
        found = ddf.expr.run.write
    else:
        found = (
            joined_frame(ddf.expr, write_index=dataset.write_index)
            or "it is not the result of safeframe.merge"
        )
    if isinstance(found, JoinedFrame):
        refused = unwritable(dataset)
        if refused is None:
            if resume and not dataset.is_local:
                msg = "resume= needs a local path, and this is an object store."
                raise UnsupportedError(msg, hint="Write to a directory, or leave resume= out.")
            return _WrittenBlocks(found)
        found = refused
    if resume or strategy == "blocks":
        msg = f"This frame cannot be written in the compact encoding, without its rows: {found}."
        raise UnsupportedError(msg, hint="Leave resume= and strategy= out.")
    return _WrittenRows(ddf, int(streamed(ddf.expr.simplify(), dataset)[0].npartitions))


def files_read_from(ddf: dd.DataFrame, place: str) -> tuple[str, ...]:
    """List the files of a directory that a frame is read from, and which are therefore of the dataset there."""
    names: dict[str, list[str]] = {}
    for path in files_read(ddf.expr):
        directory, _, name = path.rpartition("/")
        names.setdefault(directory, []).append(name)
    found = (some for directory, some in names.items() if str(Path(directory).resolve()) == place)
    return tuple(sorted({name for some in found for name in some}))


def _new_token() -> str:
    return uuid.uuid4().hex[:12]

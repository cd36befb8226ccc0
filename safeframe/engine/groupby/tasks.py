"""What the tasks of a group-by do.

Covers: partial states of partitions, and joining them; sealing the exchange of rows or of states; output partitions
from a shard's rows, read whole where groups are needed whole, and slice by slice where partial states do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

from safeframe.engine.exchange.fetch import Sealed, fetch, fetch_slices, seal
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.task import count_rows_out, use_worker
from safeframe.errors import SchemaMismatchError
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.columns.categories import with_promised_categories, with_same_categories
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.largest_states import ExtremeStates
from safeframe.kernels.groupby.results import keys_as_columns
from safeframe.kernels.groupby.state_frames import States
from safeframe.kernels.groupby.states import GroupStates
from safeframe.sizing.parquet.column_sets import Reading
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.sizing.partitions.tasks import PartitionTasks

_JOINED_ROWS = 2**16
"""Rows of states that wait at least before they are joined."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupSpec:
    """What every task of one group-by has to know."""

    call: GroupCall
    """What is done with whole groups."""
    meta: Any
    """What dask promises of the result."""
    states_meta: pd.DataFrame | None
    """The same in a frame that has keys in its index; None where groups are needed whole."""
    frame: FrameSpec
    """Rows, or partial states, as they are staged."""
    states: GroupStates | ExtremeStates | None
    """Partial states; None where groups are needed whole."""
    staged_states: bool
    """Whether these are staged, rather than rows."""
    rows: int
    """Rows of the input."""
    slice_nbytes: int | None
    """Bytes of a shard that are read at a time; None for all of them."""
    limit: PartitionLimit
    """What a task may read."""
    fewer_rows: bool = False
    """Whether a filter may leave fewer."""
    slice_rows: int | None = None
    """Rows of a partition with whole groups that are grouped at a time; None for all of them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartStates:
    """Partial states of some partitions."""

    rows: int
    """Rows that they were made of."""
    states: pd.DataFrame
    """The states, one for each group."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedGroups:
    """The manifest of staged rows or states, and what output partitions have to know."""

    rows: Sealed
    """Where each shard's rows are."""
    spec: GroupSpec


class JoinedStates:
    """Partial states that are joined as they come: those that wait are no more than those that were joined.

    Parameters
    ----------
    states
        How they are joined.
    apart
        Whether states that are added may be of the same group, as those that several tasks have staged are.
    """

    def __init__(self, states: States, *, apart: bool = False) -> None:
        self._states = states
        self._apart = apart
        self._joined: pd.DataFrame | None = None
        self._waiting: list[pd.DataFrame] = []
        self._rows = 0

    def add(self, made: pd.DataFrame) -> None:
        """Take states of more rows, which come after those before."""
        self._waiting.append(_of_promised_types(made, self._states.meta))
        self._rows += len(made)
        if self._rows > max(_JOINED_ROWS, 0 if self._joined is None else len(self._joined)):
            self._join()

    def all(self) -> pd.DataFrame:
        """Return the states of all rows, each group once."""
        self._join()
        return self._states.meta if self._joined is None else self._joined

    def _join(self) -> None:
        if not self._waiting:
            return
        parts = [*([] if self._joined is None else [self._joined]), *self._waiting]
        self._waiting, self._rows, self._joined = [], 0, None
        joined = parts[0] if len(parts) == 1 else pd.concat(with_same_categories(parts), ignore_index=True)
        once = len(parts) == 1 and not self._apart
        del parts
        self._joined = joined if once else self._states.merged(joined)


def _of_promised_types(made: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Return states whose objects that are nulls alone have the promised type.

    A file of nulls has no type for a column that is text in others: pandas would make objects of both, with
    a warning or without one.
    """
    untyped = {
        name: promised
        for at, (name, dtype, promised) in enumerate(zip(made.columns, made.dtypes, meta.dtypes, strict=True))
        if is_object_dtype(dtype) and dtype != promised and made.iloc[:, at].isna().all()
    }
    return made.astype(untyped) if untyped else made


def states_of_slice(frame: pd.DataFrame, states: States) -> pd.DataFrame:
    """Return the partial states of a slice of a partition."""
    return states.states(frame)


def states_of_parts(
    parts: PartitionTasks[SlicedPart], states: States, slice_nbytes: int | None
) -> PartStates:
    """Make the partial states of partitions, slice by slice."""
    use_worker()
    joined, rows = JoinedStates(states), 0
    reading = Reading(as_categories=states.text_keys)
    for frame in _slices(parts, slice_nbytes, reading):
        rows += len(frame)
        joined.add(states.states(frame))
        del frame
    return PartStates(rows=rows, states=joined.all())


def _slices(parts: Iterable[SlicedPart], nbytes: int | None, reading: Reading) -> Iterator[pd.DataFrame]:
    for part in parts:
        yield from part.slices(nbytes, reading)


def join_states(parts: Sequence[PartStates], states: States) -> PartStates:
    """Join the partial states of several tasks, in the order of the input."""
    use_worker()
    joined = JoinedStates(states)
    for part in parts:
        joined.add(part.states)
    return PartStates(rows=sum(part.rows for part in parts), states=joined.all())


def finish_states(parts: Sequence[PartStates], spec: GroupSpec) -> Any:
    """Join the last partial states, and make the result of them.

    Raises
    ------
    RowConservationError
        When the input has other rows than were counted.
    """
    states = spec.states
    assert states is not None, "a tree has partial states"
    joined = join_states(parts, states)
    planned = PlannedKeys(name="The frame", rows=spec.rows, fewer=spec.fewer_rows)
    check_planned(planned, joined.rows, None)
    return _finished(joined.states, spec)


def seal_groups(staged: Sequence[Sequence[StagedFile]], spec: GroupSpec, layout: ShardLayout) -> SealedGroups:
    """Join all manifests into one, and check that every row that was counted is there.

    Raises
    ------
    RowConservationError
        When rows are missing, or there are more than were counted.
    MemoryBudgetError
        When a group that is needed whole has more bytes than a task may read.
    """
    planned = None if spec.staged_states else PlannedKeys(name="The frame", rows=spec.rows)
    sealed = seal([file for files in staged for file in files], spec.frame.dtypes, layout.n_shards, planned)
    if spec.slice_nbytes is None:
        with run_of_task(sealed.directory):
            spec.limit.may_read_shards(sealed.nbytes, layout, in_ranges=False)
    return SealedGroups(rows=sealed, spec=spec)


def group_cell(sealed: SealedGroups, shard: int) -> Any:
    """Make one output partition: the groups of a shard."""
    use_worker(sealed.rows.directory)
    spec, rows = sealed.spec, sealed.rows
    with run_of_task(rows.directory):
        if spec.states is None or spec.slice_nbytes is None:
            return grouped(_frame(spec, fetch(rows, shard)), spec)
        joined = JoinedStates(spec.states, apart=spec.staged_states)
        for block in fetch_slices(rows, shard, spec.slice_nbytes):
            frame = _frame(spec, block)
            del block
            joined.add(frame if spec.staged_states else spec.states.states(frame))
            del frame
        return _finished(joined.all(), spec)


def _finished(found: pd.DataFrame, spec: GroupSpec) -> Any:
    """Make the result of partial states, each group once, in the form that the user asked for."""
    states, meta = spec.states, spec.meta
    assert states is not None, "there are partial states"
    if isinstance(states, ExtremeStates):
        return _called(states.rows(found), spec)
    assert spec.states_meta is not None, "of these there is a result in a frame"
    if states.calls_for_groups:
        none = states.unobserved()
        # Of categories that are not known there are no such groups, and these have no type of them.
        joined = pd.concat([found, none], ignore_index=True) if len(none) or not len(found) else found
        found = states.merged(joined)
    made = states.finished(found, spec.states_meta)
    if isinstance(meta, pd.Series):
        series = made.iloc[:, 0]
        series.name = meta.name
        return _counted(series if spec.call.finish is None else spec.call.finish(series))
    if not spec.call.options["as_index"]:
        made = _with_keys(made, meta)
    return _counted(made)


def _with_keys(made: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Make columns of keys, but of those that have the name of a value, as pandas does."""
    n_keys = len(meta.columns) - made.shape[1]
    made = keys_as_columns(made, but_values=n_keys < made.index.nlevels)
    made.columns = meta.columns
    return made


def grouped(frame: pd.DataFrame, spec: GroupSpec) -> Any:
    """Group a frame that has its groups whole.

    Raises
    ------
    SchemaMismatchError
        When a function of the user's returns other columns than were promised.
    """
    states, at_once = spec.states, spec.slice_rows
    if states is not None and at_once is not None and len(frame) > at_once:
        joined = JoinedStates(states)
        for start in range(0, len(frame), at_once):
            joined.add(states.states(frame.iloc[start : start + at_once]))
        return _finished(joined.all(), spec)
    return _called(frame, spec)


def _called(frame: pd.DataFrame, spec: GroupSpec) -> Any:
    """Call what the user asked for on the groups of a frame, which has them whole."""
    call = spec.call
    if not call.has_groups(frame):
        if not len(frame) or not call.keeps_rows:
            return spec.meta
        if call.needs_groups:
            return _counted(spec.meta.iloc[:0].reindex(range(len(frame))).set_axis(frame.index))
    made = call(frame)
    made = _as_promised(made, spec.meta)
    return _counted(_in_types_of(made, spec.meta) if call.keeps_rows else made)


def _as_promised(made: Any, meta: Any) -> Any:
    """Return what a function made under the promised name, as dask does for a series; refuse other columns."""
    if (
        isinstance(made, pd.DataFrame)
        and isinstance(meta, pd.DataFrame)
        and list(made.columns) == list(meta.columns)
    ):
        return made
    if isinstance(made, pd.Series) and isinstance(meta, pd.Series):
        made.name = meta.name
        return made
    found, promised = map(_said, (made, meta))
    msg = f"The function of a group-by returned {found}, and {promised} was promised."
    hint = "Say what it returns: pass meta=, an empty frame or series of the same names and dtypes."
    raise SchemaMismatchError(msg, hint=hint)


def _in_types_of(made: Any, meta: Any) -> Any:
    """Return rows in the promised types: where all of a partition have a key, integers are integers still.

    They stay so where floats do not hold them, as pandas has them where all rows of the frame have a key.
    """
    if isinstance(made, pd.Series):
        return made.astype(meta.dtype) if _is_narrower(made, meta.dtype) else made
    other = {name: dtype for name, dtype in meta.dtypes.items() if _is_narrower(made[name], dtype)}
    return made.astype(other) if other else made


def _is_narrower(found: pd.Series[Any], promised: Any) -> bool:
    """Whether values are of a type without nulls where one with nulls is promised, and that holds them."""
    dtype = found.dtype
    if not isinstance(dtype, np.dtype) or not isinstance(promised, np.dtype) or dtype == promised:
        return False
    if dtype.kind not in "iubf" or promised.kind not in "fO":
        return False
    if dtype.kind not in "iu" or promised.kind == "O":
        return True
    most = 2 ** (np.finfo(promised).nmant + 1)
    return bool(found.between(-most, most).all())


def _said(what: Any) -> str:
    return (
        f"a dataframe with the columns {list(what.columns)!r}"
        if isinstance(what, pd.DataFrame)
        else f"a {type(what).__name__}"
    )


def _frame(spec: GroupSpec, block: Any) -> pd.DataFrame:
    frame = spec.frame.frame(block)
    return with_promised_categories(frame, spec.frame.meta) if spec.frame.categorical else frame


def _counted(made: Any) -> Any:
    count_rows_out(len(made))
    return made

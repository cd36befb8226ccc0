"""The keys of a merge, from the arguments that name them.

Covers: ``on``, ``left_on``, ``right_on``, ``left_index``, ``right_index`` as
:func:`pandas.merge` takes them, and the frames with their index as a column
where a join needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe.choices import check_flags
from safeframe.engine.merge.key_column import added_column
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.keys import KeySchema
from safeframe.facts.merge import How
from safeframe.kernels.columns.index_freq import freq_of
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.merge.output import JoinKeys, JoinOutput, SideKeys, join_output
from safeframe.kernels.merge.spec import JoinTerms
from safeframe.prepare.arguments import as_names, no_such_column

_INDEX = "__safeframe_index__"
_CONSTANT = "__safeframe_constant__"


@dataclass(frozen=True, slots=True)
class KeyArguments:
    """The arguments of a merge that say what is compared, and what the result is called, in their order."""

    how: How = "inner"
    on: Any = None
    left_on: Any = None
    right_on: Any = None
    left_index: bool = False
    right_index: bool = False
    suffixes: tuple[str | None, str | None] = ("_x", "_y")
    indicator: bool | str = False


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedSides:
    """Two frames as they are joined."""

    left: dd.DataFrame
    """The left side; with its index as the last column where the join needs it."""
    right: dd.DataFrame
    """The right side in the same form; only the keys for a semi or anti join."""
    output: JoinOutput
    """What the result is called."""
    terms: JoinTerms
    """What is compared, and how."""

    @property
    def keys(self) -> tuple[tuple[dd.DataFrame, SideKeys], tuple[dd.DataFrame, SideKeys]]:
        """The left and the right side, each with its keys."""
        return (self.left, self.terms.keys.left), (self.right, self.terms.keys.right)

    def of_rows(self, left: int, right: int) -> KeyedSides:
        """Return the same with the index that pandas gives sides of so many rows: next to one without any it is another."""
        if left and right:
            return self
        terms = self.terms
        output = join_output(
            self.left._meta,
            self.right._meta,
            terms.keys,
            how=terms.how,
            suffixes=terms.suffixes,
            indicator=terms.indicator,
            rows=(left, right),
        )
        return replace(self, output=output)

    @property
    def index_is_key(self) -> bool:
        """Whether the index of the result is the key of both sides."""
        index = self.output.index
        if index is None:
            return False
        for place, (frame, keys) in zip((index.left, index.right), self.keys, strict=True):
            if place is None:
                continue
            column = frame._meta.columns[place]
            if keys.on != (column,) or isinstance(frame._meta[column].dtype, pd.CategoricalDtype):
                return False
        return True


def keyed_sides(left: dd.DataFrame, right: dd.DataFrame, arguments: KeyArguments) -> KeyedSides:
    """Work out the keys of both sides and the names of the result, as :func:`pandas.merge` does.

    Raises
    ------
    KeyNotFoundError
        When a key is neither a column nor the name of the index.
    SchemaMismatchError
        When the keys' types cannot be compared.
    UnsupportedError
        For arrays as keys, and indexes of several levels.
    ValidationError
        When the arguments contradict each other, name no key, or names of the
        result clash.
    """
    keys = _join_keys(left, right, arguments)
    _check_suffixes(arguments.suffixes)
    if not isinstance(arguments.indicator, str):
        check_flags(indicator=arguments.indicator)
    if arguments.how in ("leftsemi", "leftanti"):
        right = right[[name for name in dict.fromkeys(keys.right.on) if name != keys.right.added]]
    try:
        output = join_output(
            left._meta,
            right._meta,
            keys,
            how=arguments.how,
            suffixes=arguments.suffixes,
            indicator=arguments.indicator,
        )
    except (ValueError, KeyError, TypeError) as error:
        hint = "Choose other suffixes=, or rename columns first."
        raise ValidationError(str(error.args[0] if error.args else error), hint=hint) from error
    sources = [*output.columns, *([] if output.index is None else [output.index])]
    kept = JoinKeys(
        left=_with_freq(left, _with_index(left, keys.left, [source.left for source in sources])),
        right=_with_freq(right, _with_index(right, keys.right, [source.right for source in sources])),
    )
    left, right = with_added_column(left, kept.left), with_added_column(right, kept.right)
    terms = JoinTerms(
        keys=kept,
        schema=_schema(left, right, kept),
        how=arguments.how,
        suffixes=(arguments.suffixes[0], arguments.suffixes[1]),
        indicator=arguments.indicator,
    )
    return KeyedSides(left=left, right=right, output=output, terms=terms)


def _schema(left: dd.DataFrame, right: dd.DataFrame, keys: JoinKeys) -> KeySchema:
    return common_schema(
        [left._meta[name] for name in keys.left.on],
        [right._meta[name] for name in keys.right.on],
        left_names=[_said_of(name) for name in keys.left.names or keys.left.on],
        right_names=[_said_of(name) for name in keys.right.names or keys.right.on],
    )


def _said_of(name: Any) -> Any:
    return "the index" if name is None else name


def side_keys(ddf: dd.DataFrame, names: Any, argument: str) -> SideKeys:
    """Find the keys of one frame.

    Parameters
    ----------
    ddf
        The frame.
    names
        A column, or the index' name, or a list of them; None for the index.
    argument
        What messages call the frame.

    Raises
    ------
    KeyNotFoundError, UnsupportedError
        As :func:`keyed_sides` does.
    """
    meta = ddf._meta
    if names is None:
        _check_index(meta.index, argument)
        column = _free_name(meta, _INDEX)
        return SideKeys(on=(column,), names=(meta.index.name,), given=None, added=column)
    given = as_names(names)
    on = []
    for name in given:
        if pd.api.types.is_scalar(name) and pd.isna(name):
            msg = f"A key of {argument} has the name {name!r}, which cannot be used."
            raise ValidationError(msg, hint="Give the column a name first, as with .rename(columns=...).")
        if name in meta.columns:
            on.append(name)
        elif name is not None and name in meta.index.names:
            _check_index(meta.index, argument)
            on.append(_free_name(meta, _INDEX))
        else:
            raise no_such_column(list(meta.columns), name, argument)
    added = next((name for name in on if name not in meta.columns), None)
    return SideKeys(on=tuple(on), names=given, given=given, added=added)


def with_added_column(ddf: dd.DataFrame, keys: SideKeys) -> dd.DataFrame:
    """Add the column that a side's keys need and the frame does not have."""
    if keys.added is None:
        return ddf
    return added_column(ddf, keys.added, index=_is_index(keys))


def _join_keys(left: dd.DataFrame, right: dd.DataFrame, arguments: KeyArguments) -> JoinKeys:
    if arguments.how == "cross":
        return _cross_keys(left, right, arguments)
    left_on, right_on = _named(left, right, arguments)
    keys = JoinKeys(left=side_keys(left, left_on, "left"), right=side_keys(right, right_on, "right"))
    if len(keys.left.on) != len(keys.right.on):
        msg = (
            f"The left side is joined on {len(keys.left.on)} keys ({_said(keys.left)}) and the right side on "
            f"{len(keys.right.on)} ({_said(keys.right)})."
        )
        raise ValidationError(msg, hint="Name the same number of keys on both sides.")
    if not keys.left.on:
        msg = "The merge has no keys."
        raise ValidationError(msg, hint="Name one key column, or a list of them.")
    # The same pair twice says the same twice.
    pairs = dict.fromkeys(zip(keys.left.names, keys.right.names, strict=True))
    if len(pairs) < len(keys.left.on) and keys.left.given is not None and keys.right.given is not None:
        one, other = (list(names) for names in zip(*pairs, strict=True))
        return JoinKeys(left=side_keys(left, one, "left"), right=side_keys(right, other, "right"))
    return keys


def _named(left: dd.DataFrame, right: dd.DataFrame, arguments: KeyArguments) -> tuple[Any, Any]:
    """Return the key names of both sides; None for the index."""
    for argument in ("left_index", "right_index"):
        value = getattr(arguments, argument)
        if not isinstance(value, (bool, np.bool_)):
            msg = f"{argument}={value!r} is neither True nor False."
            raise ValidationError(msg, hint="Name columns in on=, left_on= or right_on=.")
    if arguments.on is not None:
        for argument in ("left_on", "right_on", "left_index", "right_index"):
            if _is_given(getattr(arguments, argument)):
                msg = f"on= and {argument}= exclude each other."
                hint = "Use on= if both sides share the names, otherwise a key for each side."
                raise ValidationError(msg, hint=hint)
        return arguments.on, arguments.on
    if (
        not (arguments.left_index or arguments.right_index)
        and arguments.left_on is None
        and arguments.right_on is None
    ):
        common = [name for name in left._meta.columns if name in right._meta.columns]
        if not common:
            msg = "The two sides have no column in common, and on= is not set."
            raise ValidationError(msg, hint="Name the keys in left_on= and right_on=.")
        return common, common
    for side in ("left", "right"):
        names, index = getattr(arguments, f"{side}_on"), getattr(arguments, f"{side}_index")
        if names is not None and index:
            msg = f"{side}_on= and {side}_index= exclude each other."
            raise ValidationError(msg, hint="Join each side on columns or on its index.")
        if names is None and not index:
            msg = f"The {side} side has no key: {side}_on= is not set, nor is {side}_index=."
            raise ValidationError(msg, hint="Name its key columns, or use on= if both sides share the names.")
    return arguments.left_on, arguments.right_on


def _cross_keys(left: dd.DataFrame, right: dd.DataFrame, arguments: KeyArguments) -> JoinKeys:
    for argument in ("on", "left_on", "right_on", "left_index", "right_index"):
        if _is_given(getattr(arguments, argument)):
            msg = f"how='cross' pairs every row with every row, without {argument}=."
            raise ValidationError(msg, hint=f"Leave {argument}= out, or use another how=.")
    sides = []
    for ddf in (left, right):
        column = _free_name(ddf._meta, _CONSTANT)
        sides.append(SideKeys(on=(column,), names=(), given=(), added=column))
    return JoinKeys(left=sides[0], right=sides[1])


def _is_given(value: Any) -> bool:
    return not (value is None or value is False)


def _check_suffixes(suffixes: Any) -> None:
    if not (
        isinstance(suffixes, (list, tuple))
        and len(suffixes) == 2
        and all(suffix is None or isinstance(suffix, str) for suffix in suffixes)
    ):
        msg = f"suffixes={suffixes!r} is not a pair of strings."
        raise ValidationError(msg, hint='Pass one for each side, such as ("_x", "_y"); None adds nothing.')


def _check_index(index: pd.Index[Any], argument: str) -> None:
    if isinstance(index, pd.MultiIndex):
        msg = f"The index of {argument} is a MultiIndex of {index.nlevels} levels."
        raise UnsupportedError(msg, hint=f"Make them columns first: {argument}.reset_index().")


def _with_index(ddf: dd.DataFrame, side: SideKeys, sources: Sequence[int | None]) -> SideKeys:
    """Make the index a column where the result takes something from it."""
    if side.added is not None or len(ddf._meta.columns) not in sources:
        return side
    return replace(side, added=_free_name(ddf._meta, _INDEX))


def _with_freq(ddf: dd.DataFrame, side: SideKeys) -> SideKeys:
    return replace(side, freq=freq_of(ddf._meta.index)) if _is_index(side) else side


def _is_index(side: SideKeys) -> bool:
    return side.added is not None and side.added.startswith(_INDEX)


def _free_name(meta: pd.DataFrame, name: str) -> str:
    while name in meta.columns:
        name += "_"
    return name


def _said(side: SideKeys) -> str:
    return "its index" if side.given is None else ", ".join(map(repr, side.names))

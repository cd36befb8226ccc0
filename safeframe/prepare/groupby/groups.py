"""Groups of a frame, and what may be done with them: from a method's arguments to a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from dask.dataframe.api import meta_nonempty

from safeframe.errors import KeyNotFoundError, SchemaMismatchError, UnsupportedError, ValidationError
from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.largest import Extremes
from safeframe.kernels.groupby.mixed import MixedAggregation, is_mixed
from safeframe.kernels.groupby.results import keys_as_columns
from safeframe.kernels.groupby.spec import (
    DECOMPOSABLE,
    PAIRED,
    Aggregation,
    Term,
    aggregations,
    pairs_of,
    terms,
)
from safeframe.prepare.arguments import as_names, no_such_column
from safeframe.prepare.groupby.keys import GroupKeys
from safeframe.prepare.groupby.request import GroupRequest, may_be_null

_REFUSED = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    pd.errors.SpecificationError,
    pd.errors.DataError,
)
"""What pandas, and functions of a user's, raise for rows that they do not take."""

_Calls = tuple[tuple[Any, tuple[Any, ...], Mapping[str, Any]], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """Groups of a frame."""

    keys: GroupKeys
    """The frame and its keys."""
    dropna: bool
    observed: bool
    sort: bool | None
    as_index: bool
    group_keys: bool
    picked: Any = None
    """The column, or the list of columns, that are looked at; None for all that are no keys."""

    def pick(self, columns: Any) -> Groups:
        """Return the groups with some columns.

        Raises
        ------
        KeyNotFoundError
            When there is no such column.
        """
        several = isinstance(columns, (list, pd.Index))
        if several and not len(columns):
            msg = "No column is picked of the groups."
            raise ValidationError(msg, hint="Name one column, or a list of them.")
        self._check_columns(as_names(list(columns) if several else [columns]))
        return replace(self, picked=list(columns) if several else columns)

    def _check_columns(self, names: Iterable[Any]) -> None:
        for name in names:
            if name not in self.keys.columns:
                raise no_such_column(list(self.keys.columns), name, "ddf")

    @property
    def values(self) -> list[Any]:
        """Columns that are looked at."""
        if self.picked is None:
            return list(self.keys.values)
        return list(self.picked) if isinstance(self.picked, list) else [self.picked]

    def reduced(self, name: str, options: Mapping[str, Any]) -> GroupRequest:
        """Return one aggregation of all columns that are looked at."""
        if not hasattr(pd.api.typing.DataFrameGroupBy, name):
            msg = f"pandas {pd.__version__} has no {name}() of groups."
            raise UnsupportedError(msg, hint="Update pandas, or make it with apply() or agg() of a function.")
        kwargs = {key: value for key, value in options.items() if key != "numeric_only" or value}
        call = self._call(((name, (), kwargs),))
        meta = self._tried(call)
        found = None
        if name in PAIRED and isinstance(meta, pd.DataFrame):
            wanted = tuple((k, v) for k, v in options.items() if k != "numeric_only")
            columns = self._states_meta(call, meta).columns
            below_keys = self.as_index and self.group_keys and columns.is_unique
            pairs = pairs_of(list(columns), name, wanted) if below_keys else None
            matrix = self._request(call, meta, pairs, with_index=False)
            return replace(matrix, rows_of_group=len(columns))
        if name in DECOMPOSABLE:
            wanted = tuple(sorted((k, v) for k, v in options.items() if k != "numeric_only"))
            labels = [_size_label(meta)] if name == "size" else self._labels(call, meta)
            found = [
                Aggregation(
                    column=None if name == "size" else label, function=name, label=label, options=wanted
                )
                for label in labels
            ]
        request = self._request(call, meta, found, with_index=name in ("idxmin", "idxmax"))
        if options.get("numeric_only") and found is None and self.picked is None:
            request = replace(request, needed=tuple(name for name in self.values if name in meta.columns))
        several = options.get("q")
        if name == "quantile" and several is not None and not pd.api.types.is_scalar(several):
            request = replace(request, rows_of_group=max(len(several), 1))
        return request

    def aggregated(
        self, spec: Any, args: Sequence[Any], named: Mapping[str, Any], meta: Any = None
    ) -> GroupRequest:
        """Return the aggregation by one or more functions, in any form of pandas'."""
        if isinstance(spec, str) and not args and meta is None and spec in DECOMPOSABLE:
            return self.reduced(spec, named)  # which pandas calls, with these arguments
        if spec is None and not named:
            msg = "No function is named."
            raise ValidationError(
                msg, hint="Name one, or several, as in agg('sum') or agg(total=('v', 'sum'))."
            )
        self._check_columns(spec if isinstance(spec, Mapping) else {})
        if any(map(is_mixed, _functions([spec, named]))):
            if args:
                msg = f"agg() has further arguments, {', '.join(map(repr, args))}, which {spec!r} does not take."
                raise ValidationError(msg, hint="Leave them out.")
            return self._mixed(spec, named, meta)
        given = () if spec is None else (spec, *args)
        call = self._call((("agg", given, named),))
        meta = self._tried(call) if meta is None else _as_meta(meta)
        found = None
        one = None if isinstance(self.picked, list) else self.picked
        if spec is None or not (args or named):
            found = aggregations(self.values, self.keys.by, spec, named, picked=one)
        if found is not None:
            return self._request(call, meta, found, with_index=_needs_index(found))
        asked = terms(self.values, self.keys.by, spec, named, picked=one)
        needs_index = asked is None or any(one.may_see_index for one in asked)
        request = self._request(call, meta, None, with_index=needs_index)
        return request if asked is None else self._looking_at(asked, request)

    def _mixed(self, spec: Any, named: Mapping[str, Any], meta: Any) -> GroupRequest:
        """Return an aggregation with functions that pandas does not know; keys become columns afterwards, if at all."""
        one = None if isinstance(self.picked, list) else self.picked
        made = MixedAggregation(tuple(self.values), self.keys.by, one, spec, named)
        call = replace(self, as_index=True, picked=one)._call(((made, (), {}),))
        call = call if self.as_index else replace(call, finish=_with_keys_as_columns)
        request = self._request(
            call, self._tried(call) if meta is None else _as_meta(meta), None, with_index=True
        )
        asked = terms(made.columns, made.by, spec, named, picked=one)
        return request if asked is None else self._looking_at(asked, request)

    def _looking_at(self, asked: Iterable[Term], request: GroupRequest) -> GroupRequest:
        """Return a request for groups that have no other columns than functions are called on."""
        if self.picked is not None:
            return request  # groups are asked for these
        return replace(request, needed=tuple(dict.fromkeys(one.column for one in asked)))

    def of_rows(
        self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], meta: Any = None
    ) -> GroupRequest:
        """Return a call whose result has rows of the input, or whatever a function returns."""
        return self.of_calls(((method, args, kwargs),), meta)

    def of_calls(self, calls: _Calls, meta: Any) -> GroupRequest:
        """As :meth:`of_rows`, for calls that follow each other."""
        # Windows have no rows for categories that do not occur; asked for these, pandas raises, or takes one for another.
        groups = replace(self, observed=True) if calls[0][0] == "rolling" else self
        call = groups._call(calls)
        if_null = None
        if meta is not None:
            made = _as_meta(meta)
        elif call.keeps_rows and self.dropna:
            # Rows without a key have no value, which integers cannot say.
            rows = meta_nonempty(self.keys.frame._meta)
            made = self._tried(call, with_keys(rows, self.keys.by))
            if_null = self._tried(call, without_a_key(rows, self.keys.by))
        else:
            made = self._tried(call)
        return GroupRequest(
            keys=self.keys,
            call=call,
            aggregations=None,
            meta=made,
            meta_if_null=if_null,
            states_meta=None,
            needed=None if self.picked is None else tuple(self.values),
            with_index=True,
            rows_of_input=True,
        )

    def extremes(self, method: Any, n: Any, keep: Any) -> GroupRequest:
        """Return the largest or smallest values of a column in each group.

        Raises
        ------
        ValidationError
            When the arguments are not those of pandas.
        UnsupportedError
            When not one column is picked.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            msg = f"n={n!r} is not a number of values."
            raise ValidationError(msg, hint="Pass a whole number.")
        if keep not in ("first", "last", "all"):
            msg = f"keep={keep!r} is none of 'first', 'last' and 'all'."
            raise ValidationError(
                msg, hint="Leave it out for the first rows of those that have the last value."
            )
        if self.picked is None or isinstance(self.picked, list):
            msg = f"{method}() is of one column, and none is picked."
            raise UnsupportedError(msg, hint=f"Pick it first: groupby(...)['column'].{method}({n}).")
        extremes = Extremes(method, int(n), keep)
        call = self._call(((extremes, (), {}),))
        request = self._request(call, self._tried(call), None, with_index=True)
        if keep == "all" or n < 1:
            return replace(request, rows_of_input=True)
        return replace(request, rows_of_group=int(n), extremes=extremes)

    def rows_of(self, key: Any) -> Any:
        """Return the rows of one group.

        Raises
        ------
        KeyNotFoundError
            When the key has other parts than there are columns of keys.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) != len(self.keys.by):
            msg = f"A key of {len(self.keys.by)} parts is expected; {key!r} has {len(keys)}."
            raise KeyNotFoundError(msg, hint="Name one value for each column of by=, in a tuple.")
        frame = self.keys.frame
        for name, value in zip(self.keys.by, keys, strict=True):
            column = frame[name]
            frame = frame[
                column.isna() if pd.api.types.is_scalar(value) and pd.isna(value) else column == value
            ]
        return frame[list(self.keys.columns) if self.picked is None else self.picked]

    def _call(self, calls: _Calls) -> GroupCall:
        return GroupCall(
            by=self.keys.by,
            names=self.keys.names,
            listed=self.keys.listed,
            options={
                "dropna": self.dropna,
                "observed": self.observed,
                "sort": bool(self.sort),
                "as_index": self.as_index,
                "group_keys": self.group_keys,
            },
            picked=self.picked,
            calls=calls,
        )

    def _tried(self, call: GroupCall, rows: pd.DataFrame | None = None) -> Any:
        """Return the types of a result, from a call on a few rows, made up unless they are given.

        Raises
        ------
        SchemaMismatchError
            When the call cannot be made.
        """
        given = rows
        rows = meta_nonempty(self.keys.frame._meta) if given is None else given
        try:
            with np.errstate(all="ignore"):
                made = call(rows)
        except (*_REFUSED, NotImplementedError) as error:
            if given is None and len(rows.columns) and rows.iloc[1:].isna().any(axis=None):
                # Some functions want a value in each group, and the second row of what is made up has nulls.
                return self._tried(call, rows.iloc[[0] * len(rows)].set_axis(rows.index))
            if call.calls_for_groups(rows):
                # Some have no result for a category that does not occur, as few do of what is made up.
                return self._tried(replace(call, options={**call.options, "observed": True}), given)
            msg = f"{call.said} of these groups fails for rows of their types: {error}"
            raise SchemaMismatchError(
                msg,
                hint="Pick columns of types that it takes, or pass meta= where a function needs real rows.",
            ) from error
        if not isinstance(made, (pd.DataFrame, pd.Series)):
            msg = f"The function of a group-by returned a {type(made).__name__} for all groups."
            raise UnsupportedError(msg, hint="Return a value, a series or a frame for each group.")
        return made.iloc[:0]

    def _labels(self, call: GroupCall, meta: Any) -> list[Any]:
        """Return the columns of values that a result has, by their names in the frame."""
        if self.picked is not None and not isinstance(self.picked, list):
            return [self.picked]
        return list(self._states_meta(call, meta).columns)

    def _request(
        self, call: GroupCall, meta: Any, found: Sequence[Aggregation] | None, *, with_index: bool
    ) -> GroupRequest:
        needed = None if self.picked is None else tuple(self.values)
        if found is not None:
            looked_at = [name for one in found for name in one.columns]
            needed = tuple(dict.fromkeys([*looked_at, *(needed or ())]))
        return GroupRequest(
            keys=self.keys,
            call=call,
            aggregations=None if found is None else tuple(found),
            meta=meta,
            states_meta=None if found is None else self._states_meta(call, meta),
            needed=needed,
            with_index=with_index,
            rows_of_input=False,
            first_rows_order=self.sort is not None and not self.sort,
        )

    def _states_meta(self, call: GroupCall, meta: Any) -> pd.DataFrame:
        """Return the result of no rows with keys in its index, in a frame, as partial states are finished."""
        made = (
            meta if self.as_index else self._tried(replace(call, options={**call.options, "as_index": True}))
        )
        return made.to_frame() if isinstance(made, pd.Series) else made


def _functions(spec: Any) -> Iterator[Any]:
    """Yield what an argument of ``agg`` names, in whatever form."""
    if isinstance(spec, Mapping):
        spec = list(spec.values())
    if isinstance(spec, pd.NamedAgg):
        spec = spec.aggfunc
    if isinstance(spec, (list, tuple)):
        for one in spec:
            yield from _functions(one)
    else:
        yield spec


def with_keys(rows: pd.DataFrame, by: Sequence[Any]) -> pd.DataFrame:
    """Return as many rows, all of which have a key, where one has."""
    there = rows.dropna(subset=list(by))
    return there.iloc[[0] * len(rows)].set_axis(rows.index) if 0 < len(there) < len(rows) else rows


def without_a_key(rows: pd.DataFrame, by: Sequence[Any]) -> pd.DataFrame:
    """Return rows of which the first has a null key, where a key may be null, and the others have keys."""
    rows = with_keys(rows, by).copy()
    for name in by:
        if may_be_null(rows[name].dtype):
            rows[name] = rows[name].mask(np.arange(len(rows)) == 0)
            break
    return rows


def _with_keys_as_columns(made: Any) -> pd.DataFrame:
    return keys_as_columns(made.to_frame() if isinstance(made, pd.Series) else made, but_values=True)


def _size_label(meta: Any) -> Any:
    return meta.name if isinstance(meta, pd.Series) else "size"


def _as_meta(meta: Any) -> Any:
    """Return an empty frame or series of what a user says that a result is."""
    if isinstance(meta, (pd.DataFrame, pd.Series)):
        return meta.iloc[:0]
    if isinstance(meta, tuple) and len(meta) == 2:
        return pd.Series([], name=meta[0], dtype=meta[1])
    if isinstance(meta, list) and all(isinstance(one, tuple) and len(one) == 2 for one in meta):
        meta = dict(meta)
    if isinstance(meta, Mapping):
        return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in meta.items()})
    msg = f"meta={meta!r} is neither a frame nor a series."
    raise SchemaMismatchError(
        msg, hint="Pass an empty pandas object with the names and dtypes of the result."
    )


def _needs_index(found: Sequence[Aggregation]) -> bool:
    return any(one.function in ("idxmin", "idxmax") for one in found)

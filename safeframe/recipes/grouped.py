"""What may be done with groups: the methods of pandas' group-by, for groups of a dask dataframe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import KeyStatistics
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import as_npartitions, exchange_strategy, refuse_options
from safeframe.prepare.groupby.groups import Groups
from safeframe.prepare.groupby.plan import grouped_collection, plan_groups

_ANSWERS = {
    "pipe": ("it is a call of a function", "Call the function on the groups yourself."),
    "plot": ("plots need all rows in one process", "Aggregate first, and plot what compute() returns."),
    "hist": ("plots need all rows in one process", "Aggregate first, and plot what compute() returns."),
    "boxplot": ("plots need all rows in one process", "Aggregate first, and plot what compute() returns."),
    "groups": ("it would name every row", "Use size() for the keys and their rows."),
    "indices": ("it would name every row", "Use size() for the keys and their rows."),
    "ngroups": ("groups are counted when they are computed", "Use len(groups.size())."),
    "resample": ("it is not written", "Use apply() with a function that resamples its group."),
    "expanding": ("it is not written", "Use apply() with a function that expands over its group."),
    "ewm": ("it is not written", "Use apply() with a function that weighs its group."),
    "sample": ("it is not written", "Use apply() with a function that samples its group, and meta=."),
    "ngroup": ("groups have no order", "Use size() for the keys and their rows."),
    "ohlc": ("it is not written", 'Use agg(["first", "max", "min", "last"]).'),
    "corrwith": ("it is not written", "Use apply() with a function that calls it for its group."),
    "fillna": (
        "pandas has none",
        "Use ffill(), bfill() or transform() with a function that fills its group.",
    ),
    "filter": ("it is not written", "Merge the frame with the keys of the groups that stay."),
}
"""Methods that there are not: why, and what to do instead."""


class GroupBy:
    """Groups of a dask dataframe; made by :func:`safeframe.groupby`.

    ``groups["v"]`` and ``groups.v`` pick a column, ``groups[["v", "w"]]`` several.
    Methods have the names, arguments and results of pandas, and return lazy dask collections.

    Parameters
    ----------
    groups, given, statistics
        As :func:`safeframe.groupby` makes them.
    """

    def __init__(self, groups: Groups, given: PartitionOptions, statistics: KeyStatistics | None) -> None:
        self._groups = groups
        self._given = given
        self._statistics = statistics

    def __getitem__(self, columns: Any) -> GroupBy:
        return GroupBy(self._groups.pick(columns), self._given, self._statistics)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and self._groups.picked is None and name in self._groups.keys.columns:
            return self[name]
        if name in _ANSWERS:
            msg = f"groupby has no {name}: {_ANSWERS[name][0]}."
            raise UnsupportedError(msg, hint=_ANSWERS[name][1])
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(str(name) for name in self._groups.keys.columns)]

    def __repr__(self) -> str:
        picked = "" if self._groups.picked is None else f"[{self._groups.picked!r}]"
        return f"<safeframe groupby {list(self._groups.keys.names)!r}{picked}>"

    # Aggregations -------------------------------------------------------------

    def agg(self, spec: Any = None, *args: Any, meta: Any = None, **named: Any) -> Any:
        """Aggregate each group with one or more functions.

        Parameters
        ----------
        spec
            What pandas takes: a function or its name, a list of them, or a dict of column to either. dask's
            ``Aggregation``, ``"mode"`` (the most frequent value, of several the least) and ``"list"`` are functions as well.
        *args
            Further arguments of functions.
        meta
            Empty frame or series with the names and dtypes of the result; needed
            where functions of the user's cannot be tried on a few made-up rows.
        **named
            Named aggregations, as in ``total=("v", "sum")``; dask's ``split_every``, ``split_out`` and
            ``shuffle_method``.
        """
        given, named = self._options(named)
        return self._made(self._groups.aggregated(spec, args, named, meta), given)

    aggregate = agg

    def _reduced(self, name: str, options: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
        given, unknown = self._options(more)
        refuse_options(name, unknown, options)
        return self._made(self._groups.reduced(name, options), given)

    def sum(self, numeric_only: bool = False, min_count: int = 0, **options: Any) -> Any:
        """Return the sum of each group."""
        return self._reduced("sum", {"numeric_only": numeric_only, "min_count": min_count or 0}, options)

    def prod(self, numeric_only: bool = False, min_count: int = 0, **options: Any) -> Any:
        """Return the product of each group."""
        return self._reduced("prod", {"numeric_only": numeric_only, "min_count": min_count or 0}, options)

    def mean(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the mean of each group."""
        return self._reduced("mean", {"numeric_only": numeric_only}, options)

    def min(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the smallest value of each group."""
        return self._reduced("min", {"numeric_only": numeric_only}, options)

    def max(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the largest value of each group."""
        return self._reduced("max", {"numeric_only": numeric_only}, options)

    def first(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the first value of each group that is not null."""
        return self._reduced("first", {"numeric_only": numeric_only}, options)

    def last(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the last value of each group that is not null."""
        return self._reduced("last", {"numeric_only": numeric_only}, options)

    def var(self, ddof: int = 1, numeric_only: bool = False, **options: Any) -> Any:
        """Return the variance of each group."""
        return self._reduced("var", {"ddof": ddof, "numeric_only": numeric_only}, options)

    def std(self, ddof: int = 1, numeric_only: bool = False, **options: Any) -> Any:
        """Return the standard deviation of each group."""
        return self._reduced("std", {"ddof": ddof, "numeric_only": numeric_only}, options)

    def sem(self, ddof: int = 1, numeric_only: bool = False, **options: Any) -> Any:
        """Return the standard error of the mean of each group."""
        return self._reduced("sem", {"ddof": ddof, "numeric_only": numeric_only}, options)

    def skew(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the skewness of each group."""
        return self._reduced("skew", {"numeric_only": numeric_only}, options)

    def any(self, skipna: bool = True, **options: Any) -> Any:
        """Return whether any value of each group is true."""
        return self._reduced("any", {"skipna": skipna}, options)

    def all(self, skipna: bool = True, **options: Any) -> Any:
        """Return whether all values of each group are true."""
        return self._reduced("all", {"skipna": skipna}, options)

    def count(self, **options: Any) -> Any:
        """Return the number of values of each group that are not null."""
        return self._reduced("count", {}, options)

    def size(self, **options: Any) -> Any:
        """Return the number of rows of each group."""
        return self._reduced("size", {}, options)

    def idxmin(self, skipna: bool = True, numeric_only: bool = False, **options: Any) -> Any:
        """Return the index of the smallest value of each group."""
        return self._reduced("idxmin", {"skipna": skipna, "numeric_only": numeric_only}, options)

    def idxmax(self, skipna: bool = True, numeric_only: bool = False, **options: Any) -> Any:
        """Return the index of the largest value of each group."""
        return self._reduced("idxmax", {"skipna": skipna, "numeric_only": numeric_only}, options)

    def median(self, numeric_only: bool = False, **options: Any) -> Any:
        """Return the median of each group."""
        return self._reduced("median", {"numeric_only": numeric_only}, options)

    def quantile(
        self, q: Any = 0.5, interpolation: str = "linear", numeric_only: bool = False, **options: Any
    ) -> Any:
        """Return exact quantiles of each group."""
        return self._reduced(
            "quantile", {"q": q, "interpolation": interpolation, "numeric_only": numeric_only}, options
        )

    def nunique(self, dropna: bool = True, **options: Any) -> Any:
        """Return the number of distinct values of each group."""
        return self._reduced("nunique", {"dropna": dropna}, options)

    def cov(
        self, min_periods: int | None = None, ddof: int = 1, numeric_only: bool = False, **options: Any
    ) -> Any:
        """Return the covariances of the columns of each group: a matrix for each, below each other."""
        return self._reduced(
            "cov", {"min_periods": min_periods, "ddof": ddof, "numeric_only": numeric_only}, options
        )

    def corr(
        self, method: Any = "pearson", min_periods: int = 1, numeric_only: bool = False, **options: Any
    ) -> Any:
        """Return the correlations of the columns of each group: a matrix for each, below each other."""
        return self._reduced(
            "corr", {"method": method, "min_periods": min_periods, "numeric_only": numeric_only}, options
        )

    def kurt(self, skipna: bool = True, numeric_only: bool = False, **options: Any) -> Any:
        """Return the kurtosis of each group, which is made whole."""
        return self._reduced("kurt", {"skipna": skipna, "numeric_only": numeric_only}, options)

    def describe(
        self, percentiles: Any = None, include: Any = None, exclude: Any = None, **options: Any
    ) -> Any:
        """Return count, mean, standard deviation and quantiles of each group, which is made whole."""
        return self._reduced(
            "describe", {"percentiles": percentiles, "include": include, "exclude": exclude}, options
        )

    def unique(self, **options: Any) -> Any:
        """Return an array of the distinct values of each group, which is made whole."""
        return self._reduced("unique", {}, options)

    def value_counts(self, **options: Any) -> Any:
        """Return how often each value of each group occurs; groups are made whole."""
        given, kwargs = self._options(options)
        return self._made(self._groups.of_rows("value_counts", (), kwargs), given)

    # Rows of groups -------------------------------------------------------------

    def apply(self, func: Any, *args: Any, meta: Any = None, **kwargs: Any) -> Any:
        """Call a function on each group, which is made whole.

        Parameters
        ----------
        func
            Takes a group, and returns a frame, a series or a value.
        *args, **kwargs
            Further arguments of it.
        meta
            Empty frame or series with the names and dtypes of the result. By default
            the function is tried on a few made-up rows.
        """
        given, kwargs = self._options(kwargs)
        return self._made(self._groups.of_rows("apply", (func, *args), kwargs, meta), given)

    def transform(self, func: Any, *args: Any, meta: Any = None, **kwargs: Any) -> Any:
        """Replace the values of each group, which is made whole, by what a function returns for them.

        Parameters
        ----------
        func, *args, meta, **kwargs
            As in :meth:`apply`; ``func`` may be the name of an aggregation.
        """
        given, kwargs = self._options(kwargs)
        return self._made(self._groups.of_rows("transform", (func, *args), kwargs, meta), given)

    def cumsum(self, **kwargs: Any) -> Any:
        """Return the running sum within each group; rows of a group stay in order."""
        return self._rows("cumsum", (), kwargs)

    def cumprod(self, **kwargs: Any) -> Any:
        """Return the running product within each group; rows of a group stay in order."""
        return self._rows("cumprod", (), kwargs)

    def cummin(self, **kwargs: Any) -> Any:
        """Return the running minimum within each group; rows of a group stay in order."""
        return self._rows("cummin", (), kwargs)

    def cummax(self, **kwargs: Any) -> Any:
        """Return the running maximum within each group; rows of a group stay in order."""
        return self._rows("cummax", (), kwargs)

    def cumcount(self, **kwargs: Any) -> Any:
        """Number the rows of each group, from zero."""
        return self._rows("cumcount", (), kwargs)

    def shift(self, periods: int = 1, meta: Any = None, **kwargs: Any) -> Any:
        """Shift values within each group; :func:`safeframe.groupby_lag_transform` needs no group whole."""
        return self._rows("shift", (periods,), {"meta": meta, **kwargs})

    def diff(self, periods: int = 1, meta: Any = None, **kwargs: Any) -> Any:
        """Return the difference to a row before within each group."""
        return self._rows("diff", (periods,), {"meta": meta, **kwargs})

    def rank(self, **kwargs: Any) -> Any:
        """Return the rank of each row within its group."""
        return self._rows("rank", (), kwargs)

    def ffill(self, **kwargs: Any) -> Any:
        """Fill nulls with the last value before them within each group."""
        return self._rows("ffill", (), kwargs)

    def bfill(self, **kwargs: Any) -> Any:
        """Fill nulls with the first value after them within each group."""
        return self._rows("bfill", (), kwargs)

    def head(self, n: int = 5, **kwargs: Any) -> Any:
        """Return the first rows of each group."""
        return self._rows("head", (n,), kwargs)

    def tail(self, n: int = 5, **kwargs: Any) -> Any:
        """Return the last rows of each group."""
        return self._rows("tail", (n,), kwargs)

    def nth(self, n: Any, dropna: Any = None, **kwargs: Any) -> Any:
        """Return the n-th row of each group."""
        return self._rows("nth", (n,), {"dropna": dropna, **kwargs})

    def nlargest(self, n: int = 5, keep: str = "first", **kwargs: Any) -> Any:
        """Return the largest values of a column in each group, with the labels of their rows below the keys."""
        return self._extremes("nlargest", n, keep, kwargs)

    def nsmallest(self, n: int = 5, keep: str = "first", **kwargs: Any) -> Any:
        """Return the smallest values of a column in each group, with the labels of their rows below the keys."""
        return self._extremes("nsmallest", n, keep, kwargs)

    def _extremes(self, method: str, n: int, keep: str, kwargs: Mapping[str, Any]) -> Any:
        given, unknown = self._options(kwargs)
        refuse_options(method, unknown, {"n": n, "keep": keep})
        return self._made(self._groups.extremes(method, n, keep), given)

    def pct_change(self, *args: Any, **kwargs: Any) -> Any:
        """Return by how much values change from a row before within each group, as a share."""
        return self._rows("pct_change", args, kwargs)

    def _rows(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        given, kwargs = self._options(kwargs)
        meta = kwargs.pop("meta", None)
        return self._made(self._groups.of_rows(method, args, kwargs, meta), given)

    def rolling(self, window: Any, **kwargs: Any) -> RollingGroups:
        """Return windows of rows of each group, with pandas' aggregations: ``rolling(3).mean()``."""
        return RollingGroups(self, window, kwargs)

    def get_group(self, key: Any) -> Any:
        """Return the rows of one group."""
        return self._groups.rows_of(key)

    # -----------------------------------------------------------------------------

    def _options(self, kwargs: Mapping[str, Any]) -> tuple[PartitionOptions, dict[str, Any]]:
        """Take dask's arguments of how partitions come about out of those of a method."""
        rest = dict(kwargs)
        given = self._given
        method, n = rest.pop("shuffle_method", None), rest.pop("split_out", None)
        rest.pop("split_every", None)  # it tunes a tree of dask's
        rest.pop("ignore_index", None)
        return (
            PartitionOptions(
                npartitions=given.npartitions if n is None or n is True else as_npartitions(n),
                partition_size=given.partition_size,
                strategy=exchange_strategy("groupby", method, given.strategy),
                memory=given.memory,
                staging=given.staging,
            ),
            rest,
        )

    def _made(self, request: Any, given: PartitionOptions) -> Any:
        return grouped_collection(plan_groups(request.with_statistics(self._statistics), given))


class RollingGroups:
    """Windows of rows of each group; made by :meth:`GroupBy.rolling`.

    Parameters
    ----------
    groups, window, options
        As :meth:`GroupBy.rolling` takes them.
    """

    def __init__(self, groups: GroupBy, window: Any, options: Mapping[str, Any]) -> None:
        self._groups = groups
        self._window = window
        self._options = options

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args: Any, **kwargs: Any) -> Any:
            groups = self._groups
            request = groups._groups.of_calls(
                (("rolling", (self._window,), self._options), (name, args, kwargs)), None
            )
            return groups._made(request, groups._given)

        return method

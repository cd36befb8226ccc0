"""``ddf.safe``: the recipes as methods of dask dataframes.

Importing safeframe registers the accessor. ``ddf.safe.merge(other, on="k")`` is
``safeframe.merge(ddf, other, on="k")``: each method calls the recipe of the same
name with the frame as its first argument.

Does not cover: recipes of dask arrays and bags, which have no accessors.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import dask.dataframe as dd
from dask.dataframe.extensions import register_dataframe_accessor

from safeframe.errors import SchemaMismatchError
from safeframe.recipes.drop_duplicates import drop_duplicates, plan_drop_duplicates
from safeframe.recipes.duplicated import duplicated, plan_duplicated
from safeframe.recipes.explain import explain
from safeframe.recipes.groupby import groupby, plan_groupby
from safeframe.recipes.groupby_lag_transform import groupby_lag_transform, plan_lag
from safeframe.recipes.merge import merge, plan_merge
from safeframe.recipes.nunique import nunique, plan_nunique
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions
from safeframe.recipes.set_index import plan_set_index, set_index
from safeframe.recipes.shuffle import plan_shuffle, shuffle
from safeframe.recipes.sort_values import plan_sort_values, sort_values
from safeframe.recipes.sorted_merge import plan_sorted_merge, sorted_merge
from safeframe.recipes.statistics import estimate, estimate_merge, key_statistics
from safeframe.recipes.to_parquet import to_parquet
from safeframe.recipes.unique import plan_unique, unique
from safeframe.recipes.value_counts import plan_value_counts, value_counts

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Method(Generic[_P, _R]):
    """A recipe as a method, bound to the accessor's frame as its first argument.

    There is no wrapper function, so the signature, the documentation and the line that a warning points to are
    the recipe's own.
    """

    def __init__(self, recipe: Callable[Concatenate[Any, _P], _R]) -> None:
        self.recipe = recipe

    @overload
    def __get__(self, accessor: None, owner: type) -> Callable[Concatenate[Any, _P], _R]: ...

    @overload
    def __get__(self, accessor: SafeAccessor, owner: type) -> Callable[_P, _R]: ...

    def __get__(self, accessor: SafeAccessor | None, owner: type) -> Callable[..., _R]:
        return self.recipe if accessor is None else MethodType(self.recipe, accessor.frame)


@register_dataframe_accessor("safe")
class SafeAccessor:
    """Accessor ``ddf.safe`` with the recipes of safeframe as methods.

    Parameters
    ----------
    frame
        The dask dataframe. A column named ``safe`` is still available as ``ddf["safe"]``.

    Raises
    ------
    SchemaMismatchError
        When ``frame`` is not a dask dataframe.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> orders = dd.from_pandas(pd.DataFrame({"item": [1, 2, 2], "count": [5, 6, 7]}), npartitions=2)
    >>> prices = dd.from_pandas(pd.DataFrame({"item": [1, 2], "price": [0.5, 2.0]}), npartitions=1)
    >>> len(orders.safe.merge(prices, on="item"))
    3
    >>> orders.safe.set_index("item").divisions
    (1, 2)
    """

    def __init__(self, frame: Any) -> None:
        if not isinstance(frame, dd.DataFrame):
            msg = f"The accessor .safe works on dask dataframes, not on a {type(frame).__name__}."
            hint = "Wrap a pandas dataframe: dask.dataframe.from_pandas(df, npartitions=1).safe."
            raise SchemaMismatchError(msg, hint=hint)
        self.frame = frame
        """The dataframe."""

    drop_duplicates = _Method(drop_duplicates)
    duplicated = _Method(duplicated)
    estimate = _Method(estimate)
    estimate_merge = _Method(estimate_merge)
    explain = _Method(explain)
    groupby = _Method(groupby)
    groupby_lag_transform = _Method(groupby_lag_transform)
    key_statistics = _Method(key_statistics)
    merge = _Method(merge)
    nunique = _Method(nunique)
    p2p_shuffle = _Method(p2p_shuffle)
    plan_drop_duplicates = _Method(plan_drop_duplicates)
    plan_duplicated = _Method(plan_duplicated)
    plan_groupby = _Method(plan_groupby)
    plan_lag = _Method(plan_lag)
    plan_merge = _Method(plan_merge)
    plan_nunique = _Method(plan_nunique)
    plan_p2p_shuffle = _Method(plan_p2p_shuffle)
    plan_rebalance = _Method(plan_rebalance)
    plan_set_index = _Method(plan_set_index)
    plan_shuffle = _Method(plan_shuffle)
    plan_sort_values = _Method(plan_sort_values)
    plan_sorted_merge = _Method(plan_sorted_merge)
    plan_unique = _Method(plan_unique)
    plan_value_counts = _Method(plan_value_counts)
    rebalance_partitions = _Method(rebalance_partitions)
    set_index = _Method(set_index)
    shuffle = _Method(shuffle)
    sort_values = _Method(sort_values)
    sorted_merge = _Method(sorted_merge)
    # mypy wants the frame to be positional-only, since **writer_options could contain its name.
    to_parquet = _Method(to_parquet)  # type: ignore[arg-type]
    unique = _Method(unique)
    value_counts = _Method(value_counts)

"""``safeframe.shuffle``: all rows of a key in one partition, on small workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, cast

import dask.dataframe as dd
import pandas as pd
from dask import is_dask_collection
from dask.dataframe.api import new_collection

from safeframe import config
from safeframe.choices import check_choice, check_flags
from safeframe.engine.exchange.nodes import self_made
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SafeSort
from safeframe.errors import ValidationError
from safeframe.facts.keys import KeyStatistics, ShuffleKeys
from safeframe.facts.plan import Plan
from safeframe.facts.sort import ShuffleFacts
from safeframe.kernels.columns.rows import rows_have_fixed_width
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.routing.hashes import HashRouter
from safeframe.planning.sort.shuffle import plan_shuffle as make_plan
from safeframe.prepare.arguments import as_names, check_frame, check_keys, given_budget
from safeframe.prepare.dask_arguments import as_npartitions, exchange_strategy, refuse, refuse_options
from safeframe.prepare.merge.sizes import check_statistics
from safeframe.prepare.sort.order import SortOptions
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.keys.statistics import gather_key_statistics

__all__ = ["plan_shuffle", "shuffle"]

_RECIPE = "shuffle"
_STRATEGIES = ("staged", "p2p")


def shuffle(
    ddf: dd.DataFrame,
    /,
    on: Any = None,
    *,
    npartitions: int | str | None = None,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    ignore_index: bool = False,
    shuffle_method: str | None = None,
    on_index: bool = False,
    force: bool = False,
    **options: Any,
) -> dd.DataFrame:
    """Shuffle a dask dataframe so that all rows of a key are in one partition.

    Parameters
    ----------
    ddf
        The dask dataframe.
    on
        Key column, or a list of them.
    npartitions
        Number of output partitions. By default enough to keep the largest
        within ``partition_size``, and at least as many as ``ddf`` has.
        ``"auto"`` leaves it to the plan.
    strategy
        ``"staged"``: through files in the staging directory. ``"p2p"``: as
        :func:`safeframe.p2p_shuffle`. By default, staged if there is a
        directory that all workers can reach.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes; a key with more rows makes a larger one. By default the
        configured ``safeframe.partition-size``, or a size that leaves room for
        the steps that follow.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    statistics
        Key statistics of ``ddf``, if they were gathered before.
    ignore_index
        Whether to drop the index; it then counts from zero in each partition.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    on_index
        Refused with an error if true: keys are columns.
    force
        Accepted without effect: rows are always shuffled.
    **options
        Refused: options of dask's shuffles.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. All rows of a key are in one partition; rows of a partition are
        in the order of the input. In two frames with keys of the same types
        and the same ``npartitions``, a key is in the partition of the same
        number, with either strategy.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.

    Notes
    -----
    **Eager.** The key columns are read once, when this function is called.

    **Memory**, **disk** and **passes** are those of :func:`safeframe.set_index`
    for ``"staged"``, and of :func:`safeframe.p2p_shuffle` for ``"p2p"``.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> shuffled = safeframe.shuffle(frame, "k", npartitions=3)
    >>> int(shuffled.map_partitions(lambda part: part["k"].nunique()).compute().sum())
    2
    """
    del force  # rows are always shuffled
    check_flags(ignore_index=ignore_index, on_index=on_index)
    _check_dask_arguments(on, options, on_index=on_index)
    given = _Given(
        ddf=ddf,
        on=on,
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        memory=memory,
        statistics=statistics,
    )
    strategy = exchange_strategy(_RECIPE, shuffle_method, strategy)
    planned = _planned(given, strategy, staging, with_index=not ignore_index)
    if planned is None:
        moved = p2p_shuffle(**given.arguments())
        return moved.reset_index(drop=True) if ignore_index else moved
    if planned.plan.staging_directory is not None:
        check_staging(planned.plan.staging_directory)
    expression = SafeSort(
        planned.frame,
        plan=planned.plan,
        router=planned.router,
        order=None,
        by=planned.router.on,
        given_divisions=(None,) * (planned.plan.output_partitions + 1),
        index_column=None,
        drop=True,
        group=planned.group,
        with_index=not ignore_index,
        alignment=None,
        p2p=None,
        parts=None,
    )
    return cast("dd.DataFrame", new_collection(expression))


def plan_shuffle(
    ddf: dd.DataFrame,
    /,
    on: Any = None,
    *,
    npartitions: int | str | None = None,
    strategy: str | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    ignore_index: bool = False,
    shuffle_method: str | None = None,
    on_index: bool = False,
    force: bool = False,
    **options: Any,
) -> Plan:
    """Return the plan of :func:`safeframe.shuffle`, without moving rows.

    Takes the arguments of :func:`safeframe.shuffle`.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.shuffle`: the key columns are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2]}), npartitions=2)
    >>> safeframe.plan_shuffle(frame, "k", npartitions=3).output_partitions
    3
    """
    del force  # rows are always shuffled
    check_flags(ignore_index=ignore_index, on_index=on_index)
    _check_dask_arguments(on, options, on_index=on_index)
    given = _Given(
        ddf=ddf,
        on=on,
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        memory=memory,
        statistics=statistics,
    )
    strategy = exchange_strategy(_RECIPE, shuffle_method, strategy)
    planned = _planned(given, strategy, staging, with_index=not ignore_index)
    if planned is not None:
        return planned.plan
    return replace(plan_p2p_shuffle(**given.arguments()), recipe="shuffle")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    ddf: Any
    on: Any
    npartitions: int | None
    partition_size: str | int | None
    memory: str | int | None
    statistics: KeyStatistics | None

    def arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    frame: dd.DataFrame
    plan: Plan
    router: HashRouter
    group: tuple[int, int]


def _check_dask_arguments(on: Any, options: Mapping[str, Any], *, on_index: bool) -> None:
    refuse_options(_RECIPE, options, signature(shuffle).parameters)
    if on_index:
        refuse(
            _RECIPE,
            "on_index",
            on_index,
            "its keys are columns",
            "Make the index a column: ddf.reset_index().",
        )
    if is_dask_collection(on) or isinstance(on, (pd.Series, pd.DataFrame)):
        hint = "Make it a column first, as with ddf.assign(key=...)."
        refuse(_RECIPE, "on", type(on).__name__, "its keys are columns", hint)
    if on is None:
        msg = "No column is named."
        raise ValidationError(msg, hint="Name one column, or a list of them, in on=.")


def _planned(
    given: _Given, strategy: str | None, staging: str | None, *, with_index: bool
) -> _Planned | None:
    """Plan a staged shuffle; None where P2P is to move the rows."""
    if strategy is not None:
        check_choice(strategy, _STRATEGIES, argument="strategy", what="a strategy of shuffle")
    frame = check_frame(given.ddf, "ddf")
    names = as_names(given.on)
    check_keys(frame, names, "ddf")
    SortOptions(
        npartitions=given.npartitions,
        partition_size=given.partition_size,
        strategy=None,
        memory=None,
        staging=None,
    ).checked()
    where = staging_facts(staging)
    if strategy == "p2p" or (strategy is None and where.directory is None):
        return None
    if where.directory is None:
        msg = f"strategy='staged' cannot run this shuffle: {where.unavailable}."
        raise ValidationError(
            msg, hint="Name a directory in staging= that all workers can reach, or leave strategy= out."
        )
    partition_nbytes = config.partition_nbytes(given.partition_size)
    set_up_workers()
    budget = given_budget(given.memory)
    columns = [frame._meta[name] for name in names]
    schema = common_schema(columns, columns, left_names=names, right_names=names)
    sources = source_files(frame)
    keys = given.statistics
    if keys is None:
        keys = gather_key_statistics([(frame, names)], schema)[0]
    else:
        check_statistics(keys, names, frame)
    profile = profile_frame(frame, keys.partitions.rows)
    width = profile.width + profile.kept_index_width if with_index else profile.width
    plan, group = make_plan(
        ShuffleFacts(
            keys=ShuffleKeys.of(keys),
            partition_rows=keys.partitions.rows,
            profile=profile,
            row_nbytes=width.bounding,
            output_width=width,
            budget=budget,
            staging=where,
            partition_nbytes=partition_nbytes,
            npartitions=given.npartitions,
            self_made=self_made(frame),
            fixed_width=rows_have_fixed_width([*frame._meta.dtypes, frame._meta.index.dtype]),
            p2p_rejected="staged was asked for" if strategy else "staged comes first and can run",
        )
    )
    return _Planned(
        frame=frame,
        plan=replace(plan, sources=sources),
        router=HashRouter(names, schema, plan.output_partitions),
        group=group,
    )

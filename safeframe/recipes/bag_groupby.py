"""``safeframe.bag_groupby``: the items of a bag grouped by key, on small workers."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

import dask.bag as db
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from safeframe.engine.bag.graph import BagGraph
from safeframe.engine.bag.tasks import BagSpec
from safeframe.engine.exchange.runs import prepare_runs
from safeframe.engine.planned.layer import PlannedLayer
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.prepare.bag import given_key, plan_groups
from safeframe.sizing.planned_cluster import planned_for


def bag_groupby(
    bag: db.Bag,
    key: Callable[[Any], Any] | None = None,
    *,
    npartitions: int | None = None,
    split_large_groups: bool = False,
    memory: str | int | None = None,
    staging: str | None = None,
    grouper: Callable[[Any], Any] | None = None,
    method: str | None = None,
    blocksize: int = 2**20,
    max_branch: int | None = None,
    shuffle: str | None = None,
) -> db.Bag:
    """Group the items of a dask bag by key.

    Parameters
    ----------
    bag
        The dask bag; its items have to be picklable.
    key
        Function that returns the key of an item: a number, a string, bytes, a
        date or time, None, or a tuple or frozenset of these. It is called once
        per item. Keys that are equal in Python are one key, such as ``1``,
        ``1.0`` and ``True``; all NaNs are one key.
    npartitions
        Number of output partitions. By default enough for each to be half full.
    split_large_groups
        Whether to split a group that is too large for a partition into several
        pairs with the same key, each of bounded size, instead of refusing it.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    grouper
        dask's name for ``key``.
    method, shuffle
        dask's methods ``"disk"`` and ``"tasks"``: accepted without effect, because neither has a memory bound.
    blocksize, max_branch
        Accepted without effect: they tune dask's methods.

    Returns
    -------
    dask.bag.Bag
        Lazy. Pairs ``(key, list)`` as those of :meth:`dask.bag.Bag.groupby`:
        each key once, its items in the order of the bag. Among equal keys, the
        first one in the bag is used.

    Raises
    ------
    SchemaMismatchError
        When ``bag`` is not a dask bag; at compute time, when a key has no hash.
    ValidationError
        When ``key`` is not callable, ``npartitions`` is not a number of
        partitions, or there is no directory that all workers can reach.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers, or when a group
        is too large for a partition; the message has its key and size.
    UnsupportedError
        At compute time, when a key's hash may differ between processes, or an
        item cannot be pickled.

    Notes
    -----
    **Eager.** When this function is called, at most four partitions are
    computed to count and measure their items. ``key`` is not called.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of: a partition while it is computed, an eighth
    of the task's budget for the keys of the current block of items, and a
    quarter for items that wait to be written; three times an output partition.

    **Disk.** The items once: ints, floats, strings and bytes as Arrow arrays,
    all others pickled, and signed with a secret of the run: a pickle that
    somebody else wrote into ``staging`` is not read. The directory made there
    belongs to this user alone.

    **Passes.** One, besides the partitions that are measured first.

    Examples
    --------
    >>> import dask.bag as db, safeframe
    >>> bag = db.from_sequence(range(10), npartitions=3)
    >>> sorted(safeframe.bag_groupby(bag, lambda x: x % 3).compute(scheduler="threads"))
    [(0, [0, 3, 6, 9]), (1, [1, 4, 7]), (2, [2, 5, 8])]
    """
    key = given_key(key, grouper, method, shuffle, blocksize=blocksize, max_branch=max_branch)
    planned = plan_groups(bag, key, npartitions, split_large_groups, memory, staging)
    run = planned.run
    prepare_runs(run.directory)
    graph = BagGraph(
        f"bag-{tokenize(bag, key, run)}",
        bag.__dask_keys__(),
        planned.own,
        BagSpec(key=key, run=run, secret=token_bytes(32)),
    )
    layer = PlannedLayer(planned.plan, graph.keys, graph)
    # Tasks that make partitions where they are used are in the layer themselves.
    needed = [bag] if planned.own is None else []
    return db.Bag(
        HighLevelGraph.from_collections(graph.name, layer, dependencies=needed), graph.name, len(graph.keys)
    )


def plan_bag_groupby(
    bag: db.Bag,
    key: Callable[[Any], Any] | None = None,
    *,
    npartitions: int | None = None,
    split_large_groups: bool = False,
    memory: str | int | None = None,
    staging: str | None = None,
    grouper: Callable[[Any], Any] | None = None,
    method: str | None = None,
    blocksize: int = 2**20,
    max_branch: int | None = None,
    shuffle: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`bag_groupby`, without moving items.

    Takes the arguments of :func:`bag_groupby`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        Items and their bytes (its rows are items), partitions, peak per
        worker, staged bytes. The sizes of groups are not known before the run.

    Notes
    -----
    **Eager.** As :func:`bag_groupby`: a few partitions are computed.

    Examples
    --------
    >>> import dask.bag as db, safeframe
    >>> plan = safeframe.plan_bag_groupby(db.from_sequence(range(10), npartitions=3), lambda x: x % 3)
    >>> plan.output_rows, plan.fits
    (Estimate(10, computed), True)
    """
    key = given_key(key, grouper, method, shuffle, blocksize=blocksize, max_branch=max_branch)
    with planned_for(cluster):
        return plan_groups(bag, key, npartitions, split_large_groups, memory, staging).plan

"""An exchange through P2P as dask expressions.

::

    P2POutput(P2PBarrier(P2PSend(frame)))

Tasks that send are fused with what makes their partition, so that no input
partition waits in a worker's memory; the barrier has the very key by which
dask's scheduler knows it; tasks that receive are fused with what takes them.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise, Expr
from safeframe._dask.p2p import DataFrameShuffleSpec, P2PBarrierTask, ShuffleId, barrier_key
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered
from safeframe.engine.names import recipe_of
from safeframe.engine.p2p.form import SHARD_LABEL, P2PForm
from safeframe.engine.p2p.settings import set_buffers
from safeframe.engine.p2p.tasks import receive_shard, send_partition, settle
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.plan import Plan
from safeframe.kernels.routing.router import Router
from safeframe.sizing.cluster import current_client


def _rows_of(plan: Plan) -> PlannedKeys:
    """Return the rows of a recipe that has as many as its frame."""
    return PlannedKeys(name="The frame", rows=int(plan.output_rows))


def by_p2p(
    recipe: str,
    frame: Any,
    router: Router,
    settings: P2PSettings,
    plan: Plan,
    *,
    final: bool = False,
) -> Any:
    """Return the expression that moves a lowered frame's rows to their shards, in input order.

    Tasks are named after the recipe. With ``final`` its partitions are those of the recipe, and their rows are counted for measurements.
    """
    assert router.n_shards == plan.output_partitions, "rows of a shard that is no partition would be lost"
    barrier = send_shards(recipe, frame, router, settings, plan, _rows_of(plan))
    return P2POutput(barrier, barrier.form, router.n_shards, barrier.send_name, _roomy_nbytes(plan), final)


def send_shards(
    recipe: str, frame: Any, router: Router, settings: P2PSettings, plan: Plan, planned: PlannedKeys
) -> Any:
    """Return the expression that sends a lowered frame's rows to their shards, and waits until they are there."""
    client = current_client()
    if client is not None and not client.asynchronous:
        set_buffers(client, settings)
    column = SHARD_LABEL
    while column in frame.columns:
        column += "_"
    numbered = NumberedShards(frame, router, column)
    form = P2PForm.of(numbered._meta, column, frame._meta.columns)
    send = P2PSend(
        lowered(numbered), form, router.n_shards, settings.slice_nbytes, _roomy_nbytes(plan), router, recipe
    )
    return P2PBarrier(fused_step(send), form, router.n_shards, send._name, planned)


def _roomy_nbytes(plan: Plan) -> int:
    return plan.budget.projected_worker_nbytes(0)


class P2PSend(Step, Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """Hand each partition to P2P."""

    _parameters = ["frame", "form", "n_shards", "slice_nbytes", "roomy_nbytes", "router", "recipe"]
    _meta = pd.Series([], dtype=object)

    @property
    def _words(self) -> str:
        return f"{self.recipe}-send"

    def _task(self, name: Any, index: int) -> Any:
        return Task(
            name,
            send_partition,
            TaskRef((self.frame._name, index)),
            index,
            self.frame.npartitions,
            _token(self._name),
            self.form,
            self.n_shards,
            self.slice_nbytes,
            self.roomy_nbytes,
            self.router,
        )


class P2PBarrier(Expr):  # type: ignore[misc]
    """Wait until every row is where it belongs, and tell how many there are."""

    _parameters = ["sent", "form", "n_shards", "send_name", "planned"]
    _meta = pd.Series([], dtype=object)

    @property
    def token(self) -> str:
        """What P2P calls this shuffle."""
        return _token(self.send_name)

    @property
    def key(self) -> str:
        """The key of the barrier's task."""
        return str(barrier_key(ShuffleId(self.token)))

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        token, key = self.token, self.key
        spec = DataFrameShuffleSpec(
            id=ShuffleId(token),
            npartitions=self.n_shards,
            column=SHARD_LABEL,
            meta=self.form.sent,
            parts_out=self.n_shards,
            disk=True,
            drop_column=True,
        )
        sent = [TaskRef(key) for key in self.sent.__dask_keys__()]
        return {key: P2PBarrierTask(key, settle, token, List(*sent), self.form, self.planned, spec=spec)}


class P2POutput(Step, Blockwise):  # type: ignore[misc]
    """The rows of each shard."""

    _parameters = ["barrier", "form", "n_shards", "send_name", "roomy_nbytes", "final"]
    _defaults: ClassVar[dict[str, Any]] = {"final": False}

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.send_name)}-output"

    @functools.cached_property
    def _meta(self) -> Any:
        return self.form.result

    def _divisions(self) -> Any:
        return (None,) * (self.n_shards + 1)

    def _task(self, name: Any, index: int) -> Any:
        barrier = self.barrier
        return Task(
            name,
            receive_shard,
            TaskRef(barrier.key),
            barrier.token,
            index,
            self.form,
            self.roomy_nbytes,
            self.final,
        )


class NumberedShards(Blockwise):  # type: ignore[misc]
    """Each partition with the shard of every row."""

    _parameters = ["frame", "router", "column"]

    @staticmethod
    def operation(frame: pd.DataFrame, router: Any, column: str) -> pd.DataFrame:
        """See :meth:`dask.dataframe.dask_expr.Blockwise.operation`."""
        numbered = frame.copy(deep=False)
        numbered[column] = np.asarray(router.shards(frame, 0), np.int64)
        return numbered

    @functools.cached_property
    def _meta(self) -> Any:
        return self.frame._meta.assign(**{self.column: np.empty(0, np.int64)})


def _token(name: str) -> str:
    return name.rsplit("-", 1)[-1]

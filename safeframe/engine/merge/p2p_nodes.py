"""The cells of a merge whose sides P2P moves, as dask expressions.

::

    MovedCells(P2PBarrier(P2PSend(left)), P2PBarrier(P2PSend(right)))

Both shuffles have the same number of shards, and each cell depends on both
barriers: by that dask's scheduler knows that a shard of either has to come to
the same worker.
"""

from __future__ import annotations

from typing import Any

from dask.task_spec import Task, TaskRef

from safeframe._dask.steps import Step
from safeframe.engine.merge.tasks import MovedMerge, MovedSide, moved_cell
from safeframe.engine.p2p.nodes import send_shards
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.merge import P2PMerge
from safeframe.facts.plan import Plan
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.routing.router import JoinRouter


def moved_cells(
    left: Any,
    right: Any,
    spec: JoinSpec,
    plan: Plan,
    way: P2PMerge,
    planned: tuple[PlannedKeys, PlannedKeys],
    limit: PartitionLimit,
) -> Any:
    """Return the expression that moves two lowered frames and joins them.

    Where both are one frame with the same key, it is moved once.
    """
    layout = way.layout
    sent = [
        send_shards(
            "merge",
            frame,
            JoinRouter(side.on, side.schema, layout, layout.empty_of(name)),
            way.settings,
            plan,
            keys,
        )
        for name, frame, side, keys in zip(
            ("left", "right"), (left, right), (spec.left, spec.right), planned, strict=True
        )
    ]
    if sent[0].send_name == sent[1].send_name:
        sent[1] = sent[0]
    merge = MovedMerge(
        left=MovedSide(sent[0].token, sent[0].form),
        right=MovedSide(sent[1].token, sent[1].form),
        spec=spec,
        layout=layout,
        limit=limit,
        roomy_nbytes=plan.budget.projected_worker_nbytes(0),
    )
    return MovedCells(*sent, merge)


class MovedCells(Step):
    """Output partitions: each joins the two halves of its shard."""

    _words = "merge-output"
    _parameters = ["left", "right", "merge"]

    @property
    def _meta(self) -> Any:
        return self.merge.spec.meta

    def _divisions(self) -> Any:
        return (None,) * (self.merge.layout.n_cells + 1)

    def _task(self, name: Any, index: int) -> Any:
        return Task(
            name, moved_cell, TaskRef(self.left.key), TaskRef(self.right.key), self.operand("merge"), index
        )

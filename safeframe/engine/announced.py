"""What a scheduler, and a log, are told of a plan that is about to run.

Covers: the event that the dashboard's page reads, the lines of the log.
"""

from __future__ import annotations

import logging
from typing import Any

from safeframe._dask.cluster import client_of_compute
from safeframe.facts.plan import Plan
from safeframe.units import format_count, format_nbytes

TOPIC = "safeframe"
"""Of a scheduler's events, the one that plans are told under."""

logger = logging.getLogger(__name__)


def log_plan(plan: Plan) -> None:
    """Write a plan that begins to the log, and at the level of debugging the strategies that it did not take."""
    logger.info(
        "%s begins by strategy %s: %s rows, a worker's peak is projected at %s of %s",
        plan.recipe,
        plan.strategy,
        format_count(int(plan.output_rows)),
        format_nbytes(plan.projected_worker_nbytes),
        format_nbytes(plan.budget.allowed_nbytes),
    )
    for candidate in plan.rejected:
        logger.debug("%s: strategy %s was rejected: %s", plan.recipe, candidate.strategy, candidate.reason)


def tell_scheduler(plan: Plan) -> None:
    """Send the numbers of a plan to the scheduler that runs it, if there is one; nothing is waited for."""
    try:
        client = client_of_compute()
    except RuntimeError:  # an asynchronous one, of another thread
        return
    if client is not None:
        # In the client's own thread: this may be that thread, which must not wait for itself.
        client.loop.add_callback(client.log_event, TOPIC, plan_event(plan))


def plan_event(plan: Plan) -> dict[str, Any]:
    """Return what the dashboard shows of a plan, in types that every message can have."""
    return {
        "recipe": plan.recipe,
        "strategy": plan.strategy,
        "projected_nbytes": int(plan.projected_worker_nbytes),
        "allowed_nbytes": int(plan.budget.allowed_nbytes),
        "output_rows": int(plan.output_rows),
        "output_nbytes": int(plan.output_nbytes),
        "output_partitions": int(plan.output_partitions),
        "staging_nbytes": int(plan.staging_nbytes),
        "steps": [
            [step.kind, int(step.tasks), int(plan.budget.projected_worker_nbytes(step.task_peak_nbytes))]
            for step in plan.steps
        ],
    }

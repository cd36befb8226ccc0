"""A process with a scheduler and nannies, which can be killed: ``python -m tests.faults.machine.host``.

It writes the scheduler's address, and ends when its input does.
"""

from __future__ import annotations

import sys

from tests.faults.machine.phases import PhaseWatch
from tests.faults.machine.scene import new_cluster


def main() -> None:
    """Run until the input ends."""
    with new_cluster() as cluster:
        watch = PhaseWatch()
        cluster.sync(watch.start, cluster.scheduler)
        cluster.scheduler.add_plugin(watch)
        sys.stdout.write(f"{cluster.scheduler_address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()

"""``python -m tests.faults.machine --trials 200 --from-seed 0``: runs trials, and says which failed."""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from pathlib import Path

from tests.faults.machine.lanes import run_trials
from tests.faults.machine.plan import Trial
from tests.faults.machine.run import Outcome
from tests.faults.machine.table import add, new_total, read_total, write_total


def main() -> int:
    """Run trials as the arguments say; 1 when any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.machine", description=__doc__)
    parser.add_argument("--trials", type=int, help="how many")
    parser.add_argument("--minutes", type=float, help="for how long")
    parser.add_argument(
        "--from-seed", type=int, help="the first seed; by default that after the last one of --out"
    )
    parser.add_argument(
        "--only", default="", help="leave out trials whose words do not have this, as 'at commit'"
    )
    parser.add_argument("--out", type=Path, help="the running total, which is added to")
    parser.add_argument("--lanes", type=int, default=2, help="how many run side by side")
    parser.add_argument("--details", action="store_true", help="with the traceback of each failure")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    total = read_total(given.out) if given.out else new_total()
    first = total["next_seed"] if given.from_seed is None else given.from_seed
    failed = []

    def report(outcome: Outcome) -> None:
        add(total, outcome)
        line = f"{outcome.what} -> {outcome.ended}, {outcome.again} of {outcome.tasks} tasks and "
        line += f"{outcome.files_again} of {outcome.files} files again, {outcome.seconds} s"
        sys.stdout.write(line + ("" if outcome.met else " (not met)") + "\n")
        if outcome.failures:
            failed.append(outcome)
            sys.stdout.write("".join(f"    FAILED: {one}\n" for one in outcome.failures))
            if given.details:
                sys.stdout.write(outcome.detail)
        sys.stdout.flush()
        if given.out:
            write_total(total, given.out)

    seeds = (seed for seed in itertools.count(first) if given.only in str(Trial.of(seed)))
    trials = given.trials or (None if given.minutes else 1)
    seconds = given.minutes and given.minutes * 60
    run_trials(itertools.islice(seeds, trials), report, lanes=given.lanes, seconds=seconds)
    sys.stdout.write(f"{len(failed)} failed: {[outcome.seed for outcome in failed]}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

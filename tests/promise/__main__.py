"""``python -m tests.promise``: trials of the promise, as many as fit the time."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.promise.run import Outcome, run_trial
from tests.promise.trials import trial_of


def _record(outcome: Outcome) -> dict[str, object]:
    """Return what is kept of an outcome."""
    return {
        **asdict(outcome),
        "recipe": trial_of(outcome.seed).recipe,
        "broken": bool(outcome.faults),
    }


def main(argv: list[str] | None = None) -> int:
    """Run trials; 0 when each kept its promise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="outcomes, added to what is there")
    options = parser.parse_args(argv)
    end = time.monotonic() + 60 * options.minutes
    outcomes: list[Outcome] = []
    for seed in range(options.from_seed, options.from_seed + options.trials):
        if time.monotonic() > end:
            break
        outcomes.append(run_trial(seed))
        sys.stdout.write(outcomes[-1].line() + "\n")
        sys.stdout.flush()
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else []
        known = [one for one in known if one["seed"] not in {outcome.seed for outcome in outcomes}]
        found = [*known, *map(_record, outcomes)]
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    failed = [one for one in outcomes if one.faults]
    refused = [one for one in outcomes if one.refused]
    seeds = [one.seed for one in failed]
    sys.stdout.write(f"{len(outcomes)} trials, {len(refused)} refused, {len(failed)} failed: seeds {seeds}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How often the truth lies in the interval that a join of sampled keys gives.

Keys are counted exactly up to a capacity; past it a sample of them is kept, and the rows of a join are an
interval of four standard deviations to either side, since plans rely on its upper end. Here many small joins
with a small capacity are estimated, each with a seed of its own, and compared with what the keys call for. The
inner half of an interval, two standard deviations, is counted too: it is what holds the truth 95 times in 100
where the standard deviation is right::

    python benchmarks/calibration.py --seeds 200

Covers: rows of inner and left joins, and rows without a match, of keys of several distributions.
Does not cover: widths of rows, which come from row groups (``tests/property``), or memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd

import safeframe

__all__ = ["SHAPES", "calibrate", "main"]

RESULT = Path(__file__).parent / "results" / "foresight" / "calibration.json"
"""In a folder of its own: ``results/*.json`` are situations."""
CAPACITY = 1024
"""Keys that are counted exactly. The joins have some 20 times as many."""
ROWS, KEYS = 60_000, 20_000

Keys = npt.NDArray[np.int64]
Draw = Callable[[np.random.Generator], Keys]


def _uniform(low: int, high: int) -> Draw:
    return lambda rng: rng.integers(low, high, ROWS)


def _zipf(rng: np.random.Generator) -> Keys:
    ranks = np.arange(1, KEYS + 1)
    weights = ranks**-1.1
    return rng.permutation(KEYS)[rng.choice(KEYS, ROWS, p=weights / weights.sum())].astype(np.int64)


def _geometric(rng: np.random.Generator) -> Keys:
    # Rows per key that differ a hundredfold, none of them heavy.
    rows = np.minimum(rng.geometric(1 / 3, KEYS), 100)
    return np.repeat(np.arange(KEYS), rows).astype(np.int64)


SHAPES: dict[str, tuple[str, Draw, Draw]] = {
    "uniform": ("3 rows a key on either side", _uniform(0, KEYS), _uniform(0, KEYS)),
    "half": ("half of the keys on either side alone", _uniform(0, KEYS), _uniform(KEYS // 2, KEYS * 3 // 2)),
    "geometric": ("rows per key from 1 to some 30", _geometric, _geometric),
    "zipf": ("Zipf 1.1 on the left, 3 rows a key on the right", _zipf, _uniform(0, KEYS)),
    "zipf_both": ("Zipf 1.1 on both sides, other keys frequent on either", _zipf, _zipf),
}
"""What keys are like, in words, and how either side draws them."""


def _truth(left: Keys, right: Keys) -> dict[str, int]:
    size = int(max(left.max(), right.max())) + 1
    lefts, rights = np.bincount(left, minlength=size), np.bincount(right, minlength=size)
    inner, alone = int(lefts @ rights), int(lefts[rights == 0].sum())
    return {"inner rows": inner, "left rows": inner + alone, "left rows without a match": alone}


def _estimates(left: Keys, right: Keys) -> dict[str, safeframe.Estimate]:
    sides = [
        dd.from_pandas(pd.DataFrame({"k": keys, name: 0.5}), npartitions=2, sort=False)
        for keys, name in ((left, "a"), (right, "b"))
    ]
    keys = (safeframe.key_statistics(sides[0], "k"), safeframe.key_statistics(sides[1], "k"))
    left_frame, right_frame = sides
    inner = safeframe.estimate_merge(left_frame, right_frame, on="k", how="inner", statistics=keys)
    outer = safeframe.estimate_merge(left_frame, right_frame, on="k", how="left", statistics=keys)
    return {
        "inner rows": inner.rows,
        "left rows": outer.rows,
        "left rows without a match": outer.left_unmatched_rows,
    }


def calibrate(shape: str, seeds: int) -> dict[str, dict[str, Any]]:
    """Estimate joins of one shape, and count how often the truth was in the interval.

    Parameters
    ----------
    shape
        One of ``SHAPES``.
    seeds
        How many joins.

    Returns
    -------
    dict
        By what is counted: how many joins, in how many the truth was in the interval, and in its inner half; the
        mean width of an interval and the mean error, both as shares of the truth.
    """
    _, draw_left, draw_right = SHAPES[shape]
    seen: dict[str, list[tuple[bool, bool, float, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, len(shape)])
        # Hashes of keys are the same in every run, so keys themselves have to differ.
        spread = int(rng.integers(1, 2**40)) * 2 + 1
        left, right = draw_left(rng), draw_right(rng)
        with dask.config.set({"safeframe.key-capacity": CAPACITY, "scheduler": "sync"}):
            estimates = _estimates(left * spread, right * spread)
        for what, truth in _truth(left, right).items():
            guess = estimates[what]
            if guess.exact:
                message = f"{shape}: {what} is exact, so nothing was sampled"
                raise RuntimeError(message)
            held = guess.lower <= truth <= guess.upper
            off = 2 * (truth - guess.expected)
            inner_half = guess.lower - guess.expected <= off <= guess.upper - guess.expected
            share = max(truth, 1)
            seen.setdefault(what, []).append(
                (held, inner_half, (guess.upper - guess.lower) / share, abs(guess.expected - truth) / share)
            )
    return {
        what: {
            "joins": len(all_of),
            "held": sum(held for held, _, _, _ in all_of),
            "held_by_half": sum(half for _, half, _, _ in all_of),
            "mean_width_fraction": round(float(np.mean([width for _, _, width, _ in all_of])), 4),
            "mean_error_fraction": round(float(np.mean([error for _, _, _, error in all_of])), 4),
        }
        for what, all_of in seen.items()
    }


def main() -> None:
    """Calibrate every shape and write ``results/foresight/calibration.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    shapes: dict[str, dict[str, Any]] = {}
    for shape in arguments.shape or SHAPES:
        shapes[shape] = {"title": SHAPES[shape][0], "counted": calibrate(shape, arguments.seeds)}
        for what, one in shapes[shape]["counted"].items():
            print(f"{shape:10} {what:26} {one['held']} of {one['joins']}")
    facts = {"capacity": CAPACITY, "keys": KEYS, "rows": ROWS, "seeds": arguments.seeds}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({**facts, "shapes": shapes}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""One run of the soak: a recipe on a small random frame, its result counted or written, and let go.

Covers: merges, sorts, lags, group-bys, distinct rows and writes of random shapes.
Does not cover: what is left of them (:mod:`tests.soak.watch`).
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import numpy as np

import safeframe
from tests.promise.frames import KEY_KINDS, random_shape
from tests.promise.trials import Trial, call, expected_rows, trial_of, write

__all__ = ["run", "small_trial"]


def small_trial(seed: int) -> Trial:
    """Choose a trial of at most a few MiB."""
    rng = np.random.default_rng(seed)
    trial = trial_of(seed)
    left = random_shape(rng, most_nbytes=6 * 2**20, key=str(rng.choice(KEY_KINDS)))
    # Keys that meet many others, nulls among them, would make frames of millions of rows.
    nulls = 0.0 if trial.recipe.startswith("merge") else left.nulls
    left = replace(left, files=min(left.files, 8), hot_share=0.0, skew=0.0, nulls=nulls)
    right = None
    if trial.recipe.startswith("merge"):
        right = replace(left, values=left.values[:1], rows=max(1, left.rows // 7), files=min(3, left.files))
    keys = max(left.n_keys, 1 + left.rows // 20)
    left = replace(left, n_keys=keys)
    return replace(
        trial, left=left, right=None if right is None else replace(right, n_keys=keys), opaque=False
    )


def run(seed: int, staging: Path, aside: Executor) -> None:
    """Do the work of a seed, and check how many rows come out.

    Input is made, and results are read, ``aside``: what that leaves in a process is not the recipes'.
    """
    trial = small_trial(seed)
    scratch = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        expected = aside.submit(_written, seed, scratch).result()
        options = {} if trial.recipe == "to_parquet" else {"staging": str(staging)}
        made = call(trial, scratch, **options)
        if trial.recipe == "nunique":
            made.compute()
            return
        if trial.written or trial.recipe == "to_parquet":
            safeframe.to_parquet(made.to_frame() if made.ndim == 1 else made, str(scratch / "written"))
            rows = aside.submit(_rows, scratch / "written").result()
        else:
            rows = len(made.persist())
        assert rows == expected, (trial, rows, expected)
    finally:
        shutil.rmtree(scratch)


def _written(seed: int, scratch: Path) -> int:
    trial = small_trial(seed)
    write(trial, scratch)
    return expected_rows(trial, scratch)


def _rows(directory: Path) -> int:
    import pyarrow.dataset as ds

    return int(ds.dataset(directory, format="parquet").count_rows())

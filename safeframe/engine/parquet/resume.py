"""How files are divided, kept next to them, so that a later run divides them in the same way.

What a worker may use is measured again in each process, and is never quite the
same; shards and row groups follow from it. A run that goes on from the files of
another one takes its division over.

Covers: the division as JSON in the directory that is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from safeframe.engine.parquet.swap import PLAN_NAME
from safeframe.facts.layout import ShardLayout
from safeframe.facts.merge import WritePlan
from safeframe.facts.plan import Step


def save_division(directory: str, write: WritePlan) -> None:
    """Keep how files are divided."""
    layout = write.layout
    plain = {
        "starts": layout.starts.tolist(),
        "single_key": layout.single_key.tolist(),
        "cells": layout.cells.tolist(),
        "null_shard": layout.null_shard,
        "right_slices": write.right_slices.tolist(),
        "group_rows": write.group_rows,
        "file_nbytes": write.file_nbytes,
        "steps": [asdict(step) for step in write.steps],
    }
    # Under another name first: a process may be killed at any moment.
    partial = Path(directory, f"{PLAN_NAME}.{uuid.uuid4().hex[:8]}")
    text = json.dumps(plain)
    partial.write_text(f"{_digest(text)}\n{text}")
    partial.rename(Path(directory, PLAN_NAME))


def as_divided_before(directory: str, write: WritePlan) -> WritePlan:
    """Return the plan with the division of an earlier run, where there was one, as it was written."""
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        digest, _, text = Path(directory, PLAN_NAME).read_text().partition("\n")
        if digest != _digest(text):
            return write
        plain = json.loads(text)
        return replace(
            write,
            layout=ShardLayout(
                starts=np.array(plain["starts"], np.uint64),
                single_key=np.array(plain["single_key"], np.bool_),
                cells=np.array(plain["cells"], np.int64),
                null_shard=plain["null_shard"],
            ),
            right_slices=np.array(plain["right_slices"], np.int64),
            group_rows=plain["group_rows"],
            file_nbytes=plain["file_nbytes"],
            steps=tuple(Step(**step) for step in plain["steps"]),
        )
    return write


def _digest(text: str) -> str:
    """Return what tells a division that was written whole from what a crash, or somebody else, has left of it."""
    return hashlib.sha256(text.encode()).hexdigest()

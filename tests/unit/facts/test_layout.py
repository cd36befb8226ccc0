"""Layouts, as dask's tokens see them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
from dask.base import tokenize

from safeframe.facts.layout import ShardLayout


def test_the_token_of_a_dataclass_is_that_of_its_fields_and_arrays_count_by_their_bytes() -> None:
    def layout(**changes: Any) -> ShardLayout:
        starts = np.arange(10_000, dtype=np.uint64)
        plain = ShardLayout(
            starts=starts, single_key=starts < 0, cells=np.ones(10_000, np.int64), null_shard=False
        )
        return replace(plain, **changes)

    def token(of: object) -> str:
        return str(tokenize(of, ensure_deterministic=True))

    changed = np.arange(10_000, dtype=np.uint64)
    changed[5_000] += 1
    assert token(layout()) == token(pickle.loads(pickle.dumps(layout())))
    assert len({token(layout()), token(layout(starts=changed)), token(layout(null_shard=True))}) == 3

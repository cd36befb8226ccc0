"""Shards by the hash of a key: every row of a key in one of them, keys spread evenly.

Covers: the shard of a code.
Does not cover: codes of rows (``kernels.routing.hashes``); shards by key range, or of
bounded size (``planning.merge.shards``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Codes
from safeframe.kernels.keys.mixing import mix64


def hash_shards(codes: Codes, n_shards: int) -> npt.NDArray[np.int64]:
    """Return the shard of each code.

    Notes
    -----
    The codes are mixed twice: key statistics sample the keys whose code, mixed
    once, is small, and those have to fall into every shard.

    Examples
    --------
    >>> hash_shards(np.arange(6, dtype=np.uint64), 3)
    array([0, 2, 1, 2, 1, 0])
    """
    return (mix64(mix64(codes)) % np.uint64(n_shards)).astype(np.int64)

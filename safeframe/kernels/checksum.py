"""A checksum of bytes that costs a fraction of the time of reading them.

Words of 64 bits, each times an odd number of its own, and summed: a word that
changed, whichever way, changes the sum, and so does one that took another's
place. It runs at some 15 GiB/s where ``zlib.crc32`` does 4 (decision 0029). It
finds faults of disks and mistakes of ours, not forgeries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe.kernels.keys.mixing import mix64

_BLOCK_WORDS = 2**15
"""Words that are summed at once: they and their factors stay in the processor's cache."""

_FACTORS = mix64(np.arange(_BLOCK_WORDS, dtype=np.uint64)) | np.uint64(1)
_NEXT_BLOCK = 0x9E3779B97F4A7C15  # odd as well: what came before is never lost


def checksum(data: npt.NDArray[np.uint8] | Any) -> int:
    """Return a 64-bit checksum of bytes, which depends on their places and their number.

    Parameters
    ----------
    data
        An array of bytes, or anything with a buffer of them.

    Examples
    --------
    >>> checksum(b"ab") == checksum(b"ba"), checksum(b"") == checksum(bytes(8))
    (False, False)
    """
    found = np.frombuffer(data, np.uint8)
    n_words = len(found) // 8
    words = found[: 8 * n_words].view(np.uint64)
    total = len(found)
    for start in range(0, n_words, _BLOCK_WORDS):
        block = words[start : start + _BLOCK_WORDS]
        total = (total * _NEXT_BLOCK + int(np.dot(block, _FACTORS[: len(block)]))) % 2**64
    rest = int.from_bytes(found[8 * n_words :].tobytes(), "little")
    return (total * _NEXT_BLOCK + rest) % 2**64

"""Codes of a page: how rows that repeat, and rows that tile, are written as parquet's hybrid of runs and packed bits.

Within a key every left row stands in as many result rows that follow each
other as there are right rows: its code is one run. The right rows come round
again for each left row: their codes are one pattern, packed in whole bytes, and
nothing of it is new to a codec after the first round.

Covers: definition levels and codes of a page, before compression.
Does not cover: the values that codes stand for, headers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safeframe.kernels.parquet.thrift import varint

DictionaryCodes = npt.NDArray[np.int64]
"""Numbers of dictionary entries; -1 for null."""

_SHORT_RUN = 8  # rows for which a run takes no fewer bytes than the rows one by one


def repeated_page(
    codes: DictionaryCodes, repeats: int | npt.NDArray[np.int64], *, n_codes: int
) -> tuple[bytes, int]:
    """Write codes of which each stands in a number of rows that follow each other.

    Parameters
    ----------
    codes
        The codes.
    repeats
        Rows of each: one number for all, or one for each.
    n_codes
        Values of the dictionary.

    Returns
    -------
    body
        The page's bytes.
    nulls
        Rows without a value.
    """
    width, stored = _code_bits(n_codes)
    valid = codes >= 0
    if isinstance(repeats, np.ndarray) and len(codes) == 1:
        repeats = int(repeats[0])
    if isinstance(repeats, np.ndarray):
        levels, nulls = _levels(valid, repeats)
        packed = _packed(np.repeat(codes[valid].astype(stored), repeats[valid]))
        return levels + bytes([width]) + packed, nulls
    levels, nulls = _levels(valid, repeats)
    real = codes if valid.all() else codes[valid]
    if repeats < _SHORT_RUN and len(codes) > 1:
        return levels + bytes([width]) + _packed(np.repeat(real.astype(stored), repeats)), nulls
    return levels + bytes([width]) + _runs(real.astype(stored), repeats), nulls


def tiled_page(codes: DictionaryCodes, times: int, *, n_codes: int) -> tuple[bytes, int]:
    """Write a pattern of codes that comes a number of times.

    Parameters
    ----------
    codes
        The pattern.
    times
        How often it comes.
    n_codes
        Values of the dictionary.

    Returns
    -------
    body
        The page's bytes.
    nulls
        Rows without a value.
    """
    if len(codes) == 1:
        return repeated_page(codes, times, n_codes=n_codes)
    width, stored = _code_bits(n_codes)
    valid = codes >= 0
    levels, nulls = _tiled_levels(valid, times)
    real = codes if valid.all() else codes[valid]
    return levels + bytes([width]) + _packed(np.tile(real.astype(stored), times)), nulls


def plain_bits(bits: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_]) -> tuple[bytes, int]:
    """Write booleans one by one."""
    levels, nulls = _tiled_levels(valid, 1)
    return levels + np.packbits(bits[valid], bitorder="little").tobytes(), nulls


def constant_steps(first: int, n_rows: int) -> bytes:
    """Write the numbers from ``first`` on as packed differences, all of them one.

    The page takes five bytes for each 128 rows, all the same.
    """
    blocks = -(-max(n_rows - 1, 0) // 128)
    head = varint(128) + varint(4) + varint(n_rows) + varint(first << 1)
    return _all_there(n_rows) + head + b"\x02\0\0\0\0" * blocks


def _code_bits(n_codes: int) -> tuple[int, str]:
    """Whole bytes, so that packed codes are what numpy holds anyway."""
    for width, stored in ((8, "<u1"), (16, "<u2")):
        if n_codes <= 2**width:
            return width, stored
    return 32, "<u4"


def _packed(codes: npt.NDArray[np.unsignedinteger]) -> bytes:
    """Write codes as one run of packed bits, filled up to eight."""
    if len(codes) == 0:
        return b""
    groups = -(-len(codes) // 8)
    return varint(groups << 1 | 1) + codes.tobytes() + bytes((groups * 8 - len(codes)) * codes.itemsize)


def _runs(values: npt.NDArray[np.unsignedinteger], repeats: int) -> bytes:
    """Write each value as one run of the same length."""
    head = np.frombuffer(varint(repeats << 1), np.uint8)
    runs = np.empty((len(values), len(head) + values.itemsize), np.uint8)
    runs[:, : len(head)] = head
    runs[:, len(head) :] = values.view(np.uint8).reshape(len(values), values.itemsize)
    return runs.tobytes()


def _all_there(n_rows: int) -> bytes:
    return _with_length(varint(n_rows << 1) + b"\1")


def _levels(valid: npt.NDArray[np.bool_], repeats: int | npt.NDArray[np.int64]) -> tuple[bytes, int]:
    """Write definition levels of rows that repeat."""
    if isinstance(repeats, np.ndarray):
        n_rows = int(repeats.sum())
        if valid.all():
            return _all_there(n_rows), 0
        return _tiled_levels(np.repeat(valid, repeats), 1)
    if valid.all():
        return _all_there(len(valid) * repeats), 0
    if repeats < _SHORT_RUN:
        return _tiled_levels(np.repeat(valid, repeats), 1)
    return _with_length(_runs(valid.astype("u1"), repeats)), int((~valid).sum()) * repeats


def _tiled_levels(valid: npt.NDArray[np.bool_], times: int) -> tuple[bytes, int]:
    n_rows = len(valid) * times
    if valid.all():
        return _all_there(n_rows), 0
    nulls = int((~valid).sum()) * times
    if not valid.any():
        return _with_length(varint(n_rows << 1) + b"\0"), nulls
    bits = np.packbits(np.tile(valid, times), bitorder="little")
    return _with_length(varint(len(bits) << 1 | 1) + bits.tobytes()), nulls


def _with_length(levels: bytes) -> bytes:
    return len(levels).to_bytes(4, "little") + levels

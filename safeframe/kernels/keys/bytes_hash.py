"""Hashes of strings and bytes, straight from Arrow's buffers: the same in every process and version.

A value is read in words of eight bytes, its last one filled up with zeros, and each word is mixed
into a state that begins with the length. Values longer than :data:`_PIECE_NBYTES` are cut into
pieces of as many bytes, and the hashes of the pieces are hashed in turn, so that a few long values
among many short ones take few steps.

Covers: arrays of Arrow's string and binary types; the words that their values consist of.
Does not cover: which hash a value of another type has (``kernels.keys.hashes``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe.facts.keys import Codes
from safeframe.kernels.columns.arrow_buffers import string_offsets
from safeframe.kernels.keys.mixing import mix64

_WORD_NBYTES = 8
_PIECE_NBYTES = 64
_CHUNK_ROWS = 2**14
"""Rows at a time: their states and words stay in the processor's cache (8 against 50 ms for 10⁶ 16-character ids)."""
_CHUNK_NBYTES = 2**22
"""Bytes of values at a time, but for a single one that is longer."""
_LENGTH_SALT = np.uint64(0x9FB21C651E98DF25)
_MASKS = np.array([2 ** (8 * n) - 1 for n in range(_WORD_NBYTES + 1)], np.uint64)
"""For each number of bytes, the bits of a word that they are."""

_Places = npt.NDArray[np.int64]


class ByteSpans:
    """Where the bytes of each value are in a buffer.

    Parameters
    ----------
    data
        The bytes.
    starts, lengths
        Where each value begins, and its bytes; ascending, without overlap.

    Examples
    --------
    >>> spans = ByteSpans.of(pa.array(["ab", "", "c"], pa.large_string()))
    >>> spans.lengths.tolist(), [hex(word) for word in spans.words(np.arange(3), 0).tolist()]
    ([2, 0, 1], ['0x6261', '0x0', '0x63'])
    """

    __slots__ = ("_last", "_words", "lengths", "starts")

    def __init__(self, data: npt.NDArray[np.uint8], starts: _Places, lengths: _Places) -> None:
        if len(data) < _WORD_NBYTES:
            data = np.concatenate([data, np.zeros(_WORD_NBYTES, np.uint8)])
        # A word at every byte, most of them not aligned.
        shape = (len(data) - _WORD_NBYTES + 1,)
        self._words: Codes = np.ndarray(shape, "<u8", buffer=data.data, strides=(1,))
        self._last = len(self._words) - 1
        self.starts = starts
        self.lengths = lengths

    @classmethod
    def of(cls, array: pa.Array) -> ByteSpans:
        """Read an array of large strings or large binaries, which may be a slice."""
        ends, data = string_offsets(array)
        return cls(data, ends[:-1], np.diff(ends))

    def __len__(self) -> int:
        return len(self.starts)

    def words(self, rows: npt.NDArray[np.integer[Any]] | slice, skipped: int) -> Codes:
        """Return eight bytes of each of some values, as one little-endian number.

        Parameters
        ----------
        rows
            Which values.
        skipped
            Bytes that come before, in every one of them. What is behind the end of a value is zero.
        """
        n_rows = len(range(*rows.indices(len(self)))) if isinstance(rows, slice) else len(rows)
        if n_rows > _CHUNK_ROWS:
            found = np.empty(n_rows, np.uint64)
            first = (rows.start or 0) if isinstance(rows, slice) else 0
            for start in range(0, n_rows, _CHUNK_ROWS):
                stop = min(n_rows, start + _CHUNK_ROWS)
                some = slice(first + start, first + stop) if isinstance(rows, slice) else rows[start:stop]
                found[start:stop] = self.words(some, skipped)
            return found
        at = self.starts[rows] + skipped
        left = self.lengths[rows] - skipped
        if len(at) == 0:
            return np.empty(0, np.uint64)
        near_end = at.max() > self._last
        words: Codes
        if near_end:  # the last words of the buffer are read from in front of it
            inside = np.clip(at, 0, self._last)
            words = self._words[inside] >> ((at - inside) * 8).astype(np.uint64)
        else:
            words = self._words[at]
        if left.min() < _WORD_NBYTES:
            words &= _MASKS[np.clip(left, 0, _WORD_NBYTES)]
        return words

    def hashes(self) -> Codes:
        """Hash every value."""
        hashes = np.empty(len(self), np.uint64)
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self.starts, self.starts[start] + _CHUNK_NBYTES))
            rows = slice(start, max(start + 1, min(start + _CHUNK_ROWS, stop)))
            lengths = self.lengths[rows]
            states = lengths.astype(np.uint64) * _LENGTH_SALT
            shortest, longest = int(lengths.min()), int(lengths.max())
            for skipped in range(0, min(longest, _PIECE_NBYTES), _WORD_NBYTES):
                if skipped < shortest:
                    states = mix64(states ^ self.words(rows, skipped))
                else:
                    some = np.flatnonzero(lengths > skipped)
                    states[some] = mix64(states[some] ^ self.words(some + start, skipped))
            if longest > _PIECE_NBYTES:
                some = np.flatnonzero(lengths > _PIECE_NBYTES)
                states[some] = mix64(states[some] ^ self._long_hashes(some + start))
            hashes[rows] = states
            start = rows.stop
        return hashes

    def _long_hashes(self, rows: _Places) -> Codes:
        """Hash what is behind the first piece, as the hashes of the pieces."""
        lengths = self.lengths[rows] - _PIECE_NBYTES
        pieces = -(-lengths // _PIECE_NBYTES)
        ends = np.cumsum(pieces)
        within = np.arange(ends[-1]) - np.repeat(ends - pieces, pieces)
        of_pieces = ByteSpans.__new__(ByteSpans)
        of_pieces._words, of_pieces._last = self._words, self._last
        of_pieces.starts = np.repeat(self.starts[rows] + _PIECE_NBYTES, pieces) + within * _PIECE_NBYTES
        of_pieces.lengths = np.minimum(np.repeat(lengths, pieces) - within * _PIECE_NBYTES, _PIECE_NBYTES)
        data = of_pieces.hashes().astype("<u8", copy=False).view(np.uint8)
        return ByteSpans(data, (ends - pieces) * _WORD_NBYTES, pieces * _WORD_NBYTES).hashes()


def bytes_hashes(array: pa.Array) -> Codes:
    r"""Hash an array of large strings or large binaries; anything where it is null.

    Examples
    --------
    >>> len(set(bytes_hashes(pa.array(["a", "a\0", "", "a"], pa.large_string())).tolist()))
    3
    """
    return ByteSpans.of(array).hashes()

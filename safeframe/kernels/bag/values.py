"""Python values as bytes, cell by cell, and back.

Values of one simple type (int, float, bool, str, bytes; exactly these, not their
subclasses) are written as Arrow holds them, ints as narrow as their values
allow. Anything else is pickled, all values of a cell in one block, and signed: to
unpickle bytes is to run what they say, so only those are that were signed with
the secret of their run.

Covers: one list of values, put in an order and cut into cells; cells read back;
what values take in memory as Python objects.
Does not cover: which cell a value belongs to (``engine.bag.tasks``), files.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.errors import StagingError, UnsupportedError
from safeframe.kernels.order import Positions

Values = npt.NDArray[Any]
"""Numbers, or Python objects."""

PICKLED, _STRINGS, _BYTES = range(3)
_NUMBERS = tuple(
    map(np.dtype, ("bool", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"))
)
_FIRST_NUMBER = 3

_NUMBER_NBYTES = 40.0
"""A Python int or float and the reference to it in a list."""
_WORD_NBYTES = 88.0
"""A str or bytes object without its characters, and the reference to it."""
_REFERENCE_NBYTES = 8.0
_SIGNATURE_NBYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedValues:
    """Values in cells."""

    kind: int
    """How they are written."""
    data: pa.LargeBinaryArray
    """The bytes of each cell."""
    lengths: pa.LargeBinaryArray
    """The lengths of its strings; empty for other kinds."""


def pack_values(
    values: Sequence[Any], order: Positions | None, bounds: npt.NDArray[np.int64], secret: bytes
) -> PackedValues:
    """Write values, cell by cell.

    Parameters
    ----------
    values
        Python objects.
    order
        Positions in the order of cells; None where they are in it.
    bounds
        Where each cell begins in that order, and where the last one ends.
    secret
        What pickles are signed with, at most 64 bytes.

    Raises
    ------
    UnsupportedError
        When a value cannot be pickled.

    Examples
    --------
    >>> packed = pack_values([5, 6, 700], np.array([2, 0, 1]), np.array([0, 1, 3]), b"secret")
    >>> unpack_values(packed.kind, packed.data[1:], packed.lengths[1:], b"secret").tolist()
    [5, 6]
    """
    kinds = set(map(type, values))
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    if kind in (int, float, bool):
        numbers = _as_numbers(values, kind)
        if numbers is not None:
            return PackedValues(
                kind=_FIRST_NUMBER + _NUMBERS.index(numbers.dtype),
                data=number_cells(numbers if order is None else numbers[order], bounds),
                lengths=_nothing(bounds),
            )
    if kind in (str, bytes):
        words = _words_in_arrow(values, kind)
        if words is not None:
            return _packed_words(words if order is None else words.take(pa.array(order)), bounds, kind)
    ordered: Sequence[Any] = values if order is None else as_objects(values)[order].tolist()
    ends = bounds.tolist()
    try:
        blocks = [_signed(pickle.dumps(ordered[lo:hi], 5), secret) for lo, hi in itertools.pairwise(ends)]
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        msg = f"Items of the bag cannot be moved between processes: {error}."
        raise UnsupportedError(msg, hint="Map them to values that can be pickled first.") from error
    return PackedValues(kind=PICKLED, data=pa.array(blocks, pa.large_binary()), lengths=_nothing(bounds))


def unpack_values(
    kind: int, data: pa.LargeBinaryArray, lengths: pa.LargeBinaryArray, secret: bytes
) -> Values:
    """Read neighbouring cells of one kind.

    Raises
    ------
    StagingError
        When pickles were not signed with the secret; nothing of them is unpickled.
    """
    if kind == PICKLED:
        found: list[Any] = []
        for block in data:
            found += pickle.loads(_verified(block.as_buffer(), secret))  # noqa: S301  signed by this run
        return as_objects(found)
    if kind >= _FIRST_NUMBER:
        return cell_numbers(data, _NUMBERS[kind - _FIRST_NUMBER])
    buffer, first, _ = _stretch(data)
    sizes = cell_numbers(lengths, np.dtype(np.int32))
    offsets = np.concatenate([[first], first + np.cumsum(sizes, dtype=np.int64)]).astype(np.int64, copy=False)
    make = pa.LargeStringArray if kind == _STRINGS else pa.LargeBinaryArray
    words = make.from_buffers(*_arrow_buffers(make, len(sizes), offsets, buffer))
    objects: Values = words.to_numpy(zero_copy_only=False)
    return objects


def number_cells(numbers: npt.NDArray[Any], bounds: npt.NDArray[np.int64]) -> pa.LargeBinaryArray:
    """Cut numbers into cells, without a copy."""
    return _binary(bounds * numbers.dtype.itemsize, pa.py_buffer(np.ascontiguousarray(numbers)))


def cell_numbers(cells: pa.LargeBinaryArray, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Read numbers of neighbouring cells, without a copy."""
    buffer, first, after = _stretch(cells)
    return np.frombuffer(buffer, dtype, (after - first) // dtype.itemsize, first)


def join_values(parts: Sequence[Values]) -> Values:
    """Join values, each as the Python object that it is: ints and floats do not become one type.

    Examples
    --------
    >>> join_values([np.array([1], "int8"), np.array([2.5])]).tolist()
    [1, 2.5]
    """
    if len({part.dtype.kind.replace("u", "i") for part in parts}) == 1:
        return np.concatenate(parts)
    return np.concatenate([np.empty(0, object), *(part.astype(object) for part in parts)])


def object_nbytes(values: Sequence[Any], kind: int) -> npt.NDArray[np.float64] | float | None:
    """Return what each value takes as a Python object in a list; one number where all take the same.

    Parameters
    ----------
    values
        At least one.
    kind
        How they are written.

    Returns
    -------
    numpy.ndarray or float or None
        Bytes; None of values that are pickled, whose type says nothing of it.

    Examples
    --------
    >>> packed = pack_values([1.5, 2.5], None, np.array([0, 2]), b"secret")
    >>> object_nbytes([1.5, 2.5], packed.kind)
    40.0
    """
    if kind >= _FIRST_NUMBER:
        return _REFERENCE_NBYTES if kind == _FIRST_NUMBER else _NUMBER_NBYTES
    words = _words_in_arrow(values, str if kind == _STRINGS else bytes) if kind != PICKLED else None
    if words is None:
        return None
    sizes: npt.NDArray[np.float64] = pc.binary_length(words).to_numpy().astype(np.float64)
    if kind == _STRINGS:
        # One character beyond ASCII may make all of a string's four bytes wide, and Arrow has it keep its UTF-8.
        sizes = np.where(pc.string_is_ascii(words).to_numpy(zero_copy_only=False), sizes, 5 * sizes)
    return sizes + _WORD_NBYTES


def as_objects(values: Sequence[Any]) -> Values:
    """Return values as an array of objects, whatever they are."""
    objects = np.empty(len(values), object)
    objects[:] = list(values)
    return objects


def _signature(block: pa.Buffer | bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(block, key=secret, digest_size=_SIGNATURE_NBYTES).digest()


def _signed(block: bytes, secret: bytes) -> bytes:
    return _signature(block, secret) + block


def _verified(data: pa.Buffer, secret: bytes) -> pa.Buffer:
    block = data.slice(min(_SIGNATURE_NBYTES, data.size))
    signature = data.slice(0, data.size - block.size).to_pybytes()
    if not hmac.compare_digest(signature, _signature(block, secret)):
        msg = "Staged items of the bag were not written by this run: their signature is another. None was unpickled."
        raise StagingError(msg, hint="Look at who may write to the staging directory.")
    return block


def _as_numbers(values: Sequence[Any], kind: type) -> Values | None:
    if kind is not int:
        return np.fromiter(values, _NUMBERS[0] if kind is bool else _NUMBERS[1], len(values))
    try:
        numbers = np.fromiter(values, np.int64, len(values))
    except OverflowError:
        return None
    low, high = int(numbers.min()), int(numbers.max())
    fitting = (dtype for dtype in _NUMBERS[2:] if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return numbers.astype(next(fitting))


def _words_in_arrow(values: Sequence[Any], kind: type) -> Any | None:
    try:
        return pa.array(values, pa.large_string() if kind is str else pa.large_binary())
    except (UnicodeEncodeError, pa.ArrowInvalid):  # half a surrogate pair
        return None


def _packed_words(words: Any, bounds: npt.NDArray[np.int64], kind: type) -> PackedValues:
    offsets = np.frombuffer(words.buffers()[1], np.int64, len(words) + 1, 8 * words.offset)
    sizes = np.diff(offsets).astype(np.int32)
    data = words.buffers()[2]
    return PackedValues(
        kind=_STRINGS if kind is str else _BYTES,
        data=_binary(offsets[bounds], pa.py_buffer(b"") if data is None else data),
        lengths=number_cells(sizes, bounds),
    )


def _binary(offsets: npt.NDArray[np.int64], data: pa.Buffer) -> pa.LargeBinaryArray:
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), data],
    )


def _nothing(bounds: npt.NDArray[np.int64]) -> pa.LargeBinaryArray:
    return _binary(np.zeros(len(bounds), np.int64), pa.py_buffer(b""))


def _stretch(cells: pa.LargeBinaryArray) -> tuple[pa.Buffer, int, int]:
    """Return the buffer that cells lie in, and where they begin and end."""
    _, offsets, data = cells.buffers()
    places = np.frombuffer(offsets, np.int64, len(cells) + 1, 8 * cells.offset)
    return pa.py_buffer(b"") if data is None else data, int(places[0]), int(places[-1])


def _arrow_buffers(make: Any, n: int, offsets: npt.NDArray[np.int64], data: pa.Buffer) -> tuple[Any, ...]:
    buffers = [None, pa.py_buffer(offsets), data]
    if make is pa.LargeStringArray:
        return n, buffers[1], data
    return pa.large_binary(), n, buffers

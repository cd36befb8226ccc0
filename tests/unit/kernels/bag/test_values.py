"""Python values as bytes, and back as the very same ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.kernels.bag.values import (
    PICKLED,
    as_objects,
    join_values,
    object_nbytes,
    pack_values,
    unpack_values,
)

SECRET = b"of this run"
VALUES = [
    st.integers(-5, 300),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(st.characters(exclude_categories=())),
    st.text(),
    st.binary(),
    st.none(),
    st.one_of(st.integers(), st.text(), st.none(), st.tuples(st.integers())),
    st.lists(st.integers(), max_size=2),
    st.builds(np.int64, st.integers(0, 9)),
]


@st.composite
def cells(draw):
    values = draw(st.lists(draw(st.sampled_from(VALUES)), min_size=1, max_size=20))
    order = draw(st.permutations(range(len(values))))
    bounds = sorted(draw(st.lists(st.integers(0, len(values)), max_size=5)))
    return values, order, [0, *bounds, len(values)]


@given(cells())
def test_values_come_back_as_they_were(drawn):
    values, order, bounds = drawn
    packed = pack_values(values, np.array(order), np.array(bounds), SECRET)
    ordered = [values[i] for i in order]
    assert repr(unpack_values(packed.kind, packed.data, packed.lengths, SECRET).tolist()) == repr(ordered)
    # Any neighbouring cells, as a slice of a file has them.
    for first in range(len(bounds) - 1):
        part = slice(first, first + 2)
        found = unpack_values(packed.kind, packed.data[part], packed.lengths[part], SECRET).tolist()
        after = min(first + 2, len(bounds) - 1)
        assert repr(found) == repr(ordered[bounds[first] : bounds[after]])


@pytest.mark.parametrize(
    ("values", "nbytes"), [([1, 2, 300], 6), ([True, False], 2), ([0.5], 8), (["ab", "c"], 3), ([2**40], 8)]
)
def test_simple_values_are_small(values, nbytes):
    packed = pack_values(values, None, np.array([0, len(values)]), SECRET)
    assert packed.kind != PICKLED
    assert len(packed.data[0].as_py()) == nbytes


@pytest.mark.parametrize("values", [[1, 2.0], [None], [2**64], [[1]], [np.int64(1)], [True, 1]])
def test_others_are_pickled(values):
    packed = pack_values(values, None, np.array([0, len(values)]), SECRET)
    assert packed.kind == PICKLED
    assert object_nbytes(values, packed.kind) is None


def test_bytes_in_memory_are_not_below_those_of_python():
    for values in (["", "abc", "é" * 50, "🎈" * 9, "a" * 40 + "🎈"], [b"", b"x" * 99], [5, 10**15], [0.1]):
        packed = pack_values(values, None, np.array([0, len(values)]), SECRET)
        reckoned = np.broadcast_to(object_nbytes(values, packed.kind), len(values))
        assert (reckoned >= [value.__sizeof__() + 8 for value in values]).all()


def test_ints_and_floats_are_joined_as_they_are():
    found = join_values([np.array([1], np.int8), np.array([2.5]), as_objects(["x"]), np.array([True])])
    assert [type(value) for value in found.tolist()] == [int, float, str, bool]
    assert join_values([np.array([200], np.uint8), np.array([-1], np.int64)]).tolist() == [200, -1]
    assert join_values([]).tolist() == []


class Bomb:
    """Unpickled, it would tell that it was."""

    gone_off = False

    def __reduce__(self):
        return setattr, (Bomb, "gone_off", True)


def test_pickles_of_others_are_not_unpickled():
    forged = pack_values([Bomb(), None], None, np.array([0, 1, 2]), b"of somebody else")
    with pytest.raises(safeframe.StagingError, match="not written by this run"):
        unpack_values(PICKLED, forged.data, forged.lengths, SECRET)
    assert not Bomb.gone_off
    unpack_values(PICKLED, forged.data, forged.lengths, b"of somebody else")
    assert Bomb.gone_off


@given(st.data())
def test_pickles_with_another_byte_are_not_unpickled(data):
    packed = pack_values([None, (1, "x"), [2]], None, np.array([0, 3]), SECRET)
    changed = bytearray(packed.data[0].as_py())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(changed)))
    for block in (bytes(changed), bytes(changed[:cut])):
        with pytest.raises(safeframe.StagingError, match="not written by this run"):
            unpack_values(PICKLED, pa.array([block], pa.large_binary()), packed.lengths, SECRET)


def test_values_that_nothing_can_move():
    with pytest.raises(safeframe.UnsupportedError, match="cannot be moved between processes"):
        pack_values([lambda: 1], None, np.array([0, 1]), SECRET)

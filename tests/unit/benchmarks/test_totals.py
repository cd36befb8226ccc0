from __future__ import annotations

from dataclasses import asdict, replace
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest

from benchmarks.totals import Totals


@pytest.fixture
def columns():
    rng = np.random.default_rng(7)
    return {
        "k": np.sort(rng.integers(0, 50, 90)),
        "a": rng.integers(-(2**62), 2**62, 90),
        "x": rng.uniform(0, 1, 90),
    }


def cut(columns, *bounds):
    edges = [0, *bounds, 90]
    return [
        Totals.of({name: values[lo:hi] for name, values in columns.items()}, "k")
        for lo, hi in pairwise(edges)
    ]


def test_sums_and_products_are_modulo_two_to_the_64(columns):
    totals = Totals.of(columns, "k")
    a, k = columns["a"].tolist(), columns["k"].tolist()
    assert totals.sums["a"] == sum(a) % 2**64
    assert totals.products["a"] == sum(p * q for p, q in zip(a, k, strict=True)) % 2**64
    assert totals.products["x"] == pytest.approx((columns["k"] * columns["x"]).sum())
    assert (totals.rows, totals.low, totals.high, totals.ordered) == (90, min(k), max(k), True)


@pytest.mark.parametrize("bounds", [(), (1,), (30, 30, 60), (0, 90)])
def test_pieces_add_up_to_the_whole(columns, bounds):
    whole = Totals.of(columns, "k")
    total = reduce(add, cut(columns, *bounds))
    assert total.wrong_columns(whole) == ()
    assert replace(total, sums=whole.sums, products=whole.products) == whole
    assert Totals(**asdict(total)) == total


def test_order_within_and_between_pieces(columns):
    first, second = cut(columns, 40)
    assert not (second + first).ordered
    columns["k"][3], columns["k"][30] = columns["k"][30], columns["k"][3]
    assert not Totals.of(columns, "k").ordered


def test_a_value_at_another_row_is_seen(columns):
    whole = Totals.of(columns, "k")
    assert columns["k"][0] != columns["k"][-1]
    for name in ("a", "x"):
        moved = {**columns, name: columns[name].copy()}
        moved[name][[0, -1]] = moved[name][[-1, 0]]
        found = Totals.of(moved, "k")
        assert found.sums == pytest.approx(whole.sums)
        assert found.wrong_columns(whole) == (name,)


def test_a_missing_column_is_wrong(columns):
    whole = Totals.of(columns, "k")
    del columns["a"]
    assert Totals.of(columns, "k").wrong_columns(whole) == ("a",)

"""Join sizes from statistics made by hand: exact arithmetic, and the interval of a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import KeyColumn, KeySchema, KeyStatistics, PartitionKeys
from safeframe.kernels.keys.mixing import below_fraction
from safeframe.kernels.keys.summary import heaviest
from safeframe.planning.merge.size import estimate_join

HOWS = ("inner", "left", "right", "outer")


def statistics(counts, *, nulls=0, fraction=1.0, heavy=8, also_heavy=()):
    """Make statistics of ``{key: rows}``, sampled when the fraction is below one."""
    codes = np.array(sorted(counts), np.uint64)
    rows = np.array([counts[key] for key in sorted(counts)], np.int64)
    kept = below_fraction(codes, fraction)
    top = codes[heaviest(codes, rows, heavy)]
    top = np.union1d(top, np.array(sorted(also_heavy), np.uint64))
    return KeyStatistics(
        on=("k",),
        schema=KeySchema(columns=(KeyColumn(kind="uint"),)),
        rows=int(rows.sum()) + nulls,
        null_rows=nulls,
        codes=codes[kept],
        counts=rows[kept],
        exact=fraction >= 1.0,
        sample_fraction=fraction,
        heavy_codes=top,
        heavy_counts=np.array([counts.get(int(key), 0) for key in top], np.int64),
        heavy_error=0,
        distinct=Estimate.computed(len(codes)),
        minimum=None,
        maximum=None,
        labels={int(code): int(code) for code in codes[kept]},
        partitions=PartitionKeys(
            rows=np.array([int(rows.sum()) + nulls]),
            null_rows=np.array([nulls]),
            first=codes[:1],
            last=codes[-1:],
            increasing=np.array([True]),
        ),
        capacity=len(codes),
    )


def both(left, right, **options):
    """Make both sides' statistics with the heaviest keys of either, as gathering does."""
    one, other = statistics(left, **options), statistics(right, **options)
    heavy = [*one.heavy_codes.tolist(), *other.heavy_codes.tolist()]
    return statistics(left, also_heavy=heavy, **options), statistics(right, also_heavy=heavy, **options)


def truth(left, right, how):
    return sum(
        (left.get(key, 0) * right.get(key, 0))
        or (left.get(key, 0) if how in ("left", "outer") else 0)
        + (right.get(key, 0) if how in ("right", "outer") else 0)
        for key in left.keys() | right.keys()
    )


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("left_nulls", "right_nulls"), [(0, 0), (2, 3), (2, 0), (0, 3)])
def test_exact_statistics_give_the_rows_of_pandas(how, left_nulls, right_nulls):
    left, right = {1: 2, 2: 3, 5: 1}, {2: 4, 5: 2, 9: 6}
    frames = [
        pd.DataFrame({"k": np.repeat([*counts, np.nan], [*counts.values(), nulls])})
        for counts, nulls in ((left, left_nulls), (right, right_nulls))
    ]
    found = estimate_join(
        statistics(left, nulls=left_nulls),
        statistics(right, nulls=right_nulls),
        how,
        row_nbytes=16.0,
        on=("k",),
    )
    merged = frames[0].merge(frames[1], how="outer", on="k", indicator=True)["_merge"]
    assert found.rows.exact
    assert int(found.rows) == len(frames[0].merge(frames[1], how=how, on="k"))
    assert int(found.left_unmatched_rows) == int((merged == "left_only").sum())
    assert int(found.right_unmatched_rows) == int((merged == "right_only").sum())
    assert int(found.nbytes) == 16 * int(found.rows)


def test_the_heaviest_keys_come_first_and_null_is_one_of_them():
    found = estimate_join(
        statistics({1: 2, 2: 3}, nulls=5),
        statistics({2: 4, 9: 6}, nulls=7),
        "outer",
        row_nbytes=8.0,
        on=("k",),
    )
    assert [(key.key, key.left_rows, key.right_rows, key.output_rows) for key in found.heaviest] == [
        (None, 5, 7, 35),
        (2, 3, 4, 12),
        (9, 0, 6, 6),
        (1, 2, 0, 2),
    ]


def test_rows_beyond_64_bits_are_exact():
    many = 3 * 10**12
    found = estimate_join(
        statistics({1: many, 2: 1}), statistics({1: many, 2: 7}), "inner", row_nbytes=8.0, on=("k",)
    )
    assert int(found.rows) == many**2 + 7
    assert found.rows.exact


def test_empty_sides_give_nothing():
    for how in HOWS:
        found = estimate_join(statistics({}), statistics({}), how, row_nbytes=8.0, on=("k",))
        assert int(found.rows) == 0
        assert found.rows.exact
        assert found.heaviest == ()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("seed", range(5))
def test_a_sample_gives_an_interval_around_the_truth(how, seed):
    rng = np.random.default_rng(seed)
    left, right = (
        dict(zip(keys.tolist(), (rng.zipf(1.8, len(keys)) % 10_000).clip(1).tolist(), strict=True))
        for keys in (rng.choice(60_000, 40_000, replace=False), rng.choice(60_000, 30_000, replace=False))
    )
    sides = both(left, right, fraction=0.2, heavy=options.HEAVY_KEYS)
    found = estimate_join(*sides, how, row_nbytes=8.0, on=("k",))
    assert not found.rows.exact
    assert found.rows.lower <= truth(left, right, how) <= found.rows.upper
    assert found.rows.upper / found.rows.lower < 1.5
    alone = sum(rows for key, rows in left.items() if key not in right)
    assert found.left_unmatched_rows.lower <= alone <= found.left_unmatched_rows.upper
    alone = sum(rows for key, rows in right.items() if key not in left)
    assert found.right_unmatched_rows.lower <= alone <= found.right_unmatched_rows.upper


def test_the_interval_is_about_as_wide_as_it_has_to_be():
    """Of many samples nearly all intervals hold the truth, and the estimates scatter around it."""
    rng = np.random.default_rng(0)
    errors, missed = [], 0
    for _ in range(60):
        keys = rng.choice(2**40, 3000, replace=False).tolist()
        left, right = (
            {key: int(rows) for key, rows in zip(keys, rng.integers(1, 20, 3000), strict=True)} for _ in "lr"
        )
        found = estimate_join(*both(left, right, fraction=0.25, heavy=16), "inner", row_nbytes=8.0, on=("k",))
        rows = truth(left, right, "inner")
        errors.append(found.rows.expected / rows - 1)
        missed += not found.rows.lower <= rows <= found.rows.upper
    assert missed == 0
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
    assert (found.rows.upper - found.rows.lower) / rows < 12 * np.std(errors)


@pytest.mark.parametrize("how", ["left", "right", "outer"])
def test_a_side_that_is_kept_gives_at_least_its_rows(how):
    kept, other = statistics(dict.fromkeys(range(4000), 1), fraction=0.1), statistics({1: 1}, fraction=0.1)
    sides = (other, kept) if how == "right" else (kept, other)
    rows = estimate_join(*sides, how, row_nbytes=8.0, on=("k",)).rows
    assert 4_000 <= rows.lower <= rows.expected <= rows.upper


def test_a_sample_without_a_match_does_not_rule_matches_out():
    left, right = (dict.fromkeys(range(base, base + 2000), 3) for base in (0, 10_000))
    found = estimate_join(*both(left, right, fraction=0.1, heavy=4), "inner", row_nbytes=8.0, on=("k",))
    assert found.rows.lower == found.rows.expected == 0
    assert found.rows.upper > 0


def test_one_exact_side_next_to_a_sampled_one():
    left, right = {key: key % 7 + 1 for key in range(5000)}, dict.fromkeys(range(40), 2)
    heavy = list(right)
    sides = statistics(left, fraction=0.1, also_heavy=heavy), statistics(right, also_heavy=heavy)
    found = estimate_join(*sides, "inner", row_nbytes=8.0, on=("k",))
    assert found.rows.lower <= truth(left, right, "inner") <= found.rows.upper


def test_heavy_keys_that_the_other_side_did_not_count_are_left_to_the_sample():
    left, right = ({key: 1000 if key < 20 else 1 for key in range(5000)} for _ in "lr")
    one, other = statistics(left, fraction=0.5, heavy=20), statistics(right, fraction=0.5, heavy=20)
    other = replace(other, heavy_codes=other.heavy_codes[:0], heavy_counts=other.heavy_counts[:0])
    found = estimate_join(one, other, "inner", row_nbytes=8.0, on=("k",))
    assert found.rows.lower <= truth(left, right, "inner") <= found.rows.upper

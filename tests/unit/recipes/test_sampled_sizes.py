"""Sizes of strings are known from a sample: they are intervals, and what is beyond them is noticed."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import MemoryBudgetError, OutputTooLargeError, PartitionSizeWarning

KIB = 2**10


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


def uneven(tmp_path, n=8, short=(0, 4), length=4000):
    """Partitions of strings, short in some of them."""
    pieces = [
        pd.DataFrame(
            {
                "k": np.arange(i * 200, i * 200 + 200),
                "s": ["x" * (10 if i in short else length) + str(j) for j in range(200)],
            }
        )
        for i in range(n)
    ]
    return dd.from_map(lambda i: pieces[i], range(n), meta=pieces[0].iloc[:0])


def shuffled(n):
    keys = np.random.default_rng(0).permutation(n)
    return dd.from_pandas(pd.DataFrame({"k": keys, "b": np.arange(n)}), npartitions=2)


RECIPES = {
    "merge": lambda ddf, **options: safeframe.merge(
        ddf, shuffled(1600), on="k", strategy="staged", **options
    ),
    "set_index": lambda ddf, **options: safeframe.set_index(ddf, "k", strategy="staged", **options),
    "sort_values": lambda ddf, **options: safeframe.sort_values(ddf, "k", strategy="staged", **options),
    "shuffle": lambda ddf, **options: safeframe.shuffle(ddf, "k", **options),
    "rebalance": lambda ddf, **options: safeframe.rebalance_partitions(ddf, **options),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_partitions_keep_to_their_size_where_strings_differ(recipe, tmp_path):
    made = RECIPES[recipe](uneven(tmp_path), partition_size="128KiB", staging=str(tmp_path))
    plan = safeframe.explain(made)
    sizes = [part.memory_usage(deep=True).sum() for part in dask.compute(*made.to_delayed())]
    assert max(sizes) <= 1.05 * plan.largest_partition_nbytes
    assert plan.output_nbytes.lower <= sum(sizes) <= plan.output_nbytes.upper + 200 * len(sizes)
    if recipe != "rebalance":  # which measures every row
        assert not plan.output_nbytes.exact
        assert plan.output_nbytes.method == "sample"


def skewed(tmp_path, *, nulls=0):
    """Files of which one has strings that are two hundred times as long."""
    pieces = []
    for number in range(8):
        rows = np.arange(number * 1000, number * 1000 + 1000)
        words = ["x" * (2000 if number == 5 else 10) + str(row) for row in rows]
        piece = pd.DataFrame({"k": rows, "t": [f"{row % 97:03d}" for row in rows], "s": words})
        piece["w"] = pd.Series(np.random.default_rng(number).permutation(1000) * 8 + number, dtype="Int64")
        piece.loc[: nulls - 1, "w"] = pd.NA
        piece.to_parquet(tmp_path / f"{number}.parquet")
        pieces.append(piece)
    return dd.read_parquet(sorted(tmp_path.glob("*.parquet"))), pd.concat(pieces)


@pytest.mark.parametrize(
    ("by", "nulls"), [("k", 0), ("w", 0), ("w", 300), ("s", 0), (["t", "k"], 0)], ids=str
)
def test_rows_are_cut_by_their_bytes_where_strings_are_longer_in_some_parts(by, nulls, tmp_path):
    ddf, frame = skewed(tmp_path, nulls=nulls)
    made = safeframe.sort_values(ddf, by, partition_size="128KiB", strategy="staged", staging=str(tmp_path))
    plan = safeframe.explain(made)
    parts = dask.compute(*made.to_delayed())
    sizes = [int(part.memory_usage(deep=True).sum()) for part in parts]
    if not nulls:  # the rows of one key, or of nulls, are cut by their number
        assert max(sizes) <= 1.02 * plan.largest_partition_nbytes <= 1.02 * 128 * KIB
    assert len(sizes) <= 2 + 1.3 * sum(sizes) / (128 * KIB)
    expected = frame.sort_values(by, kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(
        pd.concat(parts).reset_index(drop=True), expected, check_dtype=False, check_exact=True
    )


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@pytest.mark.parametrize("key", ["k", "w"])
def test_merges_are_cut_by_bytes_where_strings_are_longer_in_some_parts(how, key, tmp_path):
    ddf, frame = skewed(tmp_path, nulls=0 if key == "k" else 10)
    keys = np.random.default_rng(0).permutation(8000)[:7900]
    other = pd.DataFrame({key: pd.Series(keys, dtype=frame[key].dtype), "b": np.arange(7900)})
    made = safeframe.merge(
        ddf, dd.from_pandas(other, npartitions=2), on=key, how=how, strategy="staged",
        partition_size="128KiB", staging=str(tmp_path),
    )  # fmt: skip
    plan = safeframe.explain(made)
    parts = dask.compute(*made.to_delayed())
    sizes = [int(part.memory_usage(deep=True).sum()) for part in parts]
    assert max(sizes) <= 1.02 * plan.largest_partition_nbytes <= 1.02 * 128 * KIB
    assert len(sizes) <= 2 + 1.3 * sum(sizes) / (128 * KIB)
    columns = list(parts[0].columns)
    pd.testing.assert_frame_equal(
        pd.concat(parts).sort_values(["k", "b"], ignore_index=True),
        frame.merge(other, on=key, how=how)[columns].sort_values(["k", "b"], ignore_index=True),
        check_dtype=False,
    )


def test_max_output_looks_at_the_upper_end(tmp_path):
    left, right = uneven(tmp_path), shuffled(1600)
    estimate = safeframe.estimate_merge(left, right, on="k").nbytes
    assert estimate.lower < estimate.expected < estimate.upper
    for allowed in (estimate.lower, estimate.expected, estimate.upper - 1):
        with pytest.raises(OutputTooLargeError, match="between") as raised:
            safeframe.merge(left, right, on="k", staging=str(tmp_path), max_output=allowed)
        assert raised.value.figures["largest_output_nbytes"] == estimate.upper
    safeframe.merge(left, right, on="k", staging=str(tmp_path), max_output=estimate.upper)


@pytest.mark.parametrize("recipe", ["merge", "set_index", "sort_values", "shuffle"])
def test_a_partition_beyond_the_sample_is_warned_of(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.options.WIDTH_SAMPLES", 2)
    # A process warns once of a limit, and another test may have had the same one.
    monkeypatch.setattr("safeframe.engine.planned.cells._warned", set())
    ddf = uneven(tmp_path, short=(0, 7))
    made = RECIPES[recipe](ddf, partition_size="128KiB", staging=str(tmp_path))
    assert safeframe.explain(made).largest_possible_nbytes < 2**20
    with pytest.warns(PartitionSizeWarning, match="was the most that the sampled strings allowed"):
        assert len(dask.compute(*made.to_delayed())) == made.npartitions


@pytest.mark.parametrize("recipe", ["merge", "set_index", "sort_values", "shuffle"])
def test_a_partition_that_no_task_can_hold_is_refused_before_it_is_read(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.options.WIDTH_SAMPLES", 2)
    monkeypatch.setattr("safeframe.options.FETCH_COPIES", 2**14)  # as if strings were longer still
    ddf = uneven(tmp_path, short=(0, 7), length=40_000)
    made = RECIPES[recipe](ddf, partition_size="1MiB", staging=str(tmp_path))
    monkeypatch.setattr(
        "safeframe.engine.exchange.fetch.read_pieces", lambda *_: pytest.fail("rows were read")
    )
    with pytest.raises(MemoryBudgetError, match="are staged for one output partition"):
        made.compute()


def test_what_has_a_fixed_width_is_exact(tmp_path):
    left, right = shuffled(1600), shuffled(1600)
    for how in ("inner", "left", "outer"):
        plan = safeframe.plan_merge(left, right, on="k", how=how, staging=str(tmp_path))
        assert plan.output_nbytes.exact
        assert plan.largest_possible_nbytes == plan.largest_partition_nbytes
        result = safeframe.merge(left, right, on="k", how=how, staging=str(tmp_path)).compute()
        assert int(plan.output_nbytes) == result.memory_usage(index=False, deep=True).sum()


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize("matched", [True, False])
def test_bytes_of_narrow_types_are_those_that_come(how, matched, tmp_path):
    frame = pd.DataFrame({"k": np.arange(100)})
    for dtype in ("int8", "float32", "bool", "datetime64[s]", "Int16", "complex64", "int32[pyarrow]"):
        frame[dtype] = pd.Series(np.zeros(100, "int16")).astype(dtype)
    left = dd.from_pandas(frame, npartitions=2)
    right = dd.from_pandas(frame.assign(k=frame["k"] + (0 if matched else 50)), npartitions=3)
    merged = safeframe.merge(left, right, on="k", how=how, staging=str(tmp_path))
    nbytes = safeframe.explain(merged).output_nbytes
    made = merged.compute().memory_usage(index=False, deep=True).sum()
    assert nbytes.lower <= made <= nbytes.upper
    if nbytes.exact:
        assert int(nbytes) == made


@pytest.mark.parametrize("how", ["left", "outer", "inner"])
@pytest.mark.parametrize("met", [0, 30])
def test_rows_without_a_match_have_no_strings(how, met, tmp_path):
    many = pd.DataFrame({"k": np.arange(400) % 40, "a": 1.0})
    few = pd.DataFrame({"k": np.arange(met, met + 20) + 20, "s": "x" * 500, "o": [("y" * 300,)] * 20})
    with dask.config.set({"dataframe.convert-string": False}):
        left, right = (dd.from_pandas(side, npartitions=2) for side in (many, few))
        merged = safeframe.merge(left, right, on="k", how=how, staging=str(tmp_path))
        sizes = [part.memory_usage(deep=True).sum() for part in dask.compute(*merged.to_delayed())]
    assert safeframe.explain(merged).output_nbytes.lower <= sum(sizes)


@pytest.mark.parametrize("key", [None, "c1"])
def test_few_rows_with_categories_are_not_refused(key, tmp_path):
    def side(name, rows):
        keys = pd.Categorical([key] * rows, categories=[f"c{i}" for i in range(1, 8)])
        frame = pd.DataFrame({"k": keys, name: np.arange(rows), "both": np.arange(rows) / 2})
        return dd.from_pandas(frame, npartitions=rows - 1, sort=False)

    with dask.config.set({"dataframe.convert-string": False}):
        merged = safeframe.merge(
            side("l", 3),
            side("r", 2),
            on="k",
            strategy="staged",
            partition_size="2KiB",
            staging=str(tmp_path),
        )
        assert len(merged.compute(scheduler="sync")) == 6


@pytest.mark.parametrize("spread", ["even", "uneven"])
@pytest.mark.parametrize("partition_size", ["256KiB", "1MiB"])
@pytest.mark.parametrize("recipe", ["merge", "shuffle"])
def test_shards_of_few_sampled_keys_keep_to_their_bound(recipe, partition_size, spread, tmp_path):
    """Which keys are in a shard is chance: of few, some shard has many more than the sample says."""
    rng = np.random.default_rng(0)
    n, keys = 200_000, 70_000
    picked = rng.integers(0, keys, n) if spread == "even" else (rng.beta(1, 3, n) * keys).astype(int)
    orders = pd.DataFrame({"k": np.char.mod("id%010d", picked), "q": np.arange(n), "x": rng.random(n)})
    others = pd.DataFrame({"k": np.char.mod("id%010d", np.arange(keys)), "y": np.arange(keys)})
    given = {"partition_size": partition_size, "strategy": "staged", "staging": str(tmp_path)}
    with dask.config.set({"safeframe.key-capacity": 2**12}):
        ddf = dd.from_pandas(orders, npartitions=6)
        if recipe == "merge":
            made = safeframe.merge(ddf, dd.from_pandas(others, npartitions=2), on="k", how="left", **given)
        else:
            made = safeframe.shuffle(ddf, "k", **given)
        plan = safeframe.explain(made)
        rows = [len(part) for part in dask.compute(*made.to_delayed())]
    assert sum(rows) == n
    assert max(rows) * plan.row_nbytes <= plan.largest_partition_nbytes + plan.row_nbytes
    assert plan.largest_partition_nbytes <= plan.partition_nbytes

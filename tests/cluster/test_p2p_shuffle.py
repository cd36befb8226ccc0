"""p2p_shuffle on a real cluster: the rows, the checks, the buffers."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, wait

import safeframe
from safeframe import errors, measure
from safeframe.engine.p2p.settings import P2PBuffers
from safeframe.engine.sort.nodes import SafeShuffle
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle
from safeframe.recipes.statistics import key_statistics
from safeframe.sizing.p2p import p2p_facts
from tests.property.objects import identical
from tests.property.recipes import in_parts
from tests.property.test_categorical_properties import CASES, check_column, in_dask, parts_of, unknown


def rows_of(number, rows=2000):
    rng = np.random.default_rng(number)
    return pd.DataFrame(
        {
            "k": rng.integers(0, 300, rows),
            "number": np.arange(rows) + number * rows,
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.random(rows)),
            "small": rng.integers(0, 100, rows).astype("int8"),
            "flag": rng.random(rows) < 0.5,
            "when": pd.date_range("2020-01-01", periods=rows, freq="s", tz="UTC"),
            "word": pd.array(rng.choice(["a", "bb", None], rows), dtype="string[pyarrow]"),
            "maybe": pd.array(rng.choice([1, 2, None], rows), dtype="Int64"),
            "kind": pd.Categorical(rng.choice(["x", "y", "z"], rows), ["x", "y", "z"]),
        },
        index=pd.Index(rng.integers(0, 50, rows), name="row"),
    )


def frame_of(partitions=5, rows=2000):
    return dd.from_map(rows_of, range(partitions), rows=rows, meta=rows_of(0).iloc[:0])


def same(found, expected):
    """Compare as they are, rows in their order."""
    pd.testing.assert_frame_equal(found, expected, check_categorical=False)


def check_partitions(shuffled, expected, on):
    """Every key in one partition, every partition in input order, all rows there."""
    parts = dask.compute(*[shuffled.partitions[i] for i in range(shuffled.npartitions)])
    keys = pd.concat([part[on].drop_duplicates() for part in parts])
    assert not keys.duplicated().any()
    assert sum(map(len, parts)) == len(expected)
    for part in parts:
        where = pd.MultiIndex.from_frame(expected[on]).isin(pd.MultiIndex.from_frame(part[on]))
        same(part, expected[where])
    return parts


@pytest.mark.parametrize("on", [["k"], ["word"], ["x"], ["k", "kind"], ["when"]])
def test_rows_are_those_of_the_input_with_each_key_in_one_partition(small_cluster, on):
    frame = frame_of()
    shuffled = p2p_shuffle(frame, on, npartitions=7)
    assert shuffled.npartitions == 7
    pd.testing.assert_frame_equal(shuffled._meta, frame._meta)
    check_partitions(shuffled, frame.compute(), on)


def test_the_plan_says_what_happens(small_cluster):
    plan = plan_p2p_shuffle(frame_of(), "k", partition_size="64KiB")
    assert (plan.recipe, plan.strategy, plan.fits) == ("p2p_shuffle", "p2p", True)
    assert plan.output_rows.exact
    assert plan.output_rows.expected == 10_000
    assert plan.largest_partition_nbytes <= 64 * 1024
    parts = check_partitions(
        p2p_shuffle(frame_of(), "k", partition_size="64KiB"), frame_of().compute(), ["k"]
    )
    assert len(parts) == plan.output_partitions
    assert max(map(len, parts)) * plan.row_nbytes <= plan.largest_partition_nbytes + 1


@pytest.mark.parametrize("npartitions", [128, 129, 130, 257])
def test_counts_at_which_dask_lost_rows(small_cluster, npartitions):
    frame = frame_of(2)
    found = p2p_shuffle(frame, "number", npartitions=npartitions).compute()
    assert found["number"].is_unique
    assert len(found) == 4000


@pytest.mark.parametrize("names", [[0, 1, 2], [None, ("a", 1), "_partitions"], ["c1", "__shard__", "index"]])
def test_any_column_names(small_cluster, names):
    frame = pd.DataFrame({name: np.arange(100) % (i + 7) for i, name in enumerate("abc")})
    frame.columns = pd.Index(names, tupleize_cols=False)
    frame.index.name = names[2]
    ddf = dd.from_map(lambda part: frame.iloc[part * 25 : part * 25 + 25], range(4), meta=frame.iloc[:0])
    shuffled = p2p_shuffle(ddf, [names[1]], npartitions=3)
    assert list(shuffled.compute().columns) == names
    assert shuffled._meta.index.name == names[2]
    same(shuffled.compute().sort_index(), frame)


def test_objects_that_arrow_gives_back(small_cluster):
    with dask.config.set({"dataframe.convert-string": False}):
        values = pd.Series(["a", "b", np.nan, "c"] * 5, dtype=object)
        frame = pd.DataFrame(
            {"k": np.arange(20) % 3, "o": values, "b": pd.Series([b"1", b"2"] * 10, dtype=object)}
        )
        frame["b"] = frame["b"].astype(object)
        found = p2p_shuffle(dd.from_pandas(frame, npartitions=3), "k", npartitions=2).compute()
    same(found.sort_index(), frame)


@pytest.mark.parametrize("empty", [[0], [1], [0, 1, 2]])
def test_empty_partitions(small_cluster, empty):
    frame = dd.from_map(
        lambda number: rows_of(number, 0 if number in empty else 50), range(3), meta=rows_of(0).iloc[:0]
    )
    shuffled = p2p_shuffle(frame, "k", npartitions=4)
    parts = dask.compute(*[shuffled.partitions[i] for i in range(4)])
    assert sum(map(len, parts)) == 50 * (3 - len(empty))
    for part in parts:
        same(part.iloc[:0], rows_of(0).iloc[:0].astype(frame._meta.dtypes))


def test_what_follows_it_is_plain_dask(small_cluster, tmp_path):
    frame = frame_of()
    expected = frame.compute()
    shuffled = p2p_shuffle(frame, "k", npartitions=3)
    assert shuffled[["small"]].sum().compute()["small"] == expected["small"].sum()
    assert len(shuffled[shuffled.flag]) == expected["flag"].sum()
    shuffled.to_parquet(tmp_path / "out")
    assert len(dd.read_parquet(tmp_path / "out")) == 10_000
    kept = shuffled.persist()
    wait(kept)
    assert len(kept) == 10_000
    joined = shuffled.merge(frame[["k"]].drop_duplicates(), on="k")
    assert len(joined) == 10_000
    counts = shuffled.map_partitions(lambda part: part.groupby("k").size(), meta=pd.Series([], dtype="int64"))
    assert counts.compute().sort_index().tolist() == expected.groupby("k").size().tolist()


def test_only_the_columns_that_are_wanted_are_sent(small_cluster, tmp_path):
    frame_of().to_parquet(tmp_path / "in")
    wide = p2p_shuffle(dd.read_parquet(tmp_path / "in"), "k", npartitions=3)
    (narrow,) = wide[["x"]].simplify().expr.find_operations(SafeShuffle)
    assert list(narrow.frame.columns) == ["k", "x"]
    assert wide["x"].sum().compute() == pytest.approx(frame_of()["x"].sum().compute())


def test_statistics_that_were_gathered_before(small_cluster):
    frame = frame_of()
    keys = key_statistics(frame, "k")
    assert len(p2p_shuffle(frame, "k", statistics=keys).compute()) == 10_000
    with pytest.raises(errors.ValidationError, match=r"statistics= is of \['k'\]"):
        p2p_shuffle(frame, "x", statistics=keys)


def test_rows_and_projection_are_seen_by_measure(small_cluster):
    with measure() as measured:
        p2p_shuffle(frame_of(), "k", npartitions=3).compute()
    assert measured.projected_worker_nbytes > 0
    assert measured.rows_out == 10_000


# Rows that are lost ----------------------------------------------------------


def lose_one_batch():
    from distributed.shuffle._shuffle import DataFrameShuffleRun

    whole = DataFrameShuffleRun._repartition_buffers
    left = [1]

    def lossy(self, data):
        groups = whole(self, data)
        if left and left.pop():
            groups.popitem()
        return groups

    DataFrameShuffleRun._whole, DataFrameShuffleRun._repartition_buffers = whole, lossy


def lose_nothing():
    from distributed.shuffle._shuffle import DataFrameShuffleRun

    DataFrameShuffleRun._repartition_buffers = DataFrameShuffleRun._whole
    del DataFrameShuffleRun._whole


def test_a_lost_batch_is_seen(small_cluster):
    shuffled = p2p_shuffle(frame_of(), "k", npartitions=3)
    small_cluster.run(lose_one_batch)
    try:
        with pytest.raises(
            errors.RowConservationError, match=r"shard \d of .*P2P: [\d,]+ rows went in and"
        ) as info:
            shuffled.compute()
    finally:
        small_cluster.run(lose_nothing)
    assert info.value.figures["rows_out"] < info.value.figures["rows_in"]
    assert len(shuffled.compute()) == 10_000


# What is refused -------------------------------------------------------------


def test_without_a_client():
    with (
        dask.config.set(scheduler="threads"),
        pytest.raises(errors.UnsupportedError, match=r"no distributed client(.|\n)*strategy='staged'"),
    ):
        p2p_shuffle(frame_of(), "k")


def test_an_old_dask(small_cluster, monkeypatch):
    monkeypatch.setattr("safeframe.sizing.p2p.version", lambda name: "2026.5.1")
    with pytest.raises(errors.UnsupportedError, match=r"dask 2026\.5\.1 is installed.*dask#12427"):
        p2p_shuffle(frame_of(), "k")


def test_memory_that_is_too_small(small_cluster):
    assert not plan_p2p_shuffle(frame_of(), "k", memory="64MiB").fits
    with pytest.raises(
        errors.MemoryBudgetError, match=r"buffers and messages take .*; 64 MiB is allowed"
    ) as info:
        p2p_shuffle(frame_of(), "k", memory="64MiB")
    assert info.value.figures["projected_nbytes"] > info.value.figures["allowed_nbytes"]


def test_a_disk_that_is_too_small(small_cluster, monkeypatch):
    # The answer of the workers is theirs; what the plan makes of it is not.
    small = plan_p2p_shuffle(frame_of(), "k").staging_nbytes // 2
    ask = small_cluster.run
    monkeypatch.setattr(
        small_cluster, "run", lambda function, *a, **k: _with_free(ask(function, *a, **k), small)
    )
    monkeypatch.setattr("safeframe.sizing.p2p.current_client", lambda: small_cluster)
    with pytest.raises(
        errors.StagingFullError, match=r"2 workers share, and only .* is free(.|\n)*local_directory="
    ):
        p2p_shuffle(frame_of(), "k")


def _with_free(answers, free):
    from dataclasses import replace

    return {
        worker: replace(answer, directory=replace(answer.directory, free_nbytes=free))
        if hasattr(answer, "directory")
        else answer
        for worker, answer in answers.items()
    }


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"on": "nope"}, errors.KeyNotFoundError, "no column 'nope'"),
        ({"npartitions": 0}, errors.ValidationError, "npartitions=0"),
        ({"npartitions": 2, "partition_size": "1MiB"}, errors.ValidationError, "exclude each other"),
        ({"partition_size": "many"}, errors.ValidationError, "partition_size='many'"),
    ],
)
def test_bad_arguments(small_cluster, arguments, error, message):
    with pytest.raises(error, match=message):
        p2p_shuffle(frame_of(), **{"on": "k", **arguments})


def test_columns_that_p2p_cannot_carry(small_cluster):
    complex_numbers = dd.from_pandas(pd.DataFrame({"k": [1, 2], "z": [1j, 2j]}), npartitions=1)
    with pytest.raises(errors.UnsupportedError, match="'z' is complex128"):
        p2p_shuffle(complex_numbers, "k")
    mixed = pd.DataFrame({"k": [1, 2, 3], "o": pd.Series([1, "a", print], dtype=object)})
    with dask.config.set({"dataframe.convert-string": False}):
        mixed = dd.from_pandas(mixed, npartitions=1)
        with pytest.raises(errors.UnsupportedError, match="'o' of dtype object holds builtin_function"):
            p2p_shuffle(mixed, "k")


def objects_in_parts(number):
    values = [["a", 1, (2, 3.0)], [b"a", None, np.nan], [{"x": [1]}, 2**70, pd.NaT]][number]
    index = pd.Index([number, "i", None], dtype=object, name="i")
    return pd.DataFrame(
        {"k": [0, 1, 2], "n": [number] * 3, "o": pd.Series(values, index=index, dtype=object)}
    )


@pytest.mark.parametrize("recipe", ["p2p_shuffle", "sort_values", "merge"])
def test_objects_come_out_as_they_went_in(small_cluster, recipe):
    parts = [objects_in_parts(number) for number in range(3)]
    with dask.config.set({"dataframe.convert-string": False}):
        frame = dd.from_map(objects_in_parts, range(3), meta=parts[0].iloc[:0])
        if recipe == "p2p_shuffle":
            result = p2p_shuffle(frame, "k", npartitions=2)
        elif recipe == "sort_values":
            result = safeframe.sort_values(frame, "k", strategy="p2p")
        else:
            other = dd.from_pandas(pd.DataFrame({"k": [0, 1, 2]}), npartitions=2)
            result = safeframe.merge(frame, other, on="k", strategy="p2p")
        found = result.compute().sort_values(["n", "k"])
    expected = pd.concat(parts)
    assert identical(found["o"].tolist(), expected["o"].tolist())
    if recipe != "merge":
        assert identical(found.index.tolist(), expected.index.tolist())


def test_partitions_that_break_the_promised_types(small_cluster):
    def breaking(number):
        return pd.DataFrame({"k": [1, 2], "a": [[1, 2], [1.5, 2.5]][number]})

    frame = dd.from_map(breaking, [0, 1], meta=breaking(0).iloc[:0], enforce_metadata=False)
    with pytest.raises(errors.SchemaMismatchError, match="'a' is float64 in one partition"):
        p2p_shuffle(frame, "k", npartitions=2).compute()
    narrow = dd.from_map(breaking, [0, 0], meta=breaking(1).iloc[:0], enforce_metadata=False)
    found = p2p_shuffle(narrow, "k", npartitions=2).compute()
    assert found["a"].dtype == "float64", "what loses nothing is cast"


def test_one_key_that_is_larger_than_a_partition_should_be(small_cluster):
    frame = dd.from_map(lambda number: rows_of(number).assign(k=7), range(3), meta=rows_of(0).iloc[:0])
    with pytest.warns(errors.SafeframeWarning, match=r"the key 7 has 6,000 rows.*cannot cut a key"):
        shuffled = p2p_shuffle(frame, "k", partition_size="64KiB")
    assert len(shuffled.compute()) == 6000


# Buffers and disks of the workers --------------------------------------------


def limits(client):
    def ask(dask_worker):
        shuffle = dask_worker.plugins["shuffle"]
        return shuffle.memory_limiter_comms.limit, shuffle.memory_limiter_disk.limit

    return set(client.run(ask).values())


def test_buffers_of_running_workers_and_of_those_that_join_are_set():
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        assert limits(client) == {(2**30, 100 * 2**20)}
        facts = p2p_facts(frame_of(1))
        assert facts.live is not None
        assert facts.live.comm_nbytes == 2**30
        shuffled = p2p_shuffle(frame_of(1), "k", npartitions=2)
        assert limits(client) == {(2**30, 100 * 2**20)}, "nothing is set before it is computed"
        shuffled.compute()
        (set_once,) = limits(client)
        assert set_once[0] < 2**30
        cluster.scale(2)
        client.wait_for_workers(2)
        assert limits(client) == {set_once}
        assert len(p2p_shuffle(frame_of(1), "k", npartitions=2).compute()) == 2000
        client.unregister_worker_plugin(P2PBuffers.name)


def test_the_disks_of_the_workers(small_cluster):
    (disk,) = p2p_facts(frame_of(1)).disks
    assert disk.workers == 2
    assert disk.free_nbytes > 0
    assert not disk.in_memory


@pytest.mark.parametrize("columns", CASES.values(), ids=CASES.keys())
def test_categories_that_differ_by_partition(columns, small_cluster):
    shuffled = safeframe.shuffle(in_dask(columns), "k", npartitions=3, strategy="p2p")
    check_column(shuffled.compute().sort_values("k")["o"], columns)
    keys = dd.from_pandas(pd.DataFrame({"k": range(250)}), npartitions=2)
    merged = safeframe.merge(in_dask(columns), keys, on="k", how="left", strategy="p2p")
    check_column(merged.compute().sort_values("k")["o"], columns)


def test_categories_of_an_index_that_differ_by_partition(small_cluster):
    columns = CASES["many"]
    parts = [part.set_index("o") for part in parts_of(columns)]
    ddf = in_parts(parts, meta=unknown(parts_of(columns)).set_index("o"))
    found = safeframe.shuffle(ddf, "k", npartitions=3, strategy="p2p").compute()
    assert found.index.name == "o"
    check_column(found.reset_index().sort_values("k")["o"], columns)

"""The steps that gather rows, as ``safeframe/_dask/gathering.py`` knows them: what dask calls make, and what they tell."""

from __future__ import annotations

from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

from safeframe._dask import expressions, gathering

ROWS = pd.DataFrame({"k": [1, 2, 1, 2] * 10, "v": range(40), "s": ["a"] * 40})


@pytest.fixture(autouse=True)
def _synchronous() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


def frame(npartitions: int = 4) -> Any:
    return dd.from_pandas(ROWS, npartitions=npartitions)


def test_calls_make_these_steps() -> None:
    ddf = frame()
    made = {
        gathering.Concat: dd.concat([ddf, ddf]),
        gathering.Drop: ddf.drop(columns="v"),
        gathering.DropDuplicates: ddf.drop_duplicates(),
        gathering.GroupByReduction: ddf[["k", "v"]].groupby("k").mean(),
        gathering.Head: ddf.head(3, compute=False),
        gathering.Mode: ddf.v.mode(),
        gathering.Query: ddf.query("v > 3"),
        gathering.Repartition: ddf.repartition(npartitions=1),
        gathering.ResetIndex: ddf.reset_index(),
        gathering.Sample: ddf.sample(frac=0.5),
        gathering.SetIndex: ddf.set_index("v"),
        gathering.ShuffleBase: ddf.shuffle("k"),
        gathering.SortValues: ddf.sort_values("v"),
        gathering.Tail: ddf.tail(3, compute=False),
        gathering.ToFrame: ddf.v.to_frame(),
        gathering.Unique: ddf.s.unique(),
        gathering.ValueCounts: ddf.s.value_counts(),
    }
    wrong = [kind.__name__ for kind, collection in made.items() if not isinstance(collection.expr, kind)]
    assert not wrong
    for kind in (gathering.DropDuplicates, gathering.GroupByReduction, gathering.Mode, gathering.ValueCounts):
        assert issubclass(kind, gathering.ApplyConcatApply)
    assert issubclass(expressions.GroupByApplyConcatApply, gathering.ApplyConcatApply)


def test_reductions_make_as_many_partitions_as_is_said() -> None:
    for npartitions in (4, 40):
        ddf = frame(npartitions)
        for made in (
            ddf.groupby("k").v.sum(),
            ddf[["k", "v"]].groupby("k").mean(),
            ddf.groupby("k").agg({"v": "max"}),
            ddf.groupby("k").v.sum(split_out=3),
            ddf.groupby("k", sort=True).v.sum(),
            ddf.drop_duplicates(),
            ddf.drop_duplicates(split_out=1),
            ddf.s.value_counts(),
        ):
            said = gathering.reduced_partitions(made.expr)
            assert made.optimize().npartitions == (ddf.npartitions if said is None else said)


def test_a_reduction_tells_what_partitions_send() -> None:
    ddf = frame()
    assert list(gathering.chunk_meta(ddf.drop_duplicates().expr).columns) == ["k", "v", "s"]
    assert len(gathering.chunk_meta(ddf.groupby("k").mean(numeric_only=True).expr).columns) == 2
    assert gathering.chunk_meta(ddf.groupby("k").agg({"v": "max"}).expr) is None


def test_divisions_that_are_the_result_of_a_computation() -> None:
    ddf = frame()
    asked: list[Any] = []

    def scheduler(graph: Any, keys: Any, **kwargs: Any) -> Any:
        asked.append(keys)
        return dask.get(graph, keys, **kwargs)

    for made in (
        ddf.set_index("v"),
        ddf.sort_values("k"),
        ddf.repartition(partition_size="1kiB"),
        ddf.set_index("v", divisions=[0, 20, 39]),
        ddf.repartition(npartitions=2),
        ddf.drop_duplicates(),
        ddf.merge(ddf, on="k"),
    ):
        asked.clear()
        with dask.config.set(scheduler=scheduler):
            assert made.expr.divisions
        assert gathering.computes_divisions(made.expr) == bool(asked), made


def test_sources_tell_their_rows(tmp_path: Any) -> None:
    ROWS.to_parquet(tmp_path / "a.parquet")
    ROWS[:7].to_parquet(tmp_path / "b.parquet")
    for read in (dd.read_parquet(tmp_path), dd.read_parquet(tmp_path, filesystem="arrow")):
        lengths, is_filtered = gathering.source_lengths(read.expr) or ((), None)
        assert (sorted(lengths), is_filtered) == ([7, 40], False)
    filtered = dd.read_parquet(tmp_path, filters=[("v", ">", 30)])
    # dask leaves out a file whose footer says that no row of it passes.
    assert gathering.source_lengths(filtered.expr) == ((40,), True)
    assert gathering.source_lengths(frame().expr) == ((10, 10, 10, 10), False)
    made = dd.from_map(lambda n: ROWS[:n], [1, 2], meta=ROWS[:0])
    assert gathering.source_lengths(made.expr) is None


def test_a_source_of_pandas_has_its_frame() -> None:
    pd.testing.assert_frame_equal(gathering.pandas_source(frame().expr), ROWS)
    pd.testing.assert_series_equal(
        pd.DataFrame(gathering.pandas_source(dd.from_pandas(ROWS.v, npartitions=2).expr)).iloc[:, 0], ROWS.v
    )


def test_a_merge_tells_which_side_each_task_takes_whole() -> None:
    many, few, one = frame(40), frame(2), frame(1)
    assert gathering.broadcast_side(many.merge(one, on="k").expr) == "right"
    assert gathering.broadcast_side(one.merge(many, on="k").expr) == "left"
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        assert gathering.broadcast_side(many.merge(few, on="k").expr) == "right"
        assert gathering.broadcast_side(many.merge(many, on="k").expr) is None
        assert gathering.broadcast_side(many.merge(one, on="k", how="outer").expr) is None

"""What goes wrong while partitions are rebalanced: a typed error, with both numbers and a hint."""

from __future__ import annotations

import pickle
import uuid

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.engine.exchange import stage as staging
from safeframe.engine.rebalance import tasks as rebalance_tasks
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions

pytestmark = pytest.mark.usefixtures("_in_this_process")


def frame(rows=90, npartitions=3) -> dd.DataFrame:
    return dd.from_pandas(pd.DataFrame({"a": range(rows), "s": ["x"] * rows}), npartitions=npartitions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"partition_size": "1MiB", "npartitions": 3}, r"npartitions=3 and partition_size='1MiB' exclude"),
        ({"npartitions": 0}, "npartitions=0 is not a number of partitions"),
        ({"npartitions": 1.5}, r"npartitions=1\.5"),
        ({"npartitions": True}, "npartitions=True"),
        ({"partition_size": "many"}, "partition_size='many'"),
        ({"memory": "much"}, "memory='much'"),
        ({"strategy": "magic"}, r"strategy='magic' is not(.|\n)*untouched, merged, sliced, staged"),
        ({"partition_size": "100B"}, r"partition_size=100 B is less than a partition of one row"),
        ({"strategy": "merged", "npartitions": 9}, "there are only 3 partitions to join"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(safeframe.ValidationError, match=message) as info:
        rebalance_partitions(frame(), **arguments)
    assert isinstance(info.value, ValueError)
    assert "Hint: " in str(info.value)
    assert str(pickle.loads(pickle.dumps(info.value))) == str(info.value)


def test_frames_that_are_not_usable():
    with pytest.raises(safeframe.SchemaMismatchError, match="ddf is a pandas dataframe"):
        rebalance_partitions(pd.DataFrame({"a": [1]}))
    twice = pd.DataFrame([[1, 2]], columns=["k", "k"])
    with pytest.raises(safeframe.ValidationError, match="more than one column named 'k'"):
        rebalance_partitions(dd.from_map(lambda _: twice, [0], meta=twice.iloc[:0]))


class Changing:
    """A source whose partitions have one row more each time they are made."""

    def __init__(self) -> None:
        self.calls = 0
        self.name = uuid.uuid4().hex

    def __call__(self, number: int) -> pd.DataFrame:
        self.calls += 1
        return pd.DataFrame({"a": np.arange(100 + (self.calls > 3))})

    def __dask_tokenize__(self) -> str:
        return f"changing {self.name}"


@pytest.mark.parametrize("strategy", ["merged", "sliced", "staged"])
def test_a_partition_that_changes_between_planning_and_running(strategy, tmp_path):
    ddf = dd.from_map(Changing(), range(3), meta={"a": "int64"})
    result = rebalance_partitions(ddf, npartitions=2, strategy=strategy, staging=str(tmp_path))
    with pytest.raises(
        safeframe.RowConservationError, match=r"Partition \d of the input had 100 rows when .* has 101 now"
    ) as info:
        result.compute()
    assert info.value.figures == {"rows_in": 101, "rows_out": 100}
    assert "persist it" in info.value.hint
    assert not list(tmp_path.rglob("*.staged"))


class Changed:
    """As :class:`Changing`, made by a task that needs another."""

    def __init__(self) -> None:
        self.made = Changing()

    def __call__(self, part: pd.DataFrame) -> pd.DataFrame:
        return self.made(0)

    def __dask_tokenize__(self) -> str:
        return f"changed {self.made.name}"


@pytest.mark.parametrize("strategy", ["merged", "sliced", "staged"])
def test_the_same_where_other_tasks_make_partitions(strategy, tmp_path):
    ddf = frame(90, 3).persist().map_partitions(Changed(), meta={"a": "int64"})
    result = rebalance_partitions(ddf, npartitions=2, strategy=strategy, staging=str(tmp_path))
    with pytest.raises(safeframe.RowConservationError, match=r"had 100 rows .* has 101 now"):
        result.compute()


def test_a_partition_whose_rows_grow_between_planning_and_running():
    calls = []

    def growing(number: int) -> pd.DataFrame:
        calls.append(number)
        return pd.DataFrame({"s": ["x" * (10 if len(calls) <= 2 else 500)] * 50})

    ddf = dd.from_map(growing, range(2), meta={"s": "str" if pd.__version__ >= "3" else "string"})
    result = rebalance_partitions(ddf, partition_size="4KiB")
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"has \d.* KiB, but the plan promised 4 KiB at most"
    ) as info:
        result.compute()
    assert isinstance(info.value, MemoryError)
    assert info.value.figures["output_nbytes"] > info.value.figures["planned_nbytes"] == 4096


def test_a_staged_batch_that_is_dropped(tmp_path, monkeypatch):
    result = rebalance_partitions(frame(), npartitions=2, strategy="staged", staging=str(tmp_path))
    real = staging.stage_files

    def losing(*arguments):
        staged = real(*arguments)
        staged[0].rows -= 1
        return staged

    monkeypatch.setattr(rebalance_tasks, "stage_files", losing)
    with pytest.raises(safeframe.RowConservationError, match="30 rows went in and 29 came out"):
        result.compute()


@pytest.mark.usefixtures("_files_are_not_seen")
@pytest.mark.parametrize("rows", [900, 1100])
def test_a_file_that_is_written_again(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("safeframe.planning.rebalance.plan._read_in_slices", lambda facts: np.ones(1, bool))
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"a": range(1000)}), path)
    result = rebalance_partitions(
        dd.read_parquet(path), npartitions=2, strategy="staged", staging=str(tmp_path / "staging")
    )
    pq.write_table(pa.table({"a": range(rows)}), path)
    with pytest.raises(safeframe.RowConservationError, match=rf"had 1,000 rows when .* has {rows:,} now"):
        result.compute()


def test_a_partition_that_no_task_can_hold_and_nobody_can_slice():
    ddf = dd.from_map(lambda _: pd.DataFrame({"a": np.zeros(4_000_000)}), range(2), meta={"a": "float64"})
    memory = plan_rebalance(ddf, npartitions=4).budget.reserved_nbytes + 40 * 2**20
    plan = plan_rebalance(ddf, npartitions=4, memory=memory)
    assert not plan.fits
    result = rebalance_partitions(ddf, npartitions=4, memory=memory)
    with pytest.raises(safeframe.MemoryBudgetError, match=r"projected to need(.|\n)*is allowed(.|\n)*Hint: "):
        result.compute()


def test_what_cannot_be_staged_says_why(tmp_path):
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_pandas(pd.DataFrame({"x": pd.Series([1, print, None], dtype=object)}), npartitions=2)
    with pytest.raises(
        safeframe.ValidationError,
        match=r"'staged' cannot .*: column 'x' holds builtin_function_or_method, which",
    ):
        rebalance_partitions(ddf, npartitions=1, strategy="staged", staging=str(tmp_path))
    deep = dd.from_map(
        lambda _: pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)])), range(2)
    )
    with pytest.raises(safeframe.ValidationError, match=r"'staged' cannot .*: the index has 2 levels"):
        rebalance_partitions(deep, npartitions=1, strategy="staged", staging=str(tmp_path))
    assert len(rebalance_partitions(deep, npartitions=3).compute()) == 4


def test_ranges_and_other_indexes_do_not_mix():
    pieces = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2]}, index=[5, 9])]
    ddf = dd.from_map(lambda i: pieces[i], range(2), meta={"a": "int64"})
    assert rebalance_partitions(ddf, npartitions=1).compute().index.tolist() == [0, 1, 5, 9]

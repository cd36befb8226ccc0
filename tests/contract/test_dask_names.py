"""What the engine takes for granted of names that dask does not promise to keep.

When one of these fails after an update of dask, ``safeframe/engine/_dask.py`` is
where to adapt, and the test says to what.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from safeframe._dask import expressions as _dask

FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "a": [5.0, 6.0, 7.0, 8.0]})


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


class _Doubled(_dask.Blockwise):
    _parameters = ["frame"]  # noqa: RUF012
    operation = staticmethod(lambda frame: frame * 2)

    @property
    def _meta(self) -> Any:
        return self.frame._meta


class _Marked(_dask.Elemwise):
    """A column more, which filters pass by."""

    _parameters = ["frame"]  # noqa: RUF012
    _filter_passthrough = True
    operation = staticmethod(lambda frame: frame.assign(new=1))


class _Numbered(_dask.Expr):
    """Tasks by hand, as the engine's nodes make them."""

    _parameters = ["frame"]  # noqa: RUF012

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    def _layer(self) -> dict[Any, Any]:
        return {
            (self._name, i): _dask.Task(
                (self._name, i), _add, _dask.TaskRef((self.frame._name, i)), _dask.List(i, i)
            )
            for i in range(self.frame.npartitions)
        }


class _Counted(_dask.PartitionsFiltered, _dask.BlockwiseIO):
    """A source that makes its rows, as the engine's cells are."""

    _parameters = ["parts", "_partitions"]  # noqa: RUF012
    _defaults = {"_partitions": None}  # noqa: RUF012
    _absorb_projections = False

    @property
    def _meta(self) -> pd.DataFrame:
        return pd.DataFrame({"n": pd.Series([], dtype="int64")})

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.parts + 1)

    def _filtered_task(self, name: Any, index: int) -> Any:
        return _dask.Task(name, _one_row, index)


class _Tuned(_dask.Expr):
    """An expression that becomes concrete in the tune pass, as recipes do."""

    _parameters = ["frame"]  # noqa: RUF012

    @property
    def _meta(self) -> pd.DataFrame:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.frame.divisions

    def _tune_down(self) -> Any:
        return _Counted(self.frame.npartitions, None)


def _one_row(number: int) -> pd.DataFrame:
    return pd.DataFrame({"n": [number]})


def _add(frame: pd.DataFrame, numbers: list[int]) -> pd.DataFrame:
    return frame + sum(numbers)


def test_a_blockwise_subclass_works_on_each_partition() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    doubled = _dask.new_collection(_Doubled(frame.expr))
    pd.testing.assert_frame_equal(doubled.compute(), FRAME * 2)
    assert doubled.npartitions == 2


def test_rows_are_filtered_before_an_elementwise_subclass_that_lets_filters_pass() -> None:
    marked = _dask.new_collection(_Marked(dd.from_pandas(FRAME, npartitions=2).expr))
    assert marked.npartitions == 2
    filtered = marked[marked["k"] > 2]
    assert isinstance(filtered.simplify().expr, _Marked)
    pd.testing.assert_frame_equal(filtered.compute(), FRAME[FRAME["k"] > 2].assign(new=1))


def test_a_subclass_of_expr_gives_tasks_named_after_itself() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    numbered = _dask.new_collection(_Numbered(frame.expr))
    expected = pd.concat([FRAME.iloc[:2], FRAME.iloc[2:] + 2])
    pd.testing.assert_frame_equal(numbered.compute(), expected)


def test_an_alias_stands_for_another_task() -> None:
    graph = {"a": _dask.Task("a", int, "7"), "b": _dask.Alias("b", "a")}
    assert dask.get(graph, "b") == 7


def test_expressions_have_one_name_for_one_meaning() -> None:
    first, second = (_Doubled(dd.from_pandas(FRAME, npartitions=2).expr) for _ in range(2))
    assert first._name == second._name
    assert _Doubled(dd.from_pandas(FRAME, npartitions=1).expr)._name != first._name


def test_merge_is_abstract_with_the_operands_that_ours_has() -> None:
    assert _dask.Merge._parameters[:8] == [
        "left", "right", "how", "left_on", "right_on", "left_index", "right_index", "suffixes",
    ]  # fmt: skip
    assert issubclass(_dask.Merge, _dask.Expr)
    assert callable(_dask.Merge._lower)
    assert callable(_dask.Merge._simplify_up)


def test_a_source_can_be_asked_for_some_of_its_partitions() -> None:
    source = _dask.new_collection(_Counted(4, None))
    assert source.compute()["n"].tolist() == [0, 1, 2, 3]
    chosen = source.partitions[[1, 3]]
    assert chosen.npartitions == 2
    assert chosen.compute()["n"].tolist() == [1, 3]
    assert list(chosen.optimize(fuse=False).expr.operand("_partitions")) == [1, 3]


def test_tuning_asks_a_node_before_what_it_is_made_of(tmp_path: Path) -> None:
    for number in range(6):
        wide = pd.DataFrame({f"c{i}": range(1_000) for i in range(40)})
        wide.to_parquet(tmp_path / f"{number}.parquet")
    frame = dd.read_parquet(str(tmp_path))[["c0"]] + 1
    assert frame.optimize(fuse=False).npartitions < 6, "dask no longer joins partitions that it reads"
    tuned = _dask.new_collection(_Tuned(frame.expr)).optimize(fuse=False)
    assert tuned.npartitions == 6


def test_a_graph_has_tasks_alone_once_it_is_converted() -> None:
    graph = _dask.convert_legacy_graph({"a": 1, "b": (int, "a"), "c": _dask.Task("c", int, "7")})
    assert all(hasattr(task, "dependencies") for task in graph.values())
    assert graph["b"].dependencies == {"a"}
    assert dask.get({**graph, "d": graph["c"].substitute({}, key="d")}, ["b", "d"]) == (1, 7)


def test_partitions_of_a_frame_are_an_expression_over_it() -> None:
    chosen = dd.from_pandas(FRAME, npartitions=2).partitions[[1]].expr
    assert isinstance(chosen, _dask.Partitions)
    assert (type(chosen.frame).__name__, list(chosen.partitions)) == ("FromPandas", [1])


def test_lowering_keeps_the_partitions(tmp_path: Path) -> None:
    for number in range(3):
        FRAME.to_parquet(tmp_path / f"{number}.parquet")
    expression = _dask.lowered(dd.read_parquet(str(tmp_path)).expr)
    assert expression.npartitions == 3
    assert len(_dask.new_collection(expression).compute()) == 12


def test_outside_a_task_there_is_no_worker() -> None:
    assert _dask.inside_worker() is False


def test_a_projection_names_the_columns_that_are_wanted() -> None:
    frame = dd.from_pandas(FRAME, npartitions=1).expr
    narrow = frame[["a"]]
    assert isinstance(narrow, _dask.Projection)
    dependents = {frame._name: [weakref.ref(narrow)]}
    assert _dask.determine_column_projection(frame, narrow, dependents) == ["a"]


def test_a_filter_is_the_expression_that_a_merge_is_asked_to_let_through() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    assert isinstance(frame[frame.a > 5].expr, _dask.Filter)


def test_a_condition_is_taken_apart_and_put_together() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    both = frame[(frame.a > 5) & frame.k.isin([1, 2]) & (frame.k.map(abs, meta=("k", "int64")) > 0)].expr
    kinds = {type(part).__name__: part for part in both.walk()}
    assert isinstance(both.predicate, _dask.And)
    assert isinstance(kinds["Isin"], _dask.Isin)
    assert isinstance(kinds["Map"], _dask.Map)
    assert isinstance(kinds["Isin"].operand("values"), _dask.DelayedExpr)
    column = next(part for part in both.walk() if isinstance(part, _dask.Projection))
    assert column.operand("columns") in ("a", "k")
    condition = both.predicate.substitute(column, frame.expr["a"])
    assert isinstance(_dask.And(condition, both.predicate), _dask.And)
    takers = {frame.expr._name: [weakref.ref(both)]}
    assert _dask.is_filter_pushdown_available(frame.expr, both, takers)
    other = frame[frame.a > 6].expr
    takers[frame.expr._name].append(weakref.ref(other))
    assert not _dask.is_filter_pushdown_available(frame.expr, both, takers)


def test_the_barrier_of_a_shuffle_has_a_key_of_its_own_and_carries_what_the_scheduler_asks() -> None:
    spec = _dask.DataFrameShuffleSpec(
        id=_dask.ShuffleId("abc"),
        npartitions=4,
        column="k",
        meta=FRAME.iloc[:0],
        parts_out=4,
        disk=True,
        drop_column=True,
    )
    assert _dask.barrier_key(spec.id) == "shuffle-barrier-abc"
    barrier = _dask.P2PBarrierTask(_dask.barrier_key(spec.id), max, _dask.List(3, 5), spec=spec)
    assert barrier() == 5
    assert barrier.spec is spec
    assert barrier.block_fusion
    # Neighbouring partitions are on one worker: what a plan says of disks relies on it.
    assert [spec.pick_worker(number, ["x", "y"]) for number in spec.output_partitions] == ["x", "x", "y", "y"]


def test_p2p_outside_a_worker_says_so() -> None:
    for call in (
        _dask.get_worker_plugin,
        lambda: _dask.p2p_barrier(_dask.ShuffleId("abc"), 1),
        lambda: _dask.shuffle_unpack(_dask.ShuffleId("abc"), 0, 1),
    ):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(RuntimeError, match="transfer phase") as info, _dask.handle_transfer_errors("abc"):
        raise KeyError
    assert isinstance(info.value.__cause__, KeyError)
    with pytest.raises(_dask.P2POutOfDiskError), _dask.handle_transfer_errors("abc"):
        raise _dask.P2POutOfDiskError


def test_a_limiter_compares_with_its_limit_whenever_it_is_asked() -> None:
    # safeframe.engine.p2p.settings sets the limit of those that running workers have.
    from distributed.shuffle._limiter import ResourceLimiter

    limiter = ResourceLimiter(100)
    limiter.increase(60)
    assert not limiter.full
    limiter.limit = 50
    assert limiter.full
    assert limiter.available == 0


def test_p2p_takes_the_limits_of_its_plugin_and_reads_the_size_of_messages_when_it_starts() -> None:
    import inspect

    from distributed.shuffle._core import ShuffleRun
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

    setup = inspect.getsource(ShuffleWorkerPlugin.setup)
    assert "self.memory_limiter_comms = ResourceLimiter(" in setup
    assert "self.memory_limiter_disk = ResourceLimiter(" in setup
    run = inspect.getsource(ShuffleRun.__init__)
    assert '"distributed.p2p.comm.message-bytes-limit"' in run
    assert '"distributed.p2p.comm.concurrency"' in run


def test_categories_that_are_not_known_can_be_left_out() -> None:
    unknown = pd.DataFrame({"c": pd.Categorical([], categories=["__UNKNOWN_CATEGORIES__"])})
    assert list(_dask.strip_unknown_categories(unknown)["c"].cat.categories) == []


def test_a_parquet_source_tells_its_parts_and_its_reader(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "one.parquet", row_group_size=2)
    expr = dd.read_parquet(tmp_path, split_row_groups=False).optimize(fuse=False).expr
    assert type(expr).__name__ == "ReadParquetFSSpec"
    assert expr._get_lengths() == (4,)
    assert [expr.operand(name) for name in ("filters", "_partitions", "_series")] == [None, None, False]
    assert expr._plan["empty"] is False
    assert expr._plan["common_kwargs"]["partitions"] == []
    (part,) = expr._plan["parts"]
    assert set(part) == {"piece"}
    assert part["piece"][0].endswith("one.parquet")
    assert part["piece"][1] is None
    read = expr._io_func
    assert read.engine.__name__ == "ArrowDatasetEngine"
    assert callable(read.engine._read_table)
    copy = type(read)(
        read.engine,
        read.fs,
        read.meta,
        read.columns,
        read.index,
        read.dtype_backend,
        None,
        read.common_kwargs,
    )
    pd.testing.assert_frame_equal(copy(part), FRAME)
    assert list(read.project_columns(["a"])(part)) == ["a"]


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_a_parquet_source_tells_its_files(tmp_path: Path, filesystem: str) -> None:
    for name in ("a.parquet", "b.parquet"):
        FRAME.to_parquet(tmp_path / name)
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem)
    wanted = {str(tmp_path / name) for name in ("a.parquet", "b.parquet")}
    for frame in (ddf[ddf["a"] > 1] + 1, (ddf[["a"]] + 1).optimize()):
        assert set(_dask.files_read(frame.expr)) == wanted
        assert set(_dask.local_files_read(frame.expr)) == wanted


def test_files_of_other_file_systems_are_not_local(tmp_path: Path) -> None:
    dd.from_pandas(FRAME, npartitions=1).to_parquet(f"memory://{tmp_path}")
    ddf = dd.read_parquet(f"memory://{tmp_path}")
    assert list(_dask.files_read(ddf.expr))
    assert not list(_dask.local_files_read(ddf.expr))


def test_rows_of_a_frame_are_counted_by_its_index() -> None:
    counted = _dask.Len(_Numbered(dd.from_map(_one_row, [1, 2]).expr)).simplify()
    # What stands for the index of a merge, and answers, is asked only as long as this is so.
    assert isinstance(counted.frame, _dask.Index)
    assert _dask.new_collection(counted).compute() == 2
    assert _dask.new_collection(_dask.Literal(7)).compute() == 7


@pytest.mark.parametrize(
    ("grouped", "kind"),
    [
        (lambda frame: frame.groupby("k").a.apply(len, meta=(None, "int64")), "GroupByApply"),
        (lambda frame: frame.groupby("k").a.transform("sum", meta=("a", "f8")), "GroupByApply"),
        (lambda frame: frame.groupby("k", sort=False).a.sum(split_out=2), "GroupByApplyConcatApply"),
    ],
)
def test_a_grouping_says_whether_it_has_to_shuffle_and_believes_what_it_is_told(
    grouped: Any, kind: str
) -> None:
    expr = grouped(dd.from_pandas(pd.DataFrame({"k": [1, 1, 2, 2], "a": 1.0}), npartitions=2)).expr
    assert isinstance(expr, getattr(_dask, kind))
    assert (expr._by_columns, expr.by) == (["k"], ["k"])
    assert kind == "GroupByApply" or expr.should_shuffle
    assert expr.need_to_shuffle is True
    expr.__dict__["need_to_shuffle"] = False
    plain = expr._lower().lower_completely()
    assert not [node for node in plain.walk() if "Shuffle" in type(node).__name__]
    assert len(_dask.new_collection(plain).compute()) in (2, 4)


def test_dasks_merge_takes_whole_keys_for_its_own_hash() -> None:
    # Why a merge of ours does not tell that its keys are whole in this way.
    import inspect

    assert "unique_partition_mapping_columns_from_shuffle" in inspect.getsource(
        _dask.Merge._on_condition_already_partitioned
    )


def test_filters_are_expressions_with_a_frame_and_a_predicate() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    filtered = frame[frame.a > 5].expr
    assert isinstance(filtered, _dask.Filter)
    assert (filtered.frame._name, filtered.predicate._name) == (frame._name, (frame.a > 5)._name)


def test_indexes_and_sorts_of_dasks_own_are_known() -> None:
    # Which cut the frame anew, at other keys, whenever other columns are asked for.
    frame = dd.from_pandas(FRAME, npartitions=2)
    for made in (frame.set_index("a"), frame.sort_values("a").assign(c=1)):
        assert next(iter(made.expr.find_operations(_dask.BaseSetIndexSortValues)), None) is not None
    assert next(iter(frame.expr.find_operations(_dask.BaseSetIndexSortValues)), None) is None


def test_steps_that_look_at_a_row_alone_are_known_and_can_be_taken_of_another_frame() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    steps = frame.assign(c=-frame.a * 2 > 3, d=frame.a.astype("float64"))[["c", "d"]].expr
    assert isinstance(steps, _dask.Projection)
    assert isinstance(steps.frame, _dask.Assign)
    assert list(steps.frame.keys) == ["c", "d"]
    kinds = (_dask.Projection, _dask.Assign, _dask.Binop, _dask.Unaryop, _dask.AsType)
    assert all(isinstance(one, kinds) for one in steps.walk() if one._name != frame.expr._name)
    other = dd.from_pandas(FRAME + 1, npartitions=3)
    taken = _dask.new_collection(steps.substitute(frame.expr, other.expr))
    assert taken.npartitions == 3
    assert taken.compute()["c"].tolist() == (-(FRAME.a + 1) * 2 > 3).tolist()


def test_a_pandas_frame_is_the_only_leaf_of_what_is_made_of_it() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    leaves = [node for node in frame.assign(b=1)[["b"]].expr.walk() if not node.dependencies()]
    assert {type(leaf) for leaf in leaves} == {_dask.FromPandas}


def test_a_frame_that_was_persisted_is_its_partitions_under_their_names() -> None:
    kept = dd.from_pandas(FRAME, npartitions=2).map_partitions(_add, [1]).persist()
    assert isinstance(kept.expr, _dask.FromGraph)
    layer = dict(kept.expr._layer())
    assert {type(made) for made in layer.values()} == {pd.DataFrame, _dask.Alias}
    assert set(kept.__dask_keys__()) <= set(layer)


def test_an_expression_of_ours_is_a_collection_that_need_not_have_a_graph() -> None:
    # dask 2026.6 asks it for its graph, which one that is abstract does not have.
    abstract = _dask.new_collection(_Abstract(dd.from_pandas(FRAME, npartitions=2).expr))
    assert dask.is_dask_collection(abstract.expr)
    assert list(abstract.map_partitions(lambda part: part[["a"]]).columns) == ["a"]


class _Abstract(_dask.Expr):
    _parameters = ["frame"]  # noqa: RUF012

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.frame.divisions


def test_a_renaming_knows_the_names_before_and_after() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    renamed = frame.rename(columns={"a": "b"}).expr
    assert isinstance(renamed, _dask.RenameFrame)
    assert (list(renamed.frame.columns), list(renamed.columns)) == (["k", "a"], ["k", "b"])


@pytest.mark.parametrize("name", ["sum", "count", "mean", "min", "max"])
def test_reductions_of_columns_and_of_groups_are_called_as_in_pandas(name: str) -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    whole = getattr(frame["a"], name)().expr
    assert _dask.reductions()[type(whole)] == name
    assert getattr(whole, "skipna", True) is True
    assert getattr(whole, "axis", 0) in (0, None)
    asked = getattr(frame.groupby("k")["a"], name)().expr
    grouped = next(node for node in asked.walk() if type(node) in _dask.groupby_reductions())
    assert _dask.groupby_reductions()[type(grouped)] == name
    assert [grouped.by, grouped.operand("split_out"), grouped.operand("dropna")] == [["k"], None, None]
    assert {"chunk_kwargs", "aggregate_kwargs", "sort"} <= set(grouped._parameters)


def test_an_aggregation_says_what_it_makes_of_which_column() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    assert _dask.groupby_reductions()[type(frame.groupby("k").size().expr)] == "size"
    one = frame.groupby("k").agg({"a": ["sum", "min"]}).expr
    assert type(one) is _dask.GroupbyAggregation
    assert [spec[:1] + spec[2:] for spec in one.spec] == [(("a", "sum"), "a"), (("a", "min"), "a")] or [
        tuple(spec) for spec in one.spec
    ] == [(("a", "sum"), "sum", "a"), (("a", "min"), "min", "a")]
    assert one.operand("split_out") is None


@pytest.mark.parametrize(
    ("make", "kind", "operands"),
    [
        (lambda frame: frame.assign(c=frame["a"], d=1), "Assign", {"keys": ["c", "d"]}),
        (lambda frame: frame.astype({"a": "float32"}), "AsType", {"dtypes": {"a": "float32"}}),
        (lambda frame: frame["a"].fillna(3), "Fillna", {"value": 3}),
        (lambda frame: frame["a"].rename("z"), "RenameSeries", {"index": "z"}),
        (lambda frame: np.log(frame["a"]), "UFuncElemwise", {"func": np.log, "kwargs": {}}),
        (lambda frame: frame["a"] * 2, "Binop", {"left": None, "right": 2}),
    ],
)
def test_steps_that_make_columns_say_of_what(
    make: Callable[[Any], Any], kind: str, operands: dict[str, Any]
) -> None:
    step = make(dd.from_pandas(FRAME, npartitions=2)).expr
    assert isinstance(step, getattr(_dask, kind))
    for name, value in operands.items():
        found = step.operand(name) if name in step._parameters else getattr(step, name)
        assert value is None or found == value


def test_functions_of_rows_are_worked_out_by_their_operation() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    series, plain = frame["a"], FRAME["a"]
    made = {
        "Abs": (series.abs(), plain.abs()),
        "Between": (series.between(1, 2), plain.between(1, 2)),
        "Clip": (series.clip(1, 2), plain.clip(1, 2)),
        "IsNa": (series.isna(), plain.isna()),
        "Mask": (series.mask(series > 1, 0), plain.mask(plain > 1, 0)),
        "NotNull": (series.notnull(), plain.notnull()),
        "Round": (series.round(1), plain.round(1)),
        "Neg": (-series, -plain),
        "Where": (series.where(series > 1), plain.where(plain > 1)),
    }

    def worked_out(node: Any) -> Any:
        if isinstance(node, _dask.Projection):
            return plain
        if not isinstance(node, _dask.Expr):
            return node
        return node.operation(*map(worked_out, node._args), **node._kwargs)

    for name, (found, expected) in made.items():
        assert type(found.expr).__name__ == name
        assert isinstance(found.expr, _dask.row_functions())
        pd.testing.assert_series_equal(worked_out(found.expr), expected)
    times = dd.from_pandas(pd.DataFrame({"t": pd.to_datetime(["2024"]), "s": ["a"]}), npartitions=1)
    for step in (times["t"].dt.hour, times["s"].str.upper()):
        assert isinstance(step.expr, _dask.Accessed)
        assert (step.expr.accessor, step.expr.attr) in (("dt", "hour"), ("str", "upper"))


def test_a_fingerprint_is_of_the_files_and_not_of_the_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    FRAME.to_parquet(tmp_path / "one.parquet")
    code = (
        "import sys, dask.dataframe as dd; from safeframe._dask.expressions import fingerprint; "
        "print(fingerprint(dd.read_parquet(sys.argv[1])[['a']].expr))"
    )

    def seen() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    first = seen()
    assert first == seen() == f"{_dask.fingerprint(dd.read_parquet(tmp_path)[['a']].expr)}\n"
    FRAME.assign(a=1.0).to_parquet(tmp_path / "one.parquet")
    assert first != seen()


def test_chunks_are_balanced_as_dask_does() -> None:
    import dask.array as da

    chunks = (7,) * 8 + (4,)
    wanted = da.ones(60, chunks=6).rechunk((chunks,), balance=True).chunks
    assert (_dask.balanced_chunks(chunks),) == wanted

"""What is taken for granted of names that dask does not promise to keep.

When a test of ``test_dask_*.py`` fails after an update of dask, ``safeframe/_dask/`` is
where to adapt, and the test says to what.
"""

from __future__ import annotations

import ast
import importlib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.api import new_collection
from dask.task_spec import Alias, List, Task, TaskRef

from safeframe._dask import as_read, expressions, trees

DOOR = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[2] / "safeframe" / "_dask").glob("*.py")
    if path.stem != "__init__"
)

FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "a": [5.0, 6.0, 7.0, 8.0]})


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("module", DOOR)
def test_every_name_of_the_door_has_a_test(module: str) -> None:
    used = {
        node.attr
        for path in Path(__file__).parent.glob("test_dask_*.py")
        for function in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(function, (ast.FunctionDef, ast.ClassDef))
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == module
    }
    assert set(importlib.import_module(f"safeframe._dask.{module}").__all__) == used


class _Doubled(expressions.Blockwise):
    _parameters = ["frame"]  # noqa: RUF012
    operation = staticmethod(lambda frame: frame * 2)

    @property
    def _meta(self) -> Any:
        return self.frame._meta


class _Marked(expressions.Elemwise):
    """A column more, which filters pass by."""

    _parameters = ["frame"]  # noqa: RUF012
    _filter_passthrough = True
    operation = staticmethod(lambda frame: frame.assign(new=1))


class _Numbered(expressions.Expr):
    """Tasks by hand, as the engine's nodes make them."""

    _parameters = ["frame"]  # noqa: RUF012

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    def _layer(self) -> dict[Any, Any]:
        return {
            (self._name, i): Task((self._name, i), _add, TaskRef((self.frame._name, i)), List(i, i))
            for i in range(self.frame.npartitions)
        }


class _Counted(expressions.PartitionsFiltered, expressions.BlockwiseIO):
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
        return Task(name, _one_row, index)


class _Tuned(expressions.Expr):
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
    doubled = new_collection(_Doubled(frame.expr))
    pd.testing.assert_frame_equal(doubled.compute(), FRAME * 2)
    assert doubled.npartitions == 2


def test_rows_are_filtered_before_an_elementwise_subclass_that_lets_filters_pass() -> None:
    marked = new_collection(_Marked(dd.from_pandas(FRAME, npartitions=2).expr))
    assert marked.npartitions == 2
    filtered = marked[marked["k"] > 2]
    assert isinstance(filtered.simplify().expr, _Marked)
    pd.testing.assert_frame_equal(filtered.compute(), FRAME[FRAME["k"] > 2].assign(new=1))


def test_a_subclass_of_expr_gives_tasks_named_after_itself() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    numbered = new_collection(_Numbered(frame.expr))
    expected = pd.concat([FRAME.iloc[:2], FRAME.iloc[2:] + 2])
    pd.testing.assert_frame_equal(numbered.compute(), expected)


def test_an_expression_is_concrete_once_it_has_tasks_and_shows_what_it_is_of() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    assert trees.is_concrete((frame + 1).expr)
    assert not trees.is_concrete(frame.merge(frame, on="k").expr)
    assert [line[:6] for line in trees.text_lines((frame + 1).expr, 2)] == ["  Add:", "    Fr"]


def test_an_alias_stands_for_another_task() -> None:
    graph = {"a": Task("a", int, "7"), "b": Alias("b", "a")}
    assert dask.get(graph, "b") == 7


def test_expressions_have_one_name_for_one_meaning() -> None:
    first, second = (_Doubled(dd.from_pandas(FRAME, npartitions=2).expr) for _ in range(2))
    assert first._name == second._name
    assert _Doubled(dd.from_pandas(FRAME, npartitions=1).expr)._name != first._name


def test_merge_is_abstract_with_the_operands_that_ours_has() -> None:
    assert expressions.Merge._parameters[:8] == [
        "left", "right", "how", "left_on", "right_on", "left_index", "right_index", "suffixes",
    ]  # fmt: skip
    assert issubclass(expressions.Merge, expressions.Expr)
    assert callable(expressions.Merge._lower)
    assert callable(expressions.Merge._simplify_up)


def test_a_source_can_be_read_for_some_of_its_partitions() -> None:
    source = new_collection(_Counted(4, None))
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
    tuned = new_collection(_Tuned(frame.expr)).optimize(fuse=False)
    assert tuned.npartitions == 6


class _Legacy:
    def __dask_graph__(self) -> dict[str, Any]:
        return {"a": 1, "b": (int, "a"), "c": Task("c", int, "7")}


def test_a_graph_has_tasks_alone_once_it_is_converted() -> None:
    graph = trees.graph_of(_Legacy())
    assert all(hasattr(task, "dependencies") for task in graph.values())
    assert graph["b"].dependencies == {"a"}
    assert dask.get({**graph, "d": graph["c"].substitute({}, key="d")}, ["b", "d"]) == (1, 7)


def test_partitions_of_a_frame_are_an_expression_over_it() -> None:
    chosen = dd.from_pandas(FRAME, npartitions=2).partitions[[1]].expr
    assert isinstance(chosen, expressions.Partitions)
    assert (type(chosen.frame).__name__, list(chosen.partitions)) == ("FromPandas", [1])


def test_a_projection_names_the_columns_that_are_wanted() -> None:
    frame = dd.from_pandas(FRAME, npartitions=1).expr
    narrow = frame[["a"]]
    assert isinstance(narrow, expressions.Projection)
    dependents = {frame._name: [weakref.ref(narrow)]}
    assert expressions.determine_column_projection(frame, narrow, dependents) == ["a"]


def test_a_filter_is_the_expression_that_a_merge_has_to_let_through() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    assert isinstance(frame[frame.a > 5].expr, expressions.Filter)


def test_a_condition_is_taken_apart_and_put_together() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    both = frame[(frame.a > 5) & frame.k.isin([1, 2]) & (frame.k.map(abs, meta=("k", "int64")) > 0)].expr
    kinds = {type(part).__name__: part for part in both.walk()}
    assert isinstance(both.predicate, expressions.And)
    assert isinstance(kinds["Isin"], expressions.Isin)
    assert isinstance(kinds["Map"], expressions.Map)
    assert isinstance(kinds["Isin"].operand("values"), expressions.DelayedExpr)
    column = next(part for part in both.walk() if isinstance(part, expressions.Projection))
    assert column.operand("columns") in ("a", "k")
    condition = both.predicate.substitute(column, frame.expr["a"])
    assert isinstance(expressions.And(condition, both.predicate), expressions.And)
    takers = {frame.expr._name: [weakref.ref(both)]}
    assert expressions.is_filter_pushdown_available(frame.expr, both, takers)
    other = frame[frame.a > 6].expr
    takers[frame.expr._name].append(weakref.ref(other))
    assert not expressions.is_filter_pushdown_available(frame.expr, both, takers)


def test_categories_that_are_not_known_can_be_left_out() -> None:
    unknown = pd.DataFrame({"c": pd.Categorical([], categories=["__UNKNOWN_CATEGORIES__"])})
    assert list(expressions.strip_unknown_categories(unknown)["c"].cat.categories) == []


def test_rows_of_a_frame_are_counted_by_its_index() -> None:
    counted = expressions.Len(_Numbered(dd.from_map(_one_row, [1, 2]).expr)).simplify()
    # What stands for the index of a merge, and answers, is asked only as long as this is so.
    assert isinstance(counted.frame, expressions.Index)
    assert new_collection(counted).compute() == 2
    assert new_collection(expressions.Literal(7)).compute() == 7


@pytest.mark.parametrize(
    ("grouped", "kind"),
    [
        (lambda frame: frame.groupby("k").a.apply(len, meta=(None, "int64")), expressions.GroupByApply),
        (lambda frame: frame.groupby("k").a.transform("sum", meta=("a", "f8")), expressions.GroupByApply),
        (
            lambda frame: frame.groupby("k", sort=False).a.sum(split_out=2),
            expressions.GroupByApplyConcatApply,
        ),
    ],
)
def test_a_grouping_says_whether_it_has_to_shuffle_and_believes_what_is_set(grouped: Any, kind: type) -> None:
    expr = grouped(dd.from_pandas(pd.DataFrame({"k": [1, 1, 2, 2], "a": 1.0}), npartitions=2)).expr
    assert isinstance(expr, kind)
    assert trees.grouping_columns(expr) == expr.by == ["k"]
    assert kind is expressions.GroupByApply or expr.should_shuffle
    assert expr.need_to_shuffle is True
    plain = trees.without_exchange(expr).lower_completely()
    assert not [node for node in plain.walk() if "Shuffle" in type(node).__name__]
    assert len(new_collection(plain).compute()) in (2, 4)


def test_dasks_merge_takes_whole_keys_for_its_own_hash() -> None:
    # Why a merge of ours does not tell that its keys are whole in this way.
    import inspect

    assert "unique_partition_mapping_columns_from_shuffle" in inspect.getsource(
        expressions.Merge._on_condition_already_partitioned
    )


def test_what_is_fused_is_part_of_an_expression() -> None:
    frame = (dd.from_map(_one_row, [1, 2]) + 1).optimize(fuse=True).expr
    assert isinstance(frame, expressions.Fused)
    assert {"FromMap", "Add"} <= {type(part).__name__ for part in trees.every_part(frame)}


def test_filters_are_expressions_with_a_frame_and_a_predicate() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    filtered = frame[frame.a > 5].expr
    assert isinstance(filtered, expressions.Filter)
    assert (filtered.frame._name, filtered.predicate._name) == (frame._name, (frame.a > 5)._name)


def test_indexes_and_sorts_of_dasks_own_are_known() -> None:
    # Which cut the frame again, at other keys, whenever other columns are requested.
    frame = dd.from_pandas(FRAME, npartitions=2)
    for made in (frame.set_index("a"), frame.sort_values("a").assign(c=1)):
        assert next(iter(made.expr.find_operations(expressions.BaseSetIndexSortValues)), None) is not None
    assert next(iter(frame.expr.find_operations(expressions.BaseSetIndexSortValues)), None) is None


def test_steps_that_look_at_a_row_alone_are_known_and_can_be_taken_of_another_frame() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    chain = frame.assign(c=-frame.a * 2 > 3, d=frame.a.astype("float64"))[["c", "d"]].expr
    assert isinstance(chain, expressions.Projection)
    assert isinstance(chain.frame, expressions.Assign)
    assert list(chain.frame.keys) == ["c", "d"]
    kinds = (
        expressions.Projection,
        expressions.Assign,
        expressions.Binop,
        expressions.Unaryop,
        expressions.AsType,
    )
    assert all(isinstance(one, kinds) for one in chain.walk() if one._name != frame.expr._name)
    other = dd.from_pandas(FRAME + 1, npartitions=3)
    taken = new_collection(chain.substitute(frame.expr, other.expr))
    assert taken.npartitions == 3
    assert taken.compute()["c"].tolist() == (-(FRAME.a + 1) * 2 > 3).tolist()


def test_a_pandas_frame_is_the_only_leaf_of_what_is_made_of_it() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    leaves = [node for node in frame.assign(b=1)[["b"]].expr.walk() if not node.dependencies()]
    assert {type(leaf) for leaf in leaves} == {expressions.FromPandas}


def test_a_frame_that_was_persisted_is_its_partitions_under_their_names() -> None:
    kept = dd.from_pandas(FRAME, npartitions=2).map_partitions(_add, [1]).persist()
    assert isinstance(kept.expr, expressions.FromGraph)
    layer = trees.layer_of(kept.expr)
    assert {type(made) for made in layer.values()} == {pd.DataFrame, Alias}
    assert set(kept.__dask_keys__()) <= set(layer)


def test_an_expression_of_ours_is_a_collection_that_need_not_have_a_graph() -> None:
    # dask 2026.6 asks it for its graph, which one that is abstract does not have.
    abstract = new_collection(_Abstract(dd.from_pandas(FRAME, npartitions=2).expr))
    assert dask.is_dask_collection(abstract.expr)
    assert list(abstract.map_partitions(lambda part: part[["a"]]).columns) == ["a"]


class _Abstract(expressions.Expr):
    _parameters = ["frame"]  # noqa: RUF012

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.frame.divisions


def test_a_renaming_knows_the_names_before_and_after() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    renamed = frame.rename(columns={"a": "b"}).expr
    assert isinstance(renamed, expressions.RenameFrame)
    assert (list(renamed.frame.columns), list(renamed.columns)) == (["k", "a"], ["k", "b"])


@pytest.mark.parametrize("name", ["sum", "count", "mean", "min", "max"])
def test_reductions_of_columns_and_of_groups_are_called_as_in_pandas(name: str) -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    whole = getattr(frame["a"], name)().expr
    assert expressions.reductions()[type(whole)] == name
    assert getattr(whole, "skipna", True) is True
    assert getattr(whole, "axis", 0) in (0, None)
    asked = getattr(frame.groupby("k")["a"], name)().expr
    grouped = next(node for node in asked.walk() if type(node) in expressions.groupby_reductions())
    assert expressions.groupby_reductions()[type(grouped)] == name
    assert [grouped.by, grouped.operand("split_out"), grouped.operand("dropna")] == [["k"], None, None]
    assert {"chunk_kwargs", "aggregate_kwargs", "sort"} <= set(grouped._parameters)


def test_an_aggregation_says_what_it_makes_of_which_column() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    assert expressions.groupby_reductions()[type(frame.groupby("k").size().expr)] == "size"
    one = frame.groupby("k").agg({"a": ["sum", "min"]}).expr
    assert type(one) is expressions.GroupbyAggregation
    assert [spec[:1] + spec[2:] for spec in one.spec] == [(("a", "sum"), "a"), (("a", "min"), "a")] or [
        tuple(spec) for spec in one.spec
    ] == [(("a", "sum"), "sum", "a"), (("a", "min"), "min", "a")]
    assert one.operand("split_out") is None
    assert not trees.takes_one_column(one)
    assert trees.takes_one_column(frame.groupby("k")["a"].agg(["sum", "min"]).expr)


@pytest.mark.parametrize(
    ("make", "kind", "operands"),
    [
        (lambda frame: frame.assign(c=frame["a"], d=1), expressions.Assign, {"keys": ["c", "d"]}),
        (lambda frame: frame.astype({"a": "float32"}), expressions.AsType, {"dtypes": {"a": "float32"}}),
        (lambda frame: frame["a"].fillna(3), expressions.Fillna, {"value": 3}),
        (lambda frame: frame["a"].rename("z"), expressions.RenameSeries, {"index": "z"}),
        (lambda frame: np.log(frame["a"]), expressions.UFuncElemwise, {"func": np.log, "kwargs": {}}),
        (lambda frame: frame["a"] * 2, expressions.Binop, {"left": None, "right": 2}),
    ],
)
def test_steps_that_make_columns_say_of_what(
    make: Callable[[Any], Any], kind: type, operands: dict[str, Any]
) -> None:
    step = make(dd.from_pandas(FRAME, npartitions=2)).expr
    assert isinstance(step, kind)
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
        if isinstance(node, expressions.Projection):
            return plain
        if not isinstance(node, expressions.Expr):
            return node
        given, keywords = trees.operation_arguments(node)
        return node.operation(*map(worked_out, given), **keywords)

    for name, (found, expected) in made.items():
        assert type(found.expr).__name__ == name
        assert isinstance(found.expr, expressions.row_functions())
        pd.testing.assert_series_equal(worked_out(found.expr), expected)
    times = dd.from_pandas(pd.DataFrame({"t": pd.to_datetime(["2024"]), "s": ["a"]}), npartitions=1)
    for step in (times["t"].dt.hour, times["s"].str.upper()):
        assert isinstance(step.expr, expressions.Accessed)
        assert (step.expr.accessor, step.expr.attr) in (("dt", "hour"), ("str", "upper"))


def test_own_steps_are_those_of_a_package() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    made = (frame.a + 1).expr
    below = {part._name: part.npartitions for part in made.walk() if part._name != made._name}
    assert dict(trees.own_steps(made, "dask")) == below
    assert trees.own_steps(made, "safeframe") == []


def test_tasks_of_partitions_that_need_no_other() -> None:
    ddf = dd.from_map(FRAME.head, [2, 3], meta=FRAME.iloc[:0])
    first, second = trees.own_tasks(trees.lowered(ddf.expr).fuse()) or []
    assert trees.stands_alone(first)
    assert trees.stands_alone(second)
    assert first()["k"].tolist() == [1, 2]
    shuffled = trees.lowered(ddf.shuffle("k", shuffle_method="tasks").expr)
    assert trees.own_tasks(shuffled) is None
    assert not trees.stands_alone(Alias("one", "other"))


def test_as_read() -> None:
    words = pd.Series(["a", "b"]).astype("category")
    ddf = dd.from_pandas(pd.DataFrame({"c": words, "v": [1, 2], "w": [3, 4]}), npartitions=1)
    frame = new_collection(as_read.AsRead(ddf.expr, ["c"]))
    assert not frame["c"].cat.known
    assert frame["c"].compute().tolist() == ["a", "b"]
    # Columns and filters reach the source, and of columns that are known nothing is left of it.
    some = frame[frame["v"] > 1][["c"]].optimize(fuse=False)
    assert some.compute()["c"].tolist() == ["b"]
    known = frame[["v"]].optimize(fuse=False).expr
    assert not list(known.find_operations(as_read.AsRead))

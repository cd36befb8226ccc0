"""What ``explain`` says of collections, held against what dask's tasks hold."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.order import order

import safeframe
from safeframe._dask.trees import graph_of

N = 4000
ROWS = pd.DataFrame(
    {"k": np.arange(N) % 700, "v": np.arange(N) * 0.5, "s": pd.array([f"{n:08}" for n in range(N)], "str")}
)
SMALL = pd.DataFrame({"k": np.arange(900) % 300, "w": np.arange(900.0)})
TIGHT = safeframe.ClusterSpec(n_workers=2, memory=272 * 2**20 + 1000)
"""Of its memory 1000 bytes are left for data."""
ROOMY = safeframe.ClusterSpec(n_workers=2, memory="8GiB")


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set({"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}):
        yield


def frame(npartitions=10):
    return dd.from_pandas(ROWS, npartitions=npartitions, sort=False)


def right(npartitions=3):
    return dd.from_pandas(SMALL, npartitions=npartitions, sort=False)


def sizes(value):
    """Return the bytes of all frames in a value."""
    if isinstance(value, (list, tuple)):
        return sum(map(sizes, value))
    if isinstance(value, dict):
        return sum(map(sizes, value.values()))
    if isinstance(value, (pd.DataFrame, pd.Series)):
        usage = value.memory_usage(index=True, deep=True)
        return int(usage if isinstance(value, pd.Series) else usage.sum())
    return int(value.memory_usage(deep=True)) if isinstance(value, pd.Index) else 0


def largest_task_nbytes(collection):
    """Run each task of a collection, and return the bytes that the largest has of frames, taken and made."""
    graph = graph_of(collection.optimize().expr)
    values, largest = {}, 0
    places = order(graph)
    for key in sorted(graph, key=places.__getitem__):
        inputs = {one: values[one] for one in graph[key].dependencies}
        values[key] = graph[key](inputs)
        largest = max(largest, sizes(list(inputs.values())) + sizes(values[key]))
    return largest


GATHERS = {
    "drop_duplicates": (
        lambda: frame().drop_duplicates(split_out=1),
        "drop_duplicates",
        "safeframe.drop_duplicates",
    ),
    "drop_duplicates-spread": (
        lambda: frame().drop_duplicates(),
        "drop_duplicates",
        "safeframe.drop_duplicates",
    ),
    "unique": (lambda: frame().s.unique(split_out=1), "unique", "safeframe.unique"),
    "nunique": (lambda: frame().v.nunique(split_out=1), "drop_duplicates", "safeframe.drop_duplicates"),
    "value_counts": (lambda: frame().v.value_counts(split_out=1), "value_counts", "safeframe.value_counts"),
    "groupby-sum": (lambda: frame().groupby("v").k.sum(), "groupby.sum", "safeframe.groupby"),
    "groupby-mean": (lambda: frame().groupby("v").k.mean(), "groupby.mean", "safeframe.groupby"),
    "groupby-agg": (
        lambda: frame().groupby("v").agg({"k": ["max", "sum"]}),
        "groupby.agg",
        "safeframe.groupby",
    ),
    "groupby-string": (lambda: frame().groupby("s").v.max(), "groupby.max", "safeframe.groupby"),
    "groupby-spread": (lambda: frame(40).groupby("v").k.sum(), "groupby.sum", "safeframe.groupby"),
    "repartition": (
        lambda: frame().repartition(npartitions=1),
        "repartition(npartitions=1)",
        "safeframe.rebalance_partitions",
    ),
    "repartition-some": (
        lambda: frame().repartition(npartitions=3),
        "repartition(npartitions=3)",
        "safeframe.rebalance_partitions",
    ),
    "set_index": (lambda: frame().set_index("v"), "set_index('v')", "safeframe.set_index"),
    "sort_values": (lambda: frame().sort_values("v"), "sort_values(['v'])", "safeframe.sort_values"),
    "shuffle": (lambda: frame().shuffle("k"), "shuffle", "safeframe.shuffle"),
    "merge": (lambda: frame().merge(right(), on="k"), "merge(how='inner', on='k')", "safeframe.merge"),
    "merge-left": (
        lambda: frame().merge(right(1), on="k", how="left"),
        "merge(how='left', on='k')",
        "safeframe.merge",
    ),
}


@pytest.mark.parametrize("name", GATHERS)
def test_a_step_holds_no_more_than_is_said(name):
    make, operation, recipe = GATHERS[name]
    explanation = safeframe.explain(make(), count_keys=True, cluster=ROOMY)
    [finding] = explanation.findings
    assert (finding.operation, finding.recipe, finding.exceeds) == (operation, recipe, False)
    held = finding.held_nbytes
    largest = largest_task_nbytes(make())
    assert held.lower <= largest <= held.upper
    # A bound that is always true is none.
    assert held.upper < 40 * largest


@pytest.mark.parametrize("name", GATHERS)
def test_a_worker_without_room_is_told(name):
    findings = safeframe.explain(GATHERS[name][0](), count_keys=True, cluster=TIGHT).findings
    assert findings[0].allowed_nbytes == 1000
    assert all(finding.exceeds is not False for finding in findings)
    public = {f"safeframe.{one}" for one in safeframe.__all__}
    assert {finding.recipe for finding in findings} <= public


def test_bytes_are_exact_where_they_are():
    plain = dd.from_pandas(ROWS[["k", "v"]].set_index(np.arange(N) * 7 % N), npartitions=10, sort=False)
    [finding] = safeframe.explain(plain.repartition(npartitions=1), cluster=ROOMY).findings
    # Two columns and an index of eight bytes, as they are taken and as they are made.
    assert finding.held_nbytes.exact
    assert finding.held_nbytes == 2 * N * 24
    assert (finding.partitions_in, finding.partitions_out) == (10, 1)


def test_a_repartition_that_does_not_fit_exceeds_and_so_does_its_compute():
    explanation = safeframe.explain(frame().repartition(npartitions=2), cluster=TIGHT)
    assert [(one.operation, one.exceeds) for one in explanation.findings] == [
        ("repartition(npartitions=2)", True),
        ("compute()", True),
    ]
    assert explanation.exceeds is True


def test_plain_steps_of_each_row_have_no_findings():
    ddf = frame()
    for made in (
        ddf,
        ddf[ddf.v > 3].assign(z=ddf.k + 1),
        ddf.s.str.upper(),
        ddf.v.sum(),
        ddf.index,
        ddf[["k"]],
    ):
        explanation = safeframe.explain(made, cluster=ROOMY)
        assert isinstance(explanation, safeframe.Explanation)
        assert (explanation.plans, [one for one in explanation.findings if one.operation != "compute()"]) == (
            (),
            [],
        )


def test_what_is_not_known_is_said():
    merged = frame().merge(right(), on="k")
    [merge, compute] = safeframe.explain(merged, cluster=ROOMY).findings
    assert (merge.held_nbytes, merge.exceeds) == (None, None)
    assert merge.reason.startswith("not known: how many rows match")
    assert compute.reason.startswith("not known: how many rows a merge makes")
    made = frame().map_partitions(lambda part: part, meta=ROWS.iloc[:0]).drop_duplicates(split_out=1)
    [finding] = safeframe.explain(made, cluster=ROOMY).findings
    assert finding.reason == "not known: how many rows MapPartitions makes"
    [finding] = safeframe.explain(frame().assign(s=frame().s + "!").repartition(npartitions=1)).findings
    assert finding.reason.startswith("not known: ")


def test_a_side_that_each_task_takes_whole_is_enough_to_exceed():
    wide = dd.from_pandas(ROWS.drop(columns="s"), npartitions=1)
    [finding] = [
        one
        for one in safeframe.explain(right().merge(wide, on="k", how="left"), cluster=TIGHT).findings
        if one.operation.startswith("merge")
    ]
    assert (finding.held_nbytes, finding.exceeds) == (None, True)
    assert "each task has the whole right side, about 93.8 KiB" in finding.reason


def test_counted_keys_say_how_many_rows_a_merge_makes():
    [finding] = safeframe.explain(frame().merge(right(), on="k"), count_keys=True, cluster=ROOMY).findings
    expected = len(ROWS.merge(SMALL, on="k"))
    assert f"it makes {expected:,} rows of 4,000 and 900" in finding.reason


def test_nothing_is_computed(tmp_path):
    ROWS[["k", "v"]].to_parquet(tmp_path / "rows.parquet")

    def refuse(*args, **kwargs):
        pytest.fail("something was computed")

    read = dd.read_parquet(tmp_path)
    with dask.config.set(scheduler=refuse):
        for ddf in (frame(), read):
            for made in (
                ddf.set_index("v").merge(right(), left_index=True, right_on="k"),
                ddf.sort_values("v").drop_duplicates().repartition(npartitions=1),
                ddf.set_index("v").groupby("k").sum(),
                ddf.repartition(partition_size="1MiB").groupby("k").v.mean(),
            ):
                assert safeframe.explain(made, cluster=ROOMY).findings


@pytest.mark.parametrize("filters", [None, [("v", ">", 100.0)]])
def test_sizes_of_files_are_those_of_their_footers(tmp_path, filters):
    ROWS[["k", "v"]].set_index(np.arange(N) * 7 % N).to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    read = dd.read_parquet(tmp_path, filters=filters, split_row_groups=True)
    [finding] = safeframe.explain(read.repartition(npartitions=1), cluster=ROOMY).findings
    held = finding.held_nbytes
    assert held.upper == 2 * N * 24
    assert held.lower == (0 if filters else held.upper)


def test_strings_of_files_are_sampled(tmp_path):
    ROWS.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    read = dd.read_parquet(tmp_path, split_row_groups=True)
    one = read.repartition(npartitions=1)
    [finding] = safeframe.explain(one, cluster=ROOMY).findings
    assert finding.held_nbytes.lower <= largest_task_nbytes(one) <= finding.held_nbytes.upper


def test_a_recipe_s_own_result_gives_its_plan():
    merged = safeframe.merge(frame(), right(), on="k")
    plan = safeframe.explain(merged)
    assert (type(plan), plan.recipe) == (safeframe.Plan, "merge")
    assert safeframe.explain(merged[merged.v > 3][["k", "w"]].assign(z=1)) is plan
    indexed = safeframe.set_index(merged, "v")
    assert safeframe.explain(indexed).recipe == "set_index"


def test_a_recipe_within_a_plain_chain_is_found():
    merged = safeframe.merge(frame(), right(), on="k")
    explanation = safeframe.explain(merged.groupby("k").v.sum(), cluster=ROOMY)
    assert explanation.plans == (safeframe.explain(merged),)
    [finding] = explanation.findings
    assert finding.operation == "groupby.sum"
    two = safeframe.set_index(merged, "v").merge(right(), on="k").drop_duplicates(split_out=1)
    explanation = safeframe.explain(two, cluster=ROOMY)
    assert [plan.recipe for plan in explanation.plans] == ["merge", "set_index"]
    assert [one.operation for one in explanation.findings][:2] == [
        "merge(how='inner', on='k')",
        "drop_duplicates",
    ]


def test_arrays_bags_and_delayed_objects():
    array = da.ones((400, 400), chunks=(400, 40))
    explanation = safeframe.explain(array.rechunk((40, 400)), cluster=TIGHT)
    assert {one.recipe for one in explanation.findings} == {"safeframe.rechunk", ""}
    compute = explanation.findings[-1]
    assert (compute.operation, compute.exceeds, int(compute.held_nbytes)) == (
        "compute()",
        True,
        2 * 400 * 400 * 8,
    )
    assert safeframe.explain(array, cluster=ROOMY).findings == ()
    bag = db.from_sequence(range(20), npartitions=4)
    for method in ("tasks", "disk"):
        [finding] = safeframe.explain(bag.groupby(abs, shuffle=method), cluster=ROOMY).findings
        assert (finding.recipe, finding.held_nbytes) == ("safeframe.bag_groupby", None)
    assert safeframe.explain(bag.map(abs)).findings == ()
    assert safeframe.explain(dask.delayed(3)) == safeframe.Explanation(plans=(), findings=())


def test_recipes_of_arrays_and_bags_are_found():
    array = safeframe.rechunk(da.ones((40, 40), chunks=(40, 4)), (4, 40))
    assert safeframe.explain(array).recipe == "rechunk"
    assert [plan.recipe for plan in safeframe.explain(array + 1).plans] == ["rechunk"]
    groups = safeframe.bag_groupby(db.from_sequence(range(20), npartitions=4), abs)
    assert safeframe.explain(groups).recipe == "bag_groupby"
    assert [plan.recipe for plan in safeframe.explain(groups.map(len)).plans] == ["bag_groupby"]


@pytest.mark.parametrize("thing", [ROWS, ROWS.k, 3, "frame", None, [frame()]])
def test_anything_else_is_refused(thing):
    with pytest.raises(safeframe.SchemaMismatchError, match=rf"is a {type(thing).__name__}(.|\n)*Hint: "):
        safeframe.explain(thing)


class _Tags(HTMLParser):
    """Counts tags that are open."""

    def __init__(self):
        super().__init__()
        self.open, self.cells = [], 0

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.cells += tag == "td"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_explanation_is_shown_in_words_html_and_json():
    merged = safeframe.merge(frame(), right(), on="k")
    explanation = safeframe.explain(
        merged.repartition(npartitions=1).drop_duplicates(subset=["k"]), cluster=TIGHT
    )
    text = str(explanation)
    assert text.splitlines()[0].startswith("fits     safeframe.merge (")
    assert "EXCEEDS  repartition(npartitions=1)" in text
    assert "instead safeframe.rebalance_partitions" in text
    assert len(repr(explanation)) < 100
    plain = json.loads(json.dumps(explanation.to_dict()))
    assert plain["findings"][0]["exceeds"] is True
    assert plain["plans"][0]["recipe"] == "merge"
    tags = _Tags()
    tags.feed(explanation._repr_html_())
    assert (tags.open, tags.cells) == ([], 5 * (len(explanation.plans) + len(explanation.findings)))
    odd = safeframe.explain(
        dd.from_pandas(ROWS.rename(columns={"k": "<b>"}), npartitions=2).sort_values("<b>")
    )
    assert "<b>" not in odd._repr_html_()

"""What goes into P2P and what comes out, without a cluster."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dask.base import tokenize

from safeframe.engine.p2p.form import SHARD_LABEL, P2PForm, SentPartition
from safeframe.engine.p2p.tasks import send_partition, settle
from safeframe.errors import RowConservationError, SchemaMismatchError, UnsupportedError
from safeframe.kernels.columns.categories import UNKNOWN
from tests.property.objects import identical

ROWS = pd.Index([7, 8, 9], name="o")
WORDS = pd.Series(["a", None, "b"], index=ROWS, dtype=object)
FRAME = pd.DataFrame({"shard": [1, 0, 1], 5: [1.5, 2.5, 3.5], "o": WORDS}, index=ROWS)
COLUMNS = FRAME.columns.drop("shard")
FORM = P2PForm.of(FRAME, "shard", COLUMNS)


def test_there_and_back():
    sent, _ = FORM.outbound(FRAME)
    assert list(sent.columns) == [SHARD_LABEL, "c1", "c2"]
    assert sent.index.name is None
    pd.testing.assert_frame_equal(sent.iloc[:0], FORM.sent)
    back = FORM.inbound(sent.drop(columns=SHARD_LABEL).copy())
    pd.testing.assert_frame_equal(back, FRAME.drop(columns="shard"))


def test_forms_of_one_meaning_have_one_name():
    assert tokenize(FORM) == tokenize(P2PForm.of(FRAME.copy(), "shard", COLUMNS))
    assert tokenize(FORM) != tokenize(P2PForm.of(FRAME, "shard", pd.Index([6, "o"])))
    assert tokenize(FORM) != tokenize(P2PForm.of(FRAME.rename(columns={5: 6}), "shard", COLUMNS))


def test_a_partition_with_other_columns():
    with pytest.raises(SchemaMismatchError, match=r"has the columns \['shard'\](.|\n)*Hint: "):
        FORM.outbound(FRAME[["shard"]])


def test_a_partition_with_other_types():
    with pytest.raises(SchemaMismatchError, match="5 is object in one partition"):
        FORM.outbound(FRAME.astype({5: object}))
    widened, _ = FORM.outbound(FRAME.astype({5: "float32"}))
    assert widened["c1"].dtype == "float64"


@pytest.mark.parametrize("values", [[1, "a", None], [1, 2, 3], [[1], [2], [3]], [1.5, None, float("nan")]])
def test_objects_come_back_as_they_were(values):
    frame = FRAME.assign(o=pd.Series(values, dtype=object, index=FRAME.index))
    sent, _ = FORM.outbound(frame)
    pd.testing.assert_frame_equal(sent.iloc[:0], FORM.sent)
    back = FORM.inbound(sent.drop(columns=SHARD_LABEL).copy())
    assert identical(back["o"].tolist(), frame["o"].tolist())


def test_codes_of_partitions_with_other_categories_come_back_in_the_order_of_rows(monkeypatch):
    columns = [pd.Categorical(["b", None, "a"]), pd.Categorical([None] * 3), pd.Categorical(["c", "a", "b"])]
    frames = [FRAME.assign(o=column) for column in columns]
    form = P2PForm.of(frames[0].assign(o=pd.Categorical([None] * 3, [UNKNOWN])), "shard", COLUMNS)
    outbound = [form.outbound(frame) for frame in frames]
    sent = [
        SentPartition(run_ids=(1,), rows=np.array([1, 2]), rows_in=3, categories=categories)
        for _, categories in outbound
    ]
    monkeypatch.setattr("safeframe.engine.p2p.tasks.p2p_barrier", lambda token, *runs: max(runs))
    settled = settle("token", sent, form)
    assert settled.sent_rows.tolist() == [[1, 2]] * 3
    shard = pd.concat([frame[frame[SHARD_LABEL] == 1] for frame, _ in outbound])
    back = form.inbound(shard.drop(columns=SHARD_LABEL), settled.categories, settled.sent_rows[:, 1])
    expected = pd.concat([frame[frame["shard"] == 1].astype({"o": object}) for frame in frames])
    assert back["o"].tolist()[:2] == ["b", "a"]
    assert [*back["o"].dropna()] == [*expected["o"].dropna()]
    assert list(back["o"].cat.categories) == ["a", "b", "c"]


def test_categories_that_are_known_are_not_sent():
    frame = FRAME.assign(o=pd.Categorical(["x", None, "y"], ["y", "x"]))
    form = P2PForm.of(frame, "shard", COLUMNS)
    assert form.outbound(frame.assign(o=frame["o"].cat.remove_unused_categories()))[1] == (None,)
    assert form.outbound(frame.assign(o=pd.Categorical(["z", None, "y"])))[1] != (None,), "one that is not"


def test_objects_that_would_not():
    frame = FRAME.assign(o=pd.Series([1, object(), None], dtype=object, index=FRAME.index))
    with pytest.raises(UnsupportedError, match=r"'o' is of dtype object and holds object(.|\n)*Hint: "):
        FORM.outbound(frame)


@pytest.mark.parametrize("shard", [-1, 2])
def test_a_row_without_a_shard(shard):
    with pytest.raises(
        RowConservationError, match="partition 4 numbers shards outside 0 to 1: 3 rows went in"
    ):
        send_partition(FRAME.assign(shard=[0, shard, 1]), 4, 5, "token", FORM, 2, 1000, None)


def test_rows_that_were_sent_are_added_up(monkeypatch):
    sent = SentPartition(run_ids=(1,), rows=np.array([1, 2]), rows_in=3)
    monkeypatch.setattr("safeframe.engine.p2p.tasks.p2p_barrier", lambda token, *runs: max(runs))
    settled = settle("token", [sent, sent], FORM)
    assert settled.rows.tolist() == [2, 4]
    assert settled.run_id == 1


def slices_of(frame, nbytes, monkeypatch, partitions=4):
    """Send a frame to a P2P that only listens."""
    handed = []

    class Plugin:
        def add_partition(self, rows, number, token):
            handed.append((number, len(rows)))
            return 7

    monkeypatch.setattr("safeframe.engine.p2p.tasks.get_worker_plugin", Plugin)
    sent = send_partition(frame, 2, partitions, "token", FORM, 2, nbytes, None)
    assert sent.run_ids == (7,)
    return handed, sent.rows.tolist()


def test_rows_are_handed_over_in_slices_with_numbers_that_keep_their_order(monkeypatch):
    frame = pd.concat([FRAME] * 1000)
    handed, rows = slices_of(frame, 10_000, monkeypatch)
    assert rows == [1000, 2000]
    assert sum(count for _, count in handed) == 3000
    assert max(count for _, count in handed) * frame.memory_usage(deep=True).sum() / 3000 <= 10_000 * 1.01
    numbers = [number for number, _ in handed]
    assert numbers == list(range(numbers[0], numbers[0] + len(handed)))
    assert 2 * 2**32 // 4 <= numbers[0] <= numbers[-1] < 3 * 2**32 // 4


def test_an_empty_partition_is_handed_over_too(monkeypatch):
    handed, rows = slices_of(FRAME.iloc[:0], 10_000, monkeypatch)
    assert [count for _, count in handed] == [0]
    assert rows == [0, 0]


def test_numbers_of_slices_never_meet_those_of_the_next_partition(monkeypatch):
    handed, _ = slices_of(pd.concat([FRAME] * 4), 1, monkeypatch, partitions=2**31)
    assert len(handed) == 2
    assert [number for number, _ in handed] == [4, 5]

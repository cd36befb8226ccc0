"""The staged exchange, file by file, in this process."""

from __future__ import annotations

import gc
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import safeframe
from safeframe.engine.exchange.fetch import fetch, seal
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.exchange.stage import stage_files, stage_group
from safeframe.errors import RowConservationError, StagingError
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.merge.spec import side_spec
from safeframe.kernels.routing.router import JoinRouter

SCHEMA = KeySchema(columns=(KeyColumn(kind="int"),))
FRAME = pd.DataFrame(
    {"k": [5, 1, 9, 1, 5, 9, 7], "v": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "w": list("abcdefg")}
)
SIDE = side_spec(FRAME.iloc[:0], ("k",), SCHEMA)
SIGN = 1 << 63


def layout(cells=(1, 1, 1), *, null_shard=False):
    """Shards of keys below 4, of 4 to 7, and from 8 on."""
    n_shards = 3 + null_shard
    return ShardLayout(
        starts=np.array([0, SIGN + 4, SIGN + 8], np.uint64),
        single_key=np.zeros(n_shards, bool),
        cells=np.array(cells, np.int64),
        null_shard=null_shard,
    )


def stage(frame, side, shards, tmp_path, *more):
    router = JoinRouter(side.on, side.schema, shards)
    return stage_group(
        [lambda part=part: part for part in (frame, *more)], side, router, str(tmp_path / "run")
    )


@pytest.fixture
def sealed(tmp_path):
    partitions = [stage(FRAME[:4], SIDE, layout(), tmp_path)]
    partitions.append(stage(FRAME[:0], SIDE, layout(), tmp_path))
    partitions.append(stage(FRAME[4:], SIDE, layout(), tmp_path))
    return seal(partitions, SIDE.dtypes, 3)


def rows_of(block):
    return list(zip(*(list(column) for column in block), strict=True))


def test_a_shard_has_its_rows_in_input_order(sealed):
    assert rows_of(fetch(sealed, 0)) == [(1, 1.0, "b"), (1, 3.0, "d")]
    assert rows_of(fetch(sealed, 1)) == [(5, 0.0, "a"), (5, 4.0, "e"), (7, 6.0, "g")]
    assert rows_of(fetch(sealed, 2)) == [(9, 2.0, "c"), (9, 5.0, "f")]


@pytest.mark.parametrize("lo", range(4))
@pytest.mark.parametrize("hi", range(4))
def test_a_range_of_a_shard(sealed, lo, hi):
    everything = rows_of(fetch(sealed, 1))
    assert rows_of(fetch(sealed, 1, [(lo, hi)])) == everything[lo:hi]
    assert rows_of(fetch(sealed, 1, [(hi, 3), (0, lo)])) == everything[hi:] + everything[:lo]


def test_one_file_per_partition_and_one_batch_per_shard(sealed, tmp_path):
    files = sorted((tmp_path / "run").iterdir())
    assert len(files) == 2
    assert {file.suffix for file in files} == {".staged"}
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert {pa.ipc.open_file(str(file)).num_record_batches for file in files} == {
        1 + 2,
        1 + 3,
    }  # and an empty one, with the file's head


def test_files_go_with_the_manifest(tmp_path):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    assert Path(staged.path).exists()
    del staged
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_comes_back_of_another_process_keeps_its_file(tmp_path):
    directory = Path(start_run(str(tmp_path), "run"))
    router = JoinRouter(SIDE.on, SIDE.schema, layout())
    staged = stage_group([lambda: FRAME], SIDE, router, str(directory))
    copy = pickle.loads(pickle.dumps(staged))
    del staged
    gc.collect()
    assert Path(copy.path).exists(), "another object names it"
    del copy
    gc.collect()
    assert not directory.exists()


def test_rows_of_shards_without_a_result_are_not_staged(tmp_path):
    staged = stage(FRAME, SIDE, layout((0, 1, 0)), tmp_path)
    assert (staged.rows_in, staged.rows_dropped, staged.rows.tolist()) == (7, 4, [3])
    assert rows_of(fetch(seal([staged], SIDE.dtypes, 3), 1))[0] == (5, 0.0, "a")


def test_null_keys_have_the_last_shard(tmp_path):
    frame = FRAME.assign(k=pd.array([5, None, 9, 1, None, 9, 7], dtype="Int64"))
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    staged = stage(frame, side, layout((1, 1, 1, 1), null_shard=True), tmp_path)
    assert [row[2] for row in rows_of(fetch(seal([staged], side.dtypes, 4), 3))] == ["b", "e"]


def test_a_group_of_partitions_is_one_file(tmp_path):
    staged = stage(FRAME[:4], SIDE, layout(), tmp_path, FRAME[:0], FRAME[4:])
    assert len(list((tmp_path / "run").iterdir())) == 1
    assert rows_of(fetch(seal([staged], SIDE.dtypes, 3), 1)) == [(5, 0.0, "a"), (5, 4.0, "e"), (7, 6.0, "g")]


def test_a_group_is_several_files_where_memory_is_short(tmp_path):
    parts = [FRAME[at : at + 1] for at in range(7)]
    router = JoinRouter(SIDE.on, SIDE.schema, layout())
    made = [lambda part=part: part for part in parts]
    one = stage_files(made, SIDE, router, str(tmp_path / "one"), None)
    tight = stage_files(made, SIDE, router, str(tmp_path / "two"), 200)
    assert len(one) == 1
    assert 1 < len(tight) < 7
    assert sum(file.rows_in for file in tight) == 7
    assert all(file.rows_in >= 1 for file in tight)
    for shard in range(3):
        whole, cut = (rows_of(fetch(seal(files, SIDE.dtypes, 3), shard)) for files in (one, tight))
        assert whole == cut


def test_categories_of_a_group_are_joined(tmp_path):
    frame = FRAME.astype({"w": "category"})
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    parts = [frame[:4].copy(), frame[4:].copy()]
    for part in parts:
        part["w"] = part["w"].cat.remove_unused_categories()
    sealed = seal([stage(parts[0], side, layout(), tmp_path, parts[1])], side.dtypes, 3)
    assert rows_of(fetch(sealed, 1)) == [(5, 0.0, "a"), (5, 4.0, "e"), (7, 6.0, "g")]


def test_a_dropped_batch_is_noticed_when_it_is_sealed(tmp_path):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    staged.shards, staged.rows = staged.shards[:-1], staged.rows[:-1]
    with pytest.raises(RowConservationError, match=r"7 rows went in and 5 came out(.|\n)*Hint: "):
        seal([staged], SIDE.dtypes, 3)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_file_that_was_cut_short_is_noticed_when_it_is_read(tmp_path, kept):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    os.truncate(staged.path, int(staged.offsets[kept]))
    sealed = seal([staged], SIDE.dtypes, 3)
    for shard in range(kept):
        rows_of(fetch(sealed, shard))
    with pytest.raises(RowConservationError, match=r"(2|3) rows went in and 0 came out"):
        fetch(sealed, kept)


def test_a_batch_of_other_rows_than_were_staged_is_noticed_when_it_is_read(tmp_path):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    staged.offsets = staged.offsets[[1, 0, 2, 3]]  # the batches of shards 0 and 1 trade places
    sealed = seal([staged], SIDE.dtypes, 3)
    object.__setattr__(sealed, "nbytes", sealed.nbytes.copy().clip(10_000))
    with pytest.raises(RowConservationError, match="2 rows went in and 3 came out"):
        fetch(sealed, 0)


def test_a_file_that_went_away_is_said_in_words(sealed):
    Path(sealed.staged[0].path).unlink()
    with pytest.raises(StagingError, match=r"cannot be read: .*No such file(.|\n)*Hint: "):
        fetch(sealed, 0)


def test_rows_that_come_to_shards_that_their_side_had_none_of(tmp_path):
    shards = layout(cells=(1, 0, 1))
    had_some = JoinRouter(SIDE.on, SIDE.schema, shards, np.array([True, False, False]))
    assert had_some.shards(FRAME, 0).tolist() == [-1, 0, 2, 0, -1, 2, -1]
    had_none = JoinRouter(SIDE.on, SIDE.schema, shards, np.array([False, True, False]))
    with pytest.raises(safeframe.RowConservationError, match="3 rows have keys in"):
        had_none.shards(FRAME, 0)

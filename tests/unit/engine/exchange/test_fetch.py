"""The staged exchange, file by file, in this process."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.engine.exchange import index
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


class ByNumber:
    """Sends rows to given shards."""

    def __init__(self, numbers, n_shards):
        self.numbers, self.n_shards = numbers, n_shards

    def shards(self, frame, first_row):
        return self.numbers[first_row : first_row + len(frame)]


def staged_by(numbers, n_shards, tmp_path):
    frame = pd.DataFrame({"k": numbers, "v": 0.5, "w": "word"})
    return stage_group([lambda: frame], SIDE, ByNumber(numbers, n_shards), str(tmp_path / "run"))


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


def test_one_file_per_partition_and_one_piece_per_shard(sealed, tmp_path):
    files = sorted((tmp_path / "run").iterdir())
    assert len(files) == 2
    assert {file.suffix for file in files} == {".staged"}
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert [sum(part.pieces for part in file.parts) for file in sealed.staged] == [3, 2]
    assert {file.stat().st_size for file in files} == {
        file.nbytes + file.index_nbytes for file in sealed.staged
    }


def test_a_manifest_is_some_numbers_for_each_file_and_each_shard(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {}
    for n_files, n_shards in ((4, 16), (8, 16), (8, 512)):
        files = [staged_by(rng.integers(0, n_shards, 4000), n_shards, tmp_path) for _ in range(n_files)]
        manifest = seal(files, SIDE.dtypes, n_shards)
        sizes[n_files, n_shards] = len(pickle.dumps(manifest))
    assert sizes[8, 16] - sizes[4, 16] < 4 * 600
    assert sizes[8, 512] - sizes[8, 16] == pytest.approx(2 * 8 * (512 - 16), abs=300)


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
    assert (staged.rows_in, staged.rows_dropped, staged.rows) == (7, 4, 3)
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


@pytest.mark.parametrize("names", [["k", "v"], ["k", "v", "w"]], ids=["rows", "columns"])
def test_where_memory_is_short_a_file_is_written_in_parts(tmp_path, names):
    frame = FRAME[names]
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    router = JoinRouter(side.on, side.schema, layout())
    made = [lambda at=at: frame[at : at + 1] for at in range(7)]
    (one,) = stage_files(made, side, router, str(tmp_path / "one"), 10_000)
    (tight,) = stage_files(made, side, router, str(tmp_path / "two"), 80)
    assert len(one.parts) == 1
    assert 1 < len(tight.parts) <= 7
    assert len(list((tmp_path / "two").iterdir())) == 1
    assert (tight.rows_in, tight.rows) == (7, 7)
    for shard in range(3):
        whole, cut = (seal([file], side.dtypes, 3) for file in (one, tight))
        assert rows_of(fetch(whole, shard)) == rows_of(fetch(cut, shard))
        assert whole.shard_rows(shard) == cut.shard_rows(shard)
        assert rows_of(fetch(cut, shard, [(1, 2)])) == rows_of(fetch(cut, shard))[1:2]


def test_categories_of_a_group_are_joined(tmp_path):
    frame = FRAME.astype({"w": "category"})
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    parts = [frame[:4].copy(), frame[4:].copy()]
    for part in parts:
        part["w"] = part["w"].cat.remove_unused_categories()
    sealed = seal([stage(parts[0], side, layout(), tmp_path, parts[1])], side.dtypes, 3)
    assert rows_of(fetch(sealed, 1)) == [(5, 0.0, "a"), (5, 4.0, "e"), (7, 6.0, "g")]


def test_a_dropped_piece_is_noticed_when_it_is_sealed(tmp_path):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    staged.rows -= 2
    with pytest.raises(RowConservationError, match=r"7 rows went in and 5 came out(.|\n)*Hint: "):
        seal([staged], SIDE.dtypes, 3)
    (tmp_path / "again").mkdir()
    staged = stage(FRAME, SIDE, layout(), tmp_path / "again")
    staged.rows, staged.rows_in = staged.rows - 2, staged.rows_in - 2
    with pytest.raises(RowConservationError, match=r"\.staged: 5 rows went in and 7 came out"):
        seal([staged], SIDE.dtypes, 3)


def put(staged, content):
    """Write a file of its name, in the directory that a failure has removed."""
    Path(staged.path).parent.mkdir(exist_ok=True)
    Path(staged.path).write_bytes(content)
    forget_indexes()


def forget_indexes():
    index._kept.clear()
    index._runs.clear()
    index._kept_nbytes = 0


@pytest.mark.parametrize("names", [["k", "v"], ["k", "v", "w"]], ids=["rows", "columns"])
def test_a_file_that_was_cut_short_is_noticed(tmp_path, names):
    frame = FRAME[names]
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    staged = stage(frame, side, layout(), tmp_path)
    sealed = seal([staged], side.dtypes, 3)
    content = Path(staged.path).read_bytes()
    os.truncate(staged.path, staged.nbytes - 1)
    rows_of(fetch(sealed, 0))
    with pytest.raises(RowConservationError, match=r"2 rows went in and 0 came out"):
        fetch(sealed, 2)
    for length in (staged.nbytes - 1, staged.nbytes, staged.nbytes + staged.index_nbytes - 1):
        put(staged, content[:length])
        with pytest.raises(RowConservationError, match=r"\.staged: 7 rows went in and 0 came out"):
            seal([staged], side.dtypes, 3)


@pytest.mark.parametrize("names", [["k", "v"], ["k", "v", "w"]], ids=["rows", "columns"])
def test_every_byte_that_changed_is_noticed_and_never_read_as_rows(tmp_path, names):
    frame = FRAME[names]
    side = side_spec(frame.iloc[:0], ("k",), SCHEMA)
    staged = stage(frame, side, layout(), tmp_path)
    content = Path(staged.path).read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        put(staged, changed)
        with pytest.raises(StagingError, match="is damaged"):
            everything(staged, side)
    put(staged, content)
    assert len(everything(staged, side)) == 7


def everything(staged, side):
    sealed = seal([staged], side.dtypes, 3)
    return [row for shard in range(3) for row in rows_of(fetch(sealed, shard))]


@pytest.mark.parametrize("when", ["before it is sealed", "before it is read"])
def test_another_attempt_s_file_in_its_place_is_noticed(tmp_path, when):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    other = stage(FRAME.assign(v=FRAME["v"] + 1), SIDE, layout(), tmp_path)
    if when == "before it is sealed":
        Path(other.path).replace(staged.path)
        with pytest.raises(StagingError, match="its index is not what was written"):
            seal([staged], SIDE.dtypes, 3)
        return
    sealed = seal([staged], SIDE.dtypes, 3)
    Path(other.path).replace(staged.path)
    with pytest.raises(StagingError, match="a piece of 2 rows at byte 0 is not what was written"):
        fetch(sealed, 0)


def test_pieces_that_trade_places_are_noticed(tmp_path):
    staged = stage(FRAME, SIDE, layout(), tmp_path)
    forget_indexes()
    (found,) = index.indexes_of([staged])
    found.entries["checksum"][[0, 2]] = found.entries["checksum"][[2, 0]]
    with pytest.raises(StagingError, match="is damaged"):
        fetch(seal([staged], SIDE.dtypes, 3), 0)


def test_as_many_indexes_are_kept_as_there_is_room_for(tmp_path, monkeypatch):
    files = [stage(FRAME, SIDE, layout(), tmp_path) for _ in range(5)]
    sealed = seal(files, SIDE.dtypes, 3)
    forget_indexes()
    rows = rows_of(fetch(sealed, 1))
    assert len(index._kept) == 5
    forget_indexes()
    monkeypatch.setattr("safeframe.options.INDEX_CACHE_NBYTES", 2 * 2 * files[0].index_nbytes)
    assert rows_of(fetch(sealed, 1)) == rows
    assert len(index._kept) == 2
    assert index._kept_nbytes == sum(kept.nbytes for kept in index._kept.values())


def test_indexes_of_runs_that_were_removed_are_forgotten(tmp_path):
    forget_indexes()
    files, runs = [], []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        # Held, since files that nobody names any more are removed.
        files.append(stage(FRAME, SIDE, layout(), tmp_path / name))
        fetch(seal(files[-1:], SIDE.dtypes, 3), 1)
        runs.append(files[-1].path.rpartition("/")[0])
        if name == "a":
            shutil.rmtree(runs[0])
    assert {path.rpartition("/")[0] for path in index._kept} == set(runs[1:]) == index._runs
    assert index._kept_nbytes == sum(kept.nbytes for kept in index._kept.values())


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

"""Two levels: what comes of coarse shards is what comes of the shards themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safeframe.engine.exchange.again import seal_coarse, stage_again
from safeframe.engine.exchange.fetch import fetch, fetch_slices, seal
from safeframe.engine.exchange.stage import stage_files
from safeframe.errors import RowConservationError, StagingError
from safeframe.kernels.routing.coarse import CoarseRouter

N_SHARDS = 11
RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {"shard": RNG.integers(-1, N_SHARDS, 5000), "row": np.arange(5000), "x": RNG.random(5000)}
)
WORDS = ROWS.assign(word=pd.Series(RNG.integers(0, 9, 5000)).map("word {}".format))
WORDS = WORDS.assign(kind=WORDS["word"].astype("category"))


class ByColumn:
    n_shards = N_SHARDS

    def shards(self, frame, first_row):
        return frame["shard"].to_numpy()


class Columns:
    with_index = False

    def __init__(self, frame):
        self.names, self.dtypes = list(frame), tuple(frame.dtypes)


def two_levels(frame, width, directory, held=None):
    columns, router = Columns(frame), CoarseRouter(ByColumn(), width)
    parts = [frame[lo : lo + 700] for lo in range(0, len(frame), 700)]
    tasks = [parts[:3], parts[3:5], parts[5:]]
    staged = [
        stage_files([lambda part=part: part for part in task], columns, router, directory, held)
        for task in tasks
    ]
    coarse = seal_coarse(staged, columns.dtypes, router.n_shards)
    again = [again_of(coarse, number, width, directory, held) for number in range(router.n_shards)]
    return coarse, [file for files in again for file in files]


def again_of(coarse, number, width, directory, held=None):
    return stage_again(
        coarse,
        number,
        width=width,
        n_shards=N_SHARDS,
        directory=directory,
        slice_nbytes=2000,
        held_nbytes=held,
    )


@pytest.mark.parametrize("held", [None, 5000])
@pytest.mark.parametrize("width", [1, 3, 4, 11, 20])
@pytest.mark.parametrize("frame", [ROWS, WORDS], ids=["rows", "columns"])
def test_shards_have_their_rows_in_the_order_of_the_input(tmp_path, frame, width, held):
    _, files = two_levels(frame, width, str(tmp_path / "run"), held)
    sealed = seal(files, tuple(frame.dtypes), N_SHARDS)
    for shard in range(N_SHARDS):
        expected = frame[frame["shard"] == shard]
        for name, column in zip(frame, fetch(sealed, shard), strict=True):
            assert list(column) == expected[name].tolist()
        assert sealed.shard_rows(shard) == len(expected)


def test_rows_that_go_nowhere_are_counted_once(tmp_path):
    coarse, files = two_levels(ROWS, 4, str(tmp_path / "run"))
    nowhere = int((ROWS["shard"] < 0).sum())
    assert coarse.rows_dropped == nowhere > 0
    assert sum(file.rows_in for file in files) == len(ROWS)
    assert sum(file.rows_dropped for file in files) == nowhere


def test_a_shard_comes_in_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.options.PIECE_NBYTES", 1000)
    coarse, _ = two_levels(ROWS, 4, str(tmp_path / "run"))
    slices = list(fetch_slices(coarse, 1, 2000))
    assert len(slices) > 3
    for number, column in enumerate(fetch(coarse, 1)):
        assert np.concatenate([part[number] for part in slices]).tolist() == column.tolist()


def test_a_file_of_the_first_level_that_changes_is_noticed(tmp_path):
    coarse, _ = two_levels(ROWS, 4, str(tmp_path / "run"))
    with Path(coarse.staged[1].path).open("r+b") as file:
        file.write(b"changed")
    with pytest.raises(StagingError, match="is damaged"):
        again_of(coarse, 0, 4, str(tmp_path / "other"))
    assert not list(tmp_path.glob("other/*"))


def test_coarse_rows_that_are_missing_are_noticed(tmp_path):
    coarse, _ = two_levels(ROWS, 4, str(tmp_path / "run"))
    coarse.rows[1] += 1
    with pytest.raises(RowConservationError, match="rows went in and"):
        list(fetch_slices(coarse, 1, 10_000))

"""What goes wrong with a merge that is written without its rows; and how a stopped run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from unittest import mock

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.engine.parquet import without_rows as joined_write
from safeframe.prepare.parquet import checks as parquet_checks

CHILD = """
import os, signal, sys
import dask, dask.dataframe as dd
import safeframe
from safeframe import options
from safeframe.engine.parquet import without_rows as joined_write

left, right, out, staging = sys.argv[1:]
options.JOINED_FILE_NBYTES = 20_000
put = joined_write.put_file

def put_some(target, name, *rest):
    if name == "part.3.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    return put(target, name, *rest)

joined_write.put_file = put_some
with dask.config.set(scheduler="sync"):
    merged = safeframe.merge(dd.read_parquet(left), dd.read_parquet(right), on="k", memory="1GiB", staging=staging)
    safeframe.to_parquet(merged, out, write_index=False, memory="1GiB")
"""


@pytest.fixture(autouse=True)
def _small_files():
    with dask.config.set(scheduler="sync"), mock.patch.object(options, "JOINED_FILE_NBYTES", 20_000):
        yield


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(1)
    frames = {
        "left": pd.DataFrame({"k": rng.integers(0, 30, 6000), "a": rng.random(6000)}),
        "right": pd.DataFrame({"k": rng.integers(0, 30, 900), "b": rng.random(900)}),
    }
    for name, frame in frames.items():
        (tmp_path / name).mkdir()
        for number, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
            frame.iloc[rows].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def merge_of(tables, **given):
    sides = (dd.read_parquet(tables / name) for name in ("left", "right"))
    return safeframe.merge(*sides, on="k", memory="1GiB", staging=str(tables / "staging"), **given)


def write(merged, tables, **given):
    safeframe.to_parquet(merged, tables / "out", write_index=False, memory="1GiB", **given)


def sums_of(tables):
    frame = pd.read_parquet(tables / "out")
    return len(frame), frame["k"].sum(), frame["a"].sum(), frame["b"].sum()


def expected_of(tables):
    frame = pd.read_parquet(tables / "left").merge(pd.read_parquet(tables / "right"), on="k")
    return pytest.approx((len(frame), frame["k"].sum(), frame["a"].sum(), frame["b"].sum()), rel=1e-12)


def siblings(tables):
    return sorted(path.name for path in tables.iterdir() if path.name.startswith(".out"))


def fails_at(name):
    put = joined_write.put_file

    def failing(target, file, *rest):
        if file == name:
            msg = "told to"
            raise OSError(msg)
        return put(target, file, *rest)

    return mock.patch.object(joined_write, "put_file", failing)


def counted_writes(names):
    put = joined_write.put_file

    def counting(target, file, *rest):
        names.append(file)
        return put(target, file, *rest)

    return mock.patch.object(joined_write, "put_file", counting)


def test_a_stopped_run_goes_on_from_its_finished_files(tables):
    merged = merge_of(tables)
    with fails_at("part.4.parquet"), pytest.raises(OSError, match="told to"):
        write(merged, tables, resume=True)
    assert not (tables / "out").exists()
    (kept,) = [path for path in tables.iterdir() if path.name.startswith(".out") and path.is_dir()]
    finished = {path.name for path in kept.glob("part.*")}
    assert finished
    # Half a file that a killed worker left is no part of the result.
    (kept / ".part.4.parquet.12345678").write_bytes(b"PAR1")
    written = []
    with counted_writes(written):
        write(merge_of(tables), tables, resume=True)
    files = {path.name for path in (tables / "out").iterdir()}
    assert set(written) == files - finished
    assert all(name.startswith("part.") for name in files)
    assert sums_of(tables) == expected_of(tables)
    assert siblings(tables) == []


def test_a_stopped_run_inside_of_its_target_goes_on(tables):
    """A mount point, say; here a directory that holds somebody else's."""
    (tables / "out" / "theirs").mkdir(parents=True)
    with fails_at("part.4.parquet"), pytest.raises(OSError, match="told to"):
        write(merge_of(tables), tables, resume=True)
    assert not list((tables / "out").glob("*.parquet"))
    written = []
    with counted_writes(written):
        write(merge_of(tables), tables, resume=True)
    (tables / "out" / "theirs").rmdir()
    files = [path.name for path in (tables / "out").iterdir()]
    assert 0 < len(written) < len(files)
    assert all(name.startswith("part.") for name in files)
    assert sums_of(tables) == expected_of(tables)


def test_a_stopped_run_with_new_columns_goes_on(tables):
    def made():
        merged = merge_of(tables)
        merged = merged.assign(source="x", twice=merged["b"] * 2, rounded=merged["a"].round(1))
        return merged[merged["a"] > 0.1]

    with fails_at("part.4.parquet"), pytest.raises(OSError, match="told to"):
        write(made(), tables, resume=True)
    written, other = [], []
    with counted_writes(written):
        write(made(), tables, resume=True)
    assert 0 < len(written) < len(list((tables / "out").iterdir()))
    frame = pd.read_parquet(tables / "left").merge(pd.read_parquet(tables / "right"), on="k")
    frame = frame[frame["a"] > 0.1]
    found = pd.read_parquet(tables / "out")
    assert (len(found), found["twice"].sum(), found["rounded"].sum()) == pytest.approx(
        (len(frame), (frame["b"] * 2).sum(), frame["a"].round(1).sum()), rel=1e-12
    )
    with fails_at("part.4.parquet"), pytest.raises(OSError, match="told to"):
        write(made(), tables, resume=True, overwrite=True)
    with counted_writes(other):
        write(made().assign(twice=1), tables, resume=True, overwrite=True)
    assert len(other) == len(list((tables / "out").iterdir())), "other columns start again"


def test_a_killed_run_goes_on_on_request(tables):
    arguments = [str(tables / name) for name in ("left", "right", "out", "staging")]
    child = subprocess.run([sys.executable, "-c", CHILD, *arguments], check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    written = []
    with counted_writes(written):
        write(merge_of(tables), tables, resume=True)
    assert "part.3.parquet" in written
    assert len(written) < len(list((tables / "out").iterdir())), "some were finished"
    assert sums_of(tables) == expected_of(tables)
    assert siblings(tables) == []


def test_other_inputs_start_again(tables):
    with fails_at("part.4.parquet"), pytest.raises(OSError, match="told to"):
        write(merge_of(tables), tables, resume=True)
    frame = pd.read_parquet(tables / "left" / "0.parquet")
    frame.assign(a=frame["a"] + 1).to_parquet(tables / "left" / "0.parquet", index=False)
    os.utime(tables / "left" / "0.parquet", (1, 1))
    written = []
    with counted_writes(written):
        write(merge_of(tables), tables, resume=True)
    assert "part.0.parquet" in written
    assert sums_of(tables) == expected_of(tables)
    assert siblings(tables) == [], "what could not be taken over is removed"


def test_without_resume_a_failed_run_leaves_nothing(tables):
    with fails_at("part.2.parquet"), pytest.raises(OSError, match="told to"):
        write(merge_of(tables), tables)
    assert siblings(tables) == []
    assert not (tables / "out").exists()


def test_a_write_that_is_running_is_not_resumed(tables):
    merged = merge_of(tables)
    put = joined_write.put_file

    def second_write(target, name, *rest):
        with pytest.raises(safeframe.ValidationError, match="Another process"):
            write(merged, tables, resume=True)
        return put(target, name, *rest)

    with mock.patch.object(joined_write, "put_file", second_write):
        write(merged, tables)
    assert sums_of(tables) == expected_of(tables)


def test_files_are_as_large_as_predicted(tables):
    merged = merge_of(tables)
    plan = safeframe.explain(merged)
    assert "compact encoding" in plan.details()
    write(merged, tables)
    files = list((tables / "out").iterdir())
    assert len(files) == plan.run.write.files > 3
    sizes = [path.stat().st_size for path in files]
    assert 0.5 * plan.run.write.file_nbytes <= sum(sizes) <= plan.run.write.file_nbytes
    assert max(sizes) <= 2 * options.JOINED_FILE_NBYTES


def test_files_that_do_not_fit_are_refused(tables):
    merged = merge_of(tables)
    nbytes = safeframe.explain(merged).run.write.file_nbytes
    with pytest.raises(safeframe.OutputTooLargeError, match="max_output="):
        write(merged, tables, max_output=nbytes - 1)
    with (
        mock.patch.object(parquet_checks, "free_nbytes", return_value=nbytes // 3),
        pytest.raises(safeframe.StagingFullError),
    ):
        write(merged, tables)
    with mock.patch.object(parquet_checks, "free_nbytes", return_value=nbytes):
        write(merged, tables, max_output=nbytes)
    assert sums_of(tables) == expected_of(tables)


def test_other_rows_than_were_counted_are_refused(tables):
    merged = merge_of(tables)
    seal = joined_write.seal_merge

    def loses_a_file(left, right, spec, layout, limit, planned):
        fewer = tuple(replace(side, checksum=None, fewer=True) for side in planned)
        return seal(left[:-1], right, spec, layout, limit, fewer)

    with (
        mock.patch.object(joined_write, "seal_merge", loses_a_file),
        pytest.raises(safeframe.RowConservationError, match="the keys predicted"),
    ):
        write(merged, tables)
    assert not (tables / "out").exists()
    assert siblings(tables) == []


REFUSED = {
    "no fan-out": (lambda tables: merge_of(tables, how="leftsemi"), "repeats no row"),
    "a new column of both sides": (
        lambda tables: merge_of(tables).assign(c=lambda m: m.a + m.b),
        "come from both sides",
    ),
    "the indicator": (lambda tables: merge_of(tables, indicator=True), "indicator"),
    "no merge": (lambda tables: dd.read_parquet(tables / "left"), r"not the result of safeframe\.merge"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("asked", [{"strategy": "blocks"}, {"resume": True}])
def test_what_needs_rows_says_why(tables, name, asked):
    make, why = REFUSED[name]
    with pytest.raises(safeframe.UnsupportedError, match=why):
        write(make(tables), tables, **asked)
    assert not (tables / "out").exists()


def test_an_unknown_strategy(tables):
    with pytest.raises(safeframe.ValidationError, match="strategy='columns'"):
        write(merge_of(tables), tables, strategy="columns")

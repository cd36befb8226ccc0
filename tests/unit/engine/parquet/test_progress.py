from __future__ import annotations

import io

import pandas as pd

from safeframe.engine.parquet.progress import WriteProgress, progress_lines


def write(directory, number, rows):
    pd.DataFrame({"a": range(rows)}).to_parquet(directory / f"part.{number}.parquet")


def test_rows_files_and_the_time_that_remains(tmp_path):
    times = iter([0.0, 60.0, 120.0, 10_000.0])
    write(tmp_path, 0, 100)  # of an earlier run: it says nothing of this one's pace
    progress = WriteProgress(str(tmp_path), 5, 1500, clock=lambda: next(times))
    assert progress.line() == "1 of 5 files written, 100 of 1,500 rows"
    write(tmp_path, 1, 250)
    assert progress.line() == "2 of 5 files written, 350 of 1,500 rows, about 3 min left"
    write(tmp_path, 2, 250)
    (tmp_path / ".part.3.parquet.1234").write_bytes(b"PAR1")
    (tmp_path / "part.3.parquet").write_bytes(b"broken")
    assert progress.line() == "3 of 5 files written, 600 of 1,500 rows, about 2 min left"
    assert progress.line().endswith("about 2.8 h left")


def test_lines_while_a_block_runs(tmp_path):
    sink = io.StringIO()
    with progress_lines(WriteProgress(str(tmp_path), 1, None), sink, seconds=60):
        pass
    assert sink.getvalue() == "0 of 1 files written, 0 rows\n"

"""Files of one write are encoded alike for a while, and never by the choice of another write."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from safeframe.engine.parquet import encodings


@pytest.fixture
def looked_at(monkeypatch):
    seen = []
    real = encodings.writer_options

    def look(schema, columns, compression):
        seen.append(len(columns[0]))
        return real(schema, columns, compression)

    monkeypatch.setattr(encodings, "writer_options", look)
    monkeypatch.setattr(encodings, "_last", [])
    monkeypatch.setattr("safeframe.options.ENCODING_FILES", 3)
    return seen


def target(directory="a", compression="auto", **given):
    return SimpleNamespace(directory=directory, compression=compression, writer_options=tuple(given.items()))


def file_options(table, target):
    return encodings.file_options(table.schema, table.columns, target)


def table(rows, kind=None):
    return pa.table({"x": pa.array(range(rows), kind)})


def test_a_choice_serves_some_files(looked_at):
    made = [file_options(table(100), target()) for _ in range(7)]
    assert looked_at == [100, 100, 100]
    assert made == [made[0]] * 7


def test_not_for_many_more_rows(looked_at):
    for rows in (10, 20, 21, 42, 3):
        file_options(table(rows), target())
    assert looked_at == [10, 21]


@pytest.mark.parametrize(
    "other",
    [(table(10), target("b")), (table(10), target(compression="zstd")), (table(10, pa.int8()), target())],
)
def test_not_for_another_write(looked_at, other):
    file_options(table(10), target())
    file_options(*other)
    assert len(looked_at) == 2


def test_pages_of_wide_values_and_given_arguments_are_each_files_own(looked_at):
    narrow, wide = pa.table({"x": ["a"] * 8}), pa.table({"x": ["a" * 2**20] * 8})
    assert "write_batch_size" not in file_options(narrow, target())
    assert file_options(wide, target())["write_batch_size"] == 1
    assert file_options(narrow, target(use_dictionary=["x"]))["use_dictionary"] == ["x"]
    assert len(looked_at) == 1


def test_values_that_a_codec_makes_smaller_after_those_that_none_does(looked_at):
    rng = np.random.default_rng(0)
    noise, constant = pa.table({"x": rng.normal(size=5000)}), pa.table({"x": np.full(5000, 1.5)})
    assert file_options(noise, target())["compression"] == {"x": "none"}
    assert file_options(noise, target())["compression"] == {"x": "none"}
    assert file_options(constant, target())["compression"] == "snappy"
    assert len(looked_at) == 2

"""Random frames in parquet files: types, widths, nulls, skew, and sizes of files and row groups.

Covers: what a frame of a seed is made of, and its files.
Does not cover: what is done with it (:mod:`tests.promise.trials`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["KEY_KINDS", "Shape", "random_shape", "write_files"]

MIB = 2**20
KEY_KINDS = ("int", "text", "long text", "time", "decimal", "float", "int and text")
VALUE_KINDS = ("int", "float", "text", "wide text", "decimal", "time", "flag", "small int", "list")
_WIDTHS = {"int": 8, "float": 8, "text": 20, "wide text": 400, "decimal": 16, "time": 8, "flag": 1, "small int": 1, "list": 40}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a frame is made of."""

    rows: int
    files: int
    group_rows: int
    key: str
    """One of :data:`KEY_KINDS`."""
    n_keys: int
    """Different keys, about."""
    skew: float
    """Exponent of how often keys occur; 0 for evenly."""
    hot_share: float
    """Share of rows that have one key."""
    nulls: float
    values: tuple[str, ...]
    dictionary: bool
    """Whether files keep columns in dictionaries, as pyarrow does unless told."""
    uneven: bool
    """Whether the first file has half of all rows."""
    in_order: bool = False
    """Whether numbers that keys are made of ascend, within files and from file to file."""

    @property
    def key_names(self) -> list[str]:
        """Columns of the key."""
        return ["k", "k2"] if self.key == "int and text" else ["k"]

    @property
    def row_nbytes(self) -> int:
        """Bytes of a row, about."""
        return 16 + sum(_WIDTHS[kind] for kind in self.values)


def random_shape(rng: np.random.Generator, *, most_nbytes: int, key: str | None = None) -> Shape:
    """Choose a frame of at most so many bytes, about."""
    columns = int(rng.choice([1, 2, 3, 5, 9, 30], p=[0.2, 0.2, 0.2, 0.2, 0.15, 0.05]))
    values = tuple(rng.choice(VALUE_KINDS, columns).tolist())
    width = 16 + sum(_WIDTHS[kind] for kind in values)
    nbytes = math.exp(rng.uniform(math.log(MIB), math.log(most_nbytes)))
    rows = max(1, min(int(nbytes / width), 6_000_000))
    files = int(min(rows, math.exp(rng.uniform(0, math.log(60)))))
    of_file = -(-rows // max(files, 1))
    group_rows = int(max(1, of_file / int(rng.choice([1, 1, 1, 2, 7])), rows / 2000))
    return Shape(
        rows=rows,
        files=max(files, 1),
        group_rows=group_rows,
        key=key or str(rng.choice(KEY_KINDS)),
        n_keys=int(max(1, math.exp(rng.uniform(0, math.log(rows + 1))))),
        skew=float(rng.choice([0.0, 0.0, 0.7, 1.2])),
        hot_share=float(rng.choice([0.0, 0.0, 0.0, 0.3, 0.9])),
        nulls=float(rng.choice([0.0, 0.0, 0.05, 0.5])),
        values=values,
        dictionary=bool(rng.random() < 0.7),
        uneven=bool(rng.random() < 0.15),
    )


def write_files(shape: Shape, seed: int, directory: Path, *, named: str = "v") -> None:
    """Write the frame's files."""
    rng = np.random.default_rng(seed)
    directory.mkdir(parents=True)
    cuts = np.linspace(0, shape.rows, shape.files + 1).astype(int)
    if shape.uneven and shape.files > 1:
        cuts = np.r_[0, np.linspace(shape.rows // 2, shape.rows, shape.files).astype(int)]
    for number, (begin, end) in enumerate(pairwise(cuts.tolist())):
        table = _table(shape, rng, begin, end, named)
        pq.write_table(
            table,
            directory / f"part.{number:04d}.parquet",
            row_group_size=shape.group_rows,
            use_dictionary=shape.dictionary,
        )


def _table(shape: Shape, rng: np.random.Generator, begin: int, end: int, named: str) -> pa.Table:
    rows = end - begin
    columns: dict[str, Any] = _keys(shape, rng, begin, end)
    columns["row"] = pa.array(np.arange(begin, end))
    for number, kind in enumerate(shape.values):
        columns[f"{named}{number}"] = _with_nulls(_values(kind, rng, rows), rng, shape.nulls)
    return pa.table(columns)


def _keys(shape: Shape, rng: np.random.Generator, begin: int, end: int) -> dict[str, Any]:
    rows = end - begin
    if shape.skew:
        numbers = (rng.pareto(shape.skew, rows) * shape.n_keys / 20).astype(np.int64) % shape.n_keys
    else:
        numbers = rng.integers(0, shape.n_keys, rows)
    numbers[rng.random(rows) < shape.hot_share] = 0
    if shape.in_order:
        # Each file has the keys of its share of the rows.
        low, high = (at * shape.n_keys // shape.rows for at in (begin, end))
        numbers = np.sort(low + numbers % max(1, high - low))
    # Keys that are near each other are not so by chance.
    spread = (numbers * 2654435761) % 2**40
    null = rng.random(rows) < shape.nulls / 5
    if shape.key.startswith("int"):
        null[:] = False  # of files with nulls and files without dask makes one frame of two types
    match shape.key:
        case "int":
            return {"k": pa.array(numbers, mask=null)}
        case "text":
            return {"k": pa.array(_texts(spread, "{:x}"), mask=null)}
        case "long text":
            return {"k": pa.array(_texts(spread, "customer number {:040d}"), mask=null)}
        case "time":
            return {"k": pa.array(numbers * 10**6, pa.timestamp("us"), mask=null)}
        case "decimal":
            return {"k": pa.array(numbers, mask=null).cast(pa.decimal128(20, 0))}
        case "float":
            return {"k": pa.array(numbers / 7, mask=null)}
    return {"k": pa.array(numbers % 97, mask=null), "k2": pa.array(_texts(numbers // 97, "{:x}"))}


def _texts(numbers: Any, form: str) -> Any:
    distinct, places = np.unique(numbers, return_inverse=True)
    return np.array([form.format(number) for number in distinct.tolist()], dtype=object)[places]


def _values(kind: str, rng: np.random.Generator, rows: int) -> pa.Array:
    numbers = rng.integers(0, 2**40, rows)
    match kind:
        case "int":
            return pa.array(numbers)
        case "float":
            return pa.array(rng.normal(size=rows))
        case "text":
            return pa.array(_texts(numbers % 5000, "word {:d}"))
        case "wide text":
            words = [("x" * int(n)) for n in rng.integers(0, 800, 50)]
            return pa.array(np.array([f"{number}{word}" for number, word in zip(rng.integers(0, 9, 1000), np.resize(words, 1000), strict=True)], dtype=object)[numbers % 1000])  # fmt: skip
        case "decimal":
            return pa.array(numbers % 10**9).cast(pa.decimal128(20, 0))
        case "time":
            return pa.array(numbers, pa.timestamp("us", "UTC"))
        case "flag":
            return pa.array(numbers % 2 == 0)
        case "small int":
            return pa.array((numbers % 100).astype(np.int8))
    lengths = rng.integers(0, 4, rows)
    return pa.ListArray.from_arrays(
        pa.array(np.r_[0, np.cumsum(lengths)].astype(np.int32)), pa.array(np.arange(lengths.sum()))
    )


def _with_nulls(array: pa.Array, rng: np.random.Generator, share: float) -> pa.Array:
    if not share:
        return array
    keep = pa.array(rng.random(len(array)) >= share)
    return pa.compute.if_else(keep, array, pa.nulls(len(array), array.type))

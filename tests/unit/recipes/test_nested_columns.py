"""Columns of lists and records that files have come through recipes and into files again, with their types."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.errors import UnsupportedError

TAGS = pa.list_(pa.int32())
PLACE = pa.struct([("x", pa.float64()), ("name", pa.string())])


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    directory = tmp_path / "in"
    directory.mkdir()
    for number in range(3):
        tags = [None if n == 0 else list(range(n - 1)) for n in rng.integers(0, 4, 50)]
        places = [None if n == 0 else {"x": n / 2, "name": "é" * n} for n in rng.integers(0, 4, 50)]
        if number == 2:
            tags, places = [None] * 50, [None] * 50
        table = pa.table(
            {
                "k": rng.permutation(50) + 50 * number,
                "tags": pa.array(tags, TAGS),
                "place": pa.array(places, PLACE),
                "at": pa.array([None, 5] * 25, pa.time64("us")),
                "data": pa.array([b"x", None] * 25, pa.binary()),
                "fixed": pa.array([b"ab", None] * 25, pa.binary(2)),
                "day": pa.array([None, 5] * 25, pa.date32()),
            }
        )
        pq.write_table(table, directory / f"{number}.parquet")
    return str(directory), str(tmp_path / "out")


@pytest.mark.parametrize(
    "recipe", ["none", "sort", "set_index", "shuffle", "merge", "rebalance", "distinct", "lag"]
)
def test_nested_values_come_back(files, recipe):
    source, target = files
    ddf = dd.read_parquet(source)
    made = {
        "none": lambda: ddf,
        "sort": lambda: safeframe.sort_values(ddf, "k", ascending=False),
        "set_index": lambda: safeframe.set_index(ddf, "k"),
        "shuffle": lambda: safeframe.shuffle(ddf, "k"),
        "merge": lambda: safeframe.merge(ddf, ddf[["k"]], on="k"),
        "rebalance": lambda: safeframe.rebalance_partitions(ddf),
        "distinct": lambda: safeframe.drop_duplicates(ddf, "k"),
        "lag": lambda: safeframe.groupby_lag_transform(ddf.assign(g=ddf.k % 7), "g", "k", 1, names="before"),
    }[recipe]()
    safeframe.to_parquet(made, target)
    found, expected = (pq.read_table(place).sort_by("k") for place in (target, source))
    assert found.schema.field("tags").type == TAGS
    assert found.schema.field("place").type == PLACE
    for name in ("at", "data", "fixed", "day"):
        assert found.schema.field(name).type == expected.schema.field(name).type, name
    assert found.select(expected.schema.names).to_pylist() == expected.to_pylist()


def test_objects_of_unknown_types_are_answered(tmp_path, files):
    ddf = dd.read_parquet(files[0])[["k"]]
    ddf["odd"] = ddf.k.map(lambda k: [k], meta=("odd", object))
    with pytest.raises(UnsupportedError, match="type"):
        safeframe.to_parquet(ddf, str(tmp_path / "odd"))
    safeframe.to_parquet(ddf, str(tmp_path / "odd"), schema={"odd": pa.list_(pa.int64())})
    assert pq.read_table(tmp_path / "odd").column("odd").to_pylist()[0] == [
        pq.read_table(files[0]).column("k")[0].as_py()
    ]

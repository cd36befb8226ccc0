"""dask's own arguments of ``to_parquet`` do what they do there, or are refused in words."""

from __future__ import annotations

import contextlib
import decimal
import inspect
import re

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.recipes.to_parquet import to_parquet

pytestmark = pytest.mark.usefixtures("_in_this_process")

FRAME = pd.DataFrame(
    {
        "i": np.arange(40),
        "f": np.arange(40) / 4,
        "s": pd.array([f"text {n % 3}" for n in range(40)], dtype="str"),
        "t": pd.date_range("2020", periods=40, unit="us"),
        "b": [True, False] * 20,
    },
    index=pd.RangeIndex(100, 140, name="k"),
)


def _in_words(value):
    """Name a parameter without addresses: two processes that run tests have to have one name for it."""
    return re.sub(r" (object )?at 0x[0-9a-f]+", "", str(value))


def dask_frame(frame=FRAME, npartitions=4):
    return dd.from_pandas(frame, npartitions=npartitions)


def custom_name(number):
    return f"data-{number:03}.parquet"


def files(directory):
    """Each file's rows, schema and what the footer says, but for the order of pandas' remarks."""
    found = {}
    for path in sorted(directory.iterdir()):
        if not path.name.endswith(".parquet"):
            found[path.name] = None
            continue
        table = pq.read_table(path)
        own = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
        found[path.name] = (table.to_pydict(), [*map(str, table.schema.types)], own)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"engine": "pyarrow"},
        {"write_index": False},
        {"name_function": custom_name},
        {"custom_metadata": {b"made by": b"us", "by": "hand"}},
        {"write_metadata_file": True},
        {"write_metadata_file": True, "custom_metadata": {b"a": b"b"}, "name_function": custom_name},
        {"schema": "infer"},
        {"schema": None},
        {"schema": {"i": pa.int32(), "f": pa.float32()}},
        {"schema": {"k": pa.int16()}},
        {"schema": pa.schema([("s", pa.string()), ("i", pa.int64())])},
        {"schema": pa.schema([("f", pa.float64()), ("k", pa.int64()), ("i", pa.int64())])},
        {"compression": "gzip"},
        {"compression": {"i": "gzip", "f": "zstd"}},
        {"filesystem": "fsspec"},
        {"filesystem": "arrow"},
        {"filesystem": fsspec.filesystem("file")},
        {"filesystem": pafs.LocalFileSystem()},
        {"storage_options": {"auto_mkdir": True}},
        {"compute_kwargs": {"scheduler": "threads"}},
        {"partition_on": None},
        {"partition_on": []},
        {"ignore_divisions": True},
        {"row_group_size": 3},
        {"use_dictionary": False},
        {"use_dictionary": ["s"]},
        {"column_encoding": {"i": "DELTA_BINARY_PACKED"}, "use_dictionary": False},
        {"coerce_timestamps": "ms"},
        {"version": "1.0"},
        {"write_statistics": False},
        {"data_page_size": 4096},
        {"compression": "zstd", "compression_level": 3},
    ],
    ids=_in_words,
)
def test_files_are_those_of_dask(tmp_path, arguments):
    to_parquet(dask_frame(), tmp_path / "ours", **arguments)
    dask_frame().to_parquet(tmp_path / "dask", **arguments)
    assert files(tmp_path / "ours") == files(tmp_path / "dask")
    pd.testing.assert_frame_equal(
        dd.read_parquet(tmp_path / "ours").compute(), dd.read_parquet(tmp_path / "dask").compute()
    )


@pytest.mark.parametrize("name", ["_metadata", "_common_metadata"])
def test_metadata_files_say_what_those_of_dask_say(tmp_path, name):
    for directory, write in (("ours", to_parquet), ("dask", dd.DataFrame.to_parquet)):
        write(dask_frame(), tmp_path / directory, write_metadata_file=True)
        write(dask_frame(FRAME.set_index(FRAME.index + 40)), tmp_path / directory, append=True)
    ours, other = (pq.read_metadata(tmp_path / directory / name) for directory in ("ours", "dask"))
    assert ours.schema.equals(other.schema)

    def groups(footer):
        numbers = range(footer.num_row_groups)
        return [(footer.row_group(n).num_rows, footer.row_group(n).column(0).file_path) for n in numbers]

    assert groups(ours) == groups(other)
    assert len(dd.read_parquet(tmp_path / "ours", calculate_divisions=True)) == 80


@pytest.mark.parametrize("npartitions", [1, 3])
@pytest.mark.parametrize(
    "arguments", [{}, {"name_function": custom_name}, {"write_index": False}], ids=_in_words
)
def test_appended_files_are_those_of_dask(tmp_path, arguments, npartitions):
    for directory, write in (("ours", to_parquet), ("dask", dd.DataFrame.to_parquet)):
        for start in (0, 40, 80):  # to nothing, first
            part = dask_frame(FRAME.set_index(FRAME.index + start), npartitions)
            write(part, tmp_path / directory, append=True, **arguments)
    assert files(tmp_path / "ours") == files(tmp_path / "dask")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dask", "ours"]


def test_appended_columns_take_the_order_of_the_files(tmp_path):
    to_parquet(dask_frame(), tmp_path / "out", write_metadata_file=True)
    other = FRAME[["b", "s", "i", "f", "t"]].set_index(FRAME.index + 40)
    to_parquet(dask_frame(other), tmp_path / "out", append=True)
    back = dd.read_parquet(tmp_path / "out").compute()
    pd.testing.assert_frame_equal(back, pd.concat([FRAME, other]), check_freq=False, check_dtype=False)


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (
            FRAME.drop(columns="b"),
            safeframe.SchemaMismatchError,
            r"only the files to append to have: \['b'\]",
        ),
        (FRAME.assign(i=FRAME["f"]), safeframe.SchemaMismatchError, "'i' is double in the frame and int64"),
        (FRAME.astype({"i": "Int64"}), safeframe.SchemaMismatchError, "'i' is Int64 in the frame and int64"),
        (FRAME.rename_axis("other"), safeframe.SchemaMismatchError, "only the files to append to have"),
        (
            FRAME.set_index(FRAME.index + 39),
            safeframe.ValidationError,
            "end at 139, and the frame begins at 139",
        ),
    ],
)
def test_what_cannot_be_appended(tmp_path, frame, error, message):
    to_parquet(dask_frame(), tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(error, match=message):
        to_parquet(dask_frame(frame), tmp_path / "out", append=True)
    with pytest.raises(ValueError, match=r"Appended|appended"):
        dask_frame(frame).to_parquet(tmp_path / "out", append=True)
    assert files(tmp_path / "out") == before


def test_divisions_may_be_ignored(tmp_path):
    for _ in range(2):
        to_parquet(dask_frame(), tmp_path / "out", append=True, ignore_divisions=True)
    assert len(dd.read_parquet(tmp_path / "out")) == 80


def test_a_gap_among_the_files_is_not_filled_over_others(tmp_path):
    to_parquet(dask_frame(), tmp_path / "out")
    (tmp_path / "out" / "part.1.parquet").unlink()
    to_parquet(dask_frame(FRAME.set_index(FRAME.index + 40)), tmp_path / "out", append=True)
    assert len(dd.read_parquet(tmp_path / "out")) == 70


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "fastparquet"}, safeframe.UnsupportedError, "only pyarrow"),
        ({"partition_on": ["b"]}, safeframe.UnsupportedError, "directories by value"),
        ({"partition_on": "b"}, safeframe.UnsupportedError, "directories by value"),
        ({"append": True, "overwrite": True}, safeframe.ValidationError, "exclude each other"),
        ({"custom_metadata": {b"pandas": b"x"}}, safeframe.ValidationError, "'pandas'"),
        ({"custom_metadata": {"n": 1}}, safeframe.ValidationError, "strings and bytes"),
        ({"name_function": "part"}, safeframe.ValidationError, "not a function"),
        ({"name_function": lambda n: "x.parquet"}, safeframe.ValidationError, "1 names for 4 partitions"),
        ({"name_function": lambda n: f"{n}.csv"}, safeframe.ValidationError, "would ignore"),
        ({"name_function": lambda n: f"a/{n}.parquet"}, safeframe.ValidationError, "a path"),
        ({"name_function": lambda n: n}, safeframe.ValidationError, "would ignore"),
        ({"schema": {"j": pa.int8()}}, safeframe.ValidationError, "'j', which is neither"),
        ({"schema": {"i": "lots"}}, safeframe.ValidationError, "does not hold types"),
        ({"schema": pa.schema([("x", pa.int8())])}, safeframe.ValidationError, "'x', which is neither"),
        ({"schema": 3}, safeframe.ValidationError, "is not a schema"),
        ({"schema": {"i": pa.month_day_nano_interval()}}, safeframe.UnsupportedError, "cannot be written"),
        ({"filesystem": 3}, safeframe.ValidationError, "not a file system"),
        ({"row_group_size": 0}, safeframe.ValidationError, "row_group_size=0"),
        ({"compresion": "zstd"}, safeframe.ValidationError, "no argument 'compresion'"),
        ({"use_dictionnary": True}, safeframe.ValidationError, "no argument 'use_dictionnary'"),
        ({"version": "9"}, safeframe.ValidationError, "does not take 'version'"),
        ({"coerce_timestamps": "years"}, safeframe.ValidationError, "does not take 'coerce_timestamps'"),
    ],
    ids=_in_words,
)
def test_what_is_refused_is_refused_before_anything_runs(tmp_path, arguments, error, message):
    ran = []
    ddf = dd.from_map(lambda n: ran.append(n) or FRAME, range(4), meta=FRAME.iloc[:0])
    with pytest.raises(error, match=message):
        to_parquet(ddf, tmp_path / "out", **arguments)
    assert ran == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "what", [FRAME, FRAME["i"], dask_frame()["i"], None, {"a": [1]}], ids=lambda w: type(w).__name__
)
def test_what_is_no_dask_dataframe(tmp_path, what):
    with pytest.raises(safeframe.SchemaMismatchError, match="a dask dataframe is expected"):
        to_parquet(what, tmp_path / "out")


@pytest.mark.parametrize("path", [None, 3, "nonsense://x", "file/inside", "file", "loop"])
def test_paths_that_are_none(tmp_path, path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with contextlib.chdir(tmp_path), pytest.raises(safeframe.ValidationError):
        to_parquet(dask_frame(), path)


@pytest.mark.parametrize(
    ("old", "new", "fits"),
    [
        (pd.Categorical([1, 2]), pd.Categorical([2, 3]), True),
        (pd.Categorical(["a", "b"]), ["a", "b"], False),
        (["a", "b"], pd.Categorical(["a", "b"]), False),
        ([True, False], pd.array([True, None], dtype="boolean"), False),
        ([1, 2], pd.array([1, 2], dtype="int64[pyarrow]"), False),
        (pd.array([1, None], dtype="Int8"), pd.array([None, 3], dtype="Int8"), True),
        (pd.array([1.0, 2], dtype="float32"), [1.0, 2.0], False),
        (pd.date_range("2020", periods=2, unit="us"), pd.date_range("2020", periods=2, unit="ns"), False),
    ],
    ids=_in_words,
)
def test_types_that_follow_each_other(tmp_path, old, new, fits):
    first, second = (
        dd.from_pandas(pd.DataFrame({"x": values}, index=[at, at + 1]), npartitions=1)
        for at, values in ((0, old), (2, new))
    )
    first.to_parquet(tmp_path / "dask")
    to_parquet(first, tmp_path / "ours")
    if fits:
        second.to_parquet(tmp_path / "dask", append=True)
        to_parquet(second, tmp_path / "ours", append=True)
        ours, other = (dd.read_parquet(tmp_path / way).compute() for way in ("ours", "dask"))
        assert repr(ours) == repr(other)
    else:
        with pytest.raises(ValueError, match="Appended dtypes differ"):
            second.to_parquet(tmp_path / "dask", append=True)
        with pytest.raises(safeframe.SchemaMismatchError, match=r"'x' is .* in the frame and"):
            to_parquet(second, tmp_path / "ours", append=True)


@pytest.mark.parametrize("kind", [pa.decimal128(12, 2), pa.decimal256(40, 3)], ids=str)
def test_decimals_are_appended_by_their_arrow_type(tmp_path, kind):
    first, second = (
        dd.from_pandas(
            pd.DataFrame(
                {"x": pd.array([*map(decimal.Decimal, values)], dtype=pd.ArrowDtype(kind))},
                index=[at, at + 1],
            ),
            npartitions=1,
        )
        for at, values in ((0, ["1.25", "2"]), (2, ["-3", "4.5"]))
    )
    for part in (first, second):
        to_parquet(part, tmp_path / "out", append=True)
    back = pq.read_table(tmp_path / "out")
    assert back.schema.field("x").type == kind
    assert back["x"].to_pylist() == [decimal.Decimal(value) for value in ("1.25", "2", "-3", "4.5")]
    wider = second.astype(pd.ArrowDtype(pa.decimal256(50, 4)))
    with pytest.raises(safeframe.SchemaMismatchError, match=r"'x' is decimal256\(50, 4\) in the frame and"):
        to_parquet(wider, tmp_path / "out", append=True)


def test_values_that_a_type_does_not_hold(tmp_path):
    with pytest.raises(safeframe.SchemaMismatchError, match="cannot be written"):
        to_parquet(dask_frame(), tmp_path / "out", schema={"f": pa.int64()})
    assert list(tmp_path.iterdir()) == []


def test_a_later_write_is_a_scalar_as_dasks(tmp_path):
    ours = to_parquet(dask_frame(), tmp_path / "ours", compute=False)
    assert type(ours) is type(dask_frame().to_parquet(tmp_path / "dask", compute=False))
    assert not (tmp_path / "ours").exists()
    assert ours.compute() is None
    assert len(dd.read_parquet(tmp_path / "ours")) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dask", "ours"]


def test_a_later_write_can_append_and_is_written_once(tmp_path):
    to_parquet(dask_frame(), tmp_path / "out")
    later = to_parquet(
        dask_frame(FRAME.set_index(FRAME.index + 40)), tmp_path / "out", append=True, compute=False
    )
    dask.compute(later)
    assert len(dd.read_parquet(tmp_path / "out")) == 80
    with pytest.raises(
        safeframe.ValidationError, match=r"has files that did not exist when .*part\.4\.parquet"
    ):
        dask.compute(later)
    assert len(dd.read_parquet(tmp_path / "out")) == 80


@pytest.mark.parametrize("filesystem", ["fsspec", "memory"])
def test_appending_to_an_object_store(tmp_path, filesystem):
    url = f"memory://{tmp_path.name}/out"
    store = None if filesystem == "fsspec" else fsspec.filesystem("memory")
    to_parquet(dask_frame(), url, append=True, filesystem=store, write_metadata_file=True)
    to_parquet(dask_frame(FRAME.set_index(FRAME.index + 40)), url, append=True, filesystem=store)
    assert len(dd.read_parquet(url)) == 80


def test_a_file_system_of_arrow(tmp_path):
    sub = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    to_parquet(dask_frame(), "out", filesystem=sub)
    assert len(dd.read_parquet(tmp_path / "out")) == 40


@pytest.mark.parametrize(
    "arguments",
    [
        {"name_function": custom_name},
        {"custom_metadata": {"a": "b"}},
        {"schema": {"view": pa.int32(), "offer": pa.float64(), "s": pa.large_string()}},
        {"schema": pa.schema([("s", pa.string()), ("view", pa.int64()), ("offer", pa.int64())])},
        {"write_metadata_file": True},
        {"append": True},
    ],
    ids=_in_words,
)
def test_a_merge_that_is_written_without_its_rows_honours_them(tmp_path, arguments):
    views = pd.DataFrame({"item": [n % 3 for n in range(300)], "view": range(300)})
    offers = pd.DataFrame({"item": [n % 3 for n in range(30)], "offer": range(30)}).assign(s="text")
    merged = safeframe.merge(*(dd.from_pandas(side, npartitions=1) for side in (views, offers)), on="item")
    merged = merged[["view", "offer", "s"]]
    tables = {}
    for strategy in ("blocks", "rows"):
        for _ in range(1 + ("append" in arguments)):
            to_parquet(merged, tmp_path / strategy, strategy=strategy, write_index=False, **arguments)
        table = pa.concat_tables(map(pq.read_table, sorted((tmp_path / strategy).glob("*.parquet"))))
        tables[strategy] = table.sort_by([("view", "ascending"), ("offer", "ascending")])
    assert tables["blocks"].equals(tables["rows"])
    own = [{k: v for k, v in t.schema.metadata.items() if k != b"pandas"} for t in tables.values()]
    assert own[0] == own[1]
    assert len(dd.read_parquet(tmp_path / "blocks")) == 3000 * (1 + ("append" in arguments))


def test_a_schema_of_each_partition_is_that_of_all_of_its_row_groups(tmp_path):
    frame = pd.DataFrame({"b": pd.Series([None] * 5 + [b"x"] * 5, dtype=object), "f": np.arange(10.0)})
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_pandas(frame, npartitions=1)
        to_parquet(ddf, tmp_path / "out", schema=None, row_group_rows=3)
    assert pq.read_table(tmp_path / "out")["b"].to_pylist() == frame["b"].tolist()


def test_a_type_that_is_given_need_not_be_inferred(tmp_path):
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_pandas(FRAME.astype({"s": object}), npartitions=2)
        with pytest.raises(safeframe.UnsupportedError, match=r"schema=\{'name'"):
            to_parquet(ddf, tmp_path / "out")
        to_parquet(ddf, tmp_path / "out", schema={"s": pa.string()})
    assert pq.read_table(tmp_path / "out")["s"].to_pylist() == FRAME["s"].tolist()


@pytest.mark.parametrize("how", ["left", "right", "outer"])
def test_a_row_group_without_a_match_has_nulls_of_columns_with_nulls(tmp_path, how):
    views = pd.DataFrame({"item": [1] * 50 + [0] * 10, "view": pd.array([None, *range(59)], "Int64")})
    offers = pd.DataFrame({"item": [1] * 50 + [2] * 10, "offer": pd.array([None, *["text"] * 59], "str")})
    left, right = (dd.from_pandas(side, npartitions=2, sort=False) for side in (views, offers))
    merged = safeframe.merge(left, right, on="item", how=how)
    expected = views.merge(offers, on="item", how=how)
    to_parquet(merged, tmp_path / "out", write_index=False, strategy="blocks", row_group_rows=2)
    got = pd.read_parquet(tmp_path / "out")
    by = ["item", "view", "offer"]
    got, expected = (rows.sort_values(by, ignore_index=True) for rows in (got, expected))
    pd.testing.assert_frame_equal(got, expected, check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"schema": None}, "schema=None takes the schema from each partition's rows"),
        ({"schema": pa.schema([("view", pa.int64())])}, "schema= leaves columns out"),
        ({"use_dictionary": False}, "use_dictionary= is an option of pyarrow's row writer"),
    ],
    ids=_in_words,
)
def test_what_needs_rows_says_so(tmp_path, arguments, reason):
    frame = pd.DataFrame({"item": [1] * 60, "view": range(60)})
    merged = safeframe.merge(dd.from_pandas(frame, 1), dd.from_pandas(frame[["item"]], 1), on="item")
    with pytest.raises(safeframe.UnsupportedError, match=reason):
        to_parquet(merged, tmp_path / "out", strategy="blocks", **arguments)
    to_parquet(merged, tmp_path / "out", **arguments)
    assert len(dd.read_parquet(tmp_path / "out")) == 3600


def test_every_argument_of_dask_is_known():
    """Should this fail: decide what a new argument does, and add its row to docs/how-to/write-parquet.md."""
    theirs = inspect.signature(dd.to_parquet).parameters.keys() - {"df", "kwargs"}
    ours = inspect.signature(to_parquet).parameters
    assert theirs <= ours.keys()
    changed = {
        name
        for name in theirs & ours.keys()
        if ours[name].default != inspect.signature(dd.to_parquet).parameters[name].default
    }
    assert changed == {"compression"}


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://user:hunter2@host/x?sig=hunter2",
        "zip://x::file:///nowhere/hunter.zip",
        "gs://k:hunter2@b/x",
    ],
)
def test_a_place_that_does_not_answer_is_said_without_what_may_be_secret(url):
    with pytest.raises(safeframe.SafeframeError, match="cannot be reached") as info:
        to_parquet(dask_frame(), url)
    assert "hunter2" not in str(info.value)


@pytest.mark.parametrize("arguments", [{}, {"write_metadata_file": True}], ids=_in_words)
@pytest.mark.parametrize("number", [1, 3])
def test_files_that_cannot_be_read_are_not_appended_to(tmp_path, arguments, number):
    to_parquet(dask_frame(), tmp_path / "out", write_index=False)
    broken = tmp_path / "out" / f"part.{number}.parquet"
    broken.write_bytes(b"broken")
    if number == 3 or arguments:
        with pytest.raises(
            safeframe.ValidationError, match=f"part.{number}.parquet' is not a readable parquet file"
        ):
            to_parquet(dask_frame(), tmp_path / "out", append=True, write_index=False, **arguments)
        assert len(list(tmp_path.rglob("*"))) == 5


def test_a_store_that_cannot_be_written_is_said_in_words():
    class Full(fsspec.get_filesystem_class("memory")):
        cachable = False

        def open(self, path, mode="rb", **kwargs):
            raise OSError(28, "No space left")

    with pytest.raises(safeframe.StagingError, match="No space left"):
        to_parquet(dask_frame(), "full/out", filesystem=Full())

"""dask's own arguments of ``to_parquet``: taken as they are, mapped to ours, or refused with the reason.

Covers: the file system, the schema, names, metadata, options of pyarrow's writer.
"""

from __future__ import annotations

import difflib
import inspect
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from dask.dataframe.api import meta_nonempty
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

from safeframe.engine.parquet.entries import METADATA_NAMES, PARQUET_SUFFIXES
from safeframe.engine.parquet.target import index_names
from safeframe.errors import StagingError, UnsupportedError, ValidationError
from safeframe.kernels.columns.categories import UNKNOWN, is_text_or_view
from safeframe.kernels.keys.schema import known_categories
from safeframe.kernels.parquet.writer_options import Compression, codec_of
from safeframe.sizing.staging_url import without_login

Schema: TypeAlias = Any
"""``"infer"``, types of some columns, the schema of all files, or None for one of each partition."""

_OURS = frozenset({"table", "where", "row_group_size", "compression", "filesystem", "kwargs"})


def check_engine(engine: Any) -> None:
    """Refuse engines that are not pyarrow."""
    if engine is not None and not (isinstance(engine, str) and engine in ("auto", "pyarrow", "arrow")):
        msg = f"engine={engine!r}: only pyarrow can write files."
        raise UnsupportedError(msg, hint="Leave engine= out.")


def check_partition_on(partition_on: Any) -> None:
    """Refuse directories by the values of columns."""
    if partition_on is not None and (not isinstance(partition_on, (str, list, tuple)) or partition_on):
        msg = f"partition_on={partition_on!r}: directories by value are not supported."
        hint = "Sort by the column with safeframe.set_index, so that readers skip row groups, or use ddf.to_parquet."
        raise UnsupportedError(msg, hint=hint)


def check_mappings(**given: Any) -> None:
    """Refuse options that are no dictionaries."""
    for argument, value in given.items():
        if value is not None and not isinstance(value, Mapping):
            msg = f"{argument}={value!r} is not a dictionary."
            raise ValidationError(msg, hint="Pass a dictionary, or leave it out.")


def located(path: Any, storage_options: dict[str, Any] | None, filesystem: Any = None) -> tuple[Any, str]:
    """Return fsspec's file system of an object store, or None for local files, and the path in it.

    Raises
    ------
    ValidationError, UnsupportedError, StagingError
        When there is no such place, or it does not answer.
    """
    text = _path_text(path)
    try:
        fs, place = _file_system(text, storage_options or {}, filesystem)
    except ValidationError:
        raise
    except ImportError as error:
        raise UnsupportedError(_unreached(text, error), hint="Install the package that it names.") from error
    except (ValueError, TypeError, pa.ArrowException) as error:
        hint = "Check the URL, storage_options= and filesystem=."
        raise ValidationError(_unreached(text, error), hint=hint) from error
    except OSError as error:
        hint = "Check the URL and storage_options=, and whether this machine can reach the store."
        raise StagingError(_unreached(text, error), hint=hint, directory=without_login(text)) from error
    if isinstance(fs, LocalFileSystem):
        try:
            # Through links: the directory that a link names is written, and the link stays.
            return None, str(Path(place).expanduser().resolve())
        except (OSError, RuntimeError) as error:
            msg = f"{place!r} cannot be resolved: {error}."
            raise ValidationError(msg, hint="Name a directory.") from error
    return fs, place.rstrip("/")


def _unreached(text: str, error: Exception) -> str:
    shown = without_login(text)
    return f"{shown!r} cannot be reached: {str(error).replace(text, shown)}."


def _path_text(path: Any) -> str:
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str) and text:
            return text
    msg = f"path={path!r} names no directory."
    raise ValidationError(msg, hint="Pass a path or a URL, as a string or a pathlib.Path.")


def _file_system(text: str, storage_options: dict[str, Any], filesystem: Any) -> tuple[Any, str]:
    if filesystem is None or (isinstance(filesystem, str) and filesystem == "fsspec"):
        fs, place = fsspec.core.url_to_fs(text, **storage_options)
        return fs, str(place)
    if storage_options:
        msg = "storage_options= and filesystem= exclude each other: the options are for a file system made from the path."
        raise ValidationError(msg, hint="Pass one of them.")
    if isinstance(filesystem, str) and filesystem in ("arrow", "pyarrow"):
        made, place = pafs.FileSystem.from_uri(text if "://" in text else str(Path(text).absolute()))
        filesystem = made
    elif isinstance(filesystem, fsspec.AbstractFileSystem):
        return filesystem, str(filesystem._strip_protocol(text))
    elif isinstance(filesystem, pafs.FileSystem):
        place = filesystem.normalize_path(text.rpartition("://")[2])
    else:
        msg = f"filesystem={filesystem!r} is not a file system."
        raise ValidationError(msg, hint='Pass "fsspec", "arrow", or a file system of fsspec or pyarrow.')
    if isinstance(filesystem, pafs.LocalFileSystem):
        return LocalFileSystem(), place
    return ArrowFSWrapper(filesystem), place


def file_schema(
    meta: Any, schema: Schema, read: Mapping[str, pa.DataType], *, write_index: bool
) -> pa.Schema | None:
    """Return the schema of all files; None where each is to have that of its partition.

    ``read`` has the types of columns in the files that the frame is made of.

    Raises
    ------
    ValidationError
        When ``schema`` names what is not there.
    UnsupportedError
        When parquet has no place for a type.
    """
    if schema is None:
        return None
    index = index_names(meta.index) if write_index else []
    names = [*meta.columns, *index]
    if isinstance(schema, pa.Schema):
        _check_names(schema.names, names)
        return _storable(schema.remove_metadata())
    if not ((isinstance(schema, str) and schema == "infer") or isinstance(schema, Mapping)):
        msg = f"schema={schema!r} is not a schema."
        raise ValidationError(
            msg, hint='Pass "infer", a pyarrow.Schema, a dictionary of types by column, or None.'
        )
    fields = pa.schema([])
    if isinstance(schema, Mapping):
        _check_names([*schema], names)
        try:
            fields = pa.schema(dict(schema))
        except (pa.ArrowException, TypeError, ValueError, KeyError) as error:
            msg = f"schema= does not hold types: {error}."
            raise ValidationError(
                msg, hint="Use types of pyarrow, as in {'name': pyarrow.string()}."
            ) from error
    # What is given is not inferred: of some types that is not possible.
    # Of lists, times of day, flags with nulls and the like pandas knows no more than that they are objects, and
    # their files do. Objects that are strings say so. An index is of the column that it was made of.
    dtypes = dict(meta.dtypes)
    for level, name in enumerate(index):
        dtypes.setdefault(name, meta.index.get_level_values(level).dtype)
    known = [
        (name, read[name])
        for name, dtype in dtypes.items()
        if pd.api.types.is_object_dtype(dtype) and name not in fields.names and not _is_text(read.get(name))
    ]
    # Of categories that are not known, neither: they are taken for strings. Their files have them as plain values, but for
    # strings; files that no pandas wrote have them as dictionaries, and dask says then that there are none.
    known += [
        (name, pa.dictionary(pa.int32(), _value_type(read[name]), dtype.ordered or False))
        for name, dtype in meta.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype) and not known_categories(dtype)
        if name not in fields.names and name in read
        if not (UNKNOWN in dtype.categories and _is_text(read[name]))
    ]
    fields = pa.schema([*fields, *known])
    rest = [name for name in meta.columns if name not in fields.names]
    inferred = _inferred(meta[rest], write_index=write_index)
    return _storable(
        pa.schema([(fields if name in fields.names else inferred).field(name) for name in names])
    )


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType | None) -> bool:
    """Whether a type is one of strings, or of categories, or not known."""
    if kind is None or pa.types.is_dictionary(kind):
        return True
    return is_text_or_view(kind)


def _inferred(frame: pd.DataFrame, *, write_index: bool) -> pa.Schema:
    try:
        meta = meta_nonempty(frame)
        if write_index:
            meta.index = meta.index.set_names(index_names(frame.index))
        schema = pa.Schema.from_pandas(meta, preserve_index=write_index)
    except (pa.ArrowException, TypeError, ValueError) as error:
        # dask has no rows to show of some types, intervals among them.
        raise _no_place(error) from error
    # Partitions have categories of their own, and more of them than the meta.
    return pa.schema(
        [
            field.with_type(pa.dictionary(pa.int32(), field.type.value_type, field.type.ordered))
            if pa.types.is_dictionary(field.type)
            else field
            for field in schema
        ]
    )


def _storable(schema: pa.Schema) -> pa.Schema:
    try:
        pq.write_table(schema.empty_table(), io.BytesIO())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_place(error) from error
    return schema


def _no_place(error: Exception) -> UnsupportedError:
    msg = f"The frame's types cannot be written: {error}."
    hint = (
        "Cast the column to a type that parquet has, set its type, as with schema={'name': pyarrow.string()}, "
        "or drop it."
    )
    return UnsupportedError(msg, hint=hint)


def _check_names(given: Sequence[str], names: Sequence[Any]) -> None:
    strange = [name for name in given if name not in names]
    if strange:
        msg = f"schema= names {strange[0]!r}, which is neither a column nor the index."
        raise ValidationError(msg, hint=f"{_did_you_mean(strange[0], names)}The names are {[*names]}.")
    if len(set(given)) < len(given):
        msg = "schema= names a column twice."
        raise ValidationError(msg, hint="Name each once.")


def _did_you_mean(name: Any, names: Sequence[Any]) -> str:
    close = difflib.get_close_matches(str(name), [str(other) for other in names], 1)
    return f"Did you mean {close[0]!r}? " if close else ""


def check_file_names(name_function: Any, first: int, npartitions: int) -> None:
    """Refuse names that are not unique, that no reader would find, or that are no names of files."""
    if name_function is None:
        return
    if not callable(name_function):
        msg = f"name_function={name_function!r} is not a function."
        raise ValidationError(msg, hint="Pass a function of the partition's number that returns a name.")
    names = [name_function(number) for number in range(first, first + npartitions)]
    for name in names:
        if not isinstance(name, str) or not name.endswith(PARQUET_SUFFIXES):
            msg = f"name_function= returns {name!r}, which dask.dataframe.read_parquet would ignore."
            raise ValidationError(msg, hint="Return names that end in .parquet.")
        if "/" in name or os.sep in name or name.startswith((".", "_")) or name in METADATA_NAMES:
            msg = f"name_function= returns {name!r}: a path, or the name of a hidden file."
            raise ValidationError(msg, hint="Return plain names, such as lambda n: f'data-{n}.parquet'.")
    if len(set(names)) < len(names):
        msg = f"name_function= returns {len(set(names))} names for {len(names)} partitions."
        raise ValidationError(msg, hint="Return a unique name for each number.")


def footer_metadata(custom: Mapping[Any, Any] | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return what is added to each footer, as bytes.

    Examples
    --------
    >>> footer_metadata({"made by": "us"})
    ((b'made by', b'us'),)
    """
    found = []
    for pair in (custom or {}).items():
        if not all(isinstance(text, (str, bytes)) for text in pair):
            msg = f"custom_metadata= has {pair!r}; only strings and bytes can be written."
            raise ValidationError(msg, hint="Convert them first, for example with json.dumps.")
        key, value = (text.encode() if isinstance(text, str) else text for text in pair)
        if key in (b"pandas", b"ARROW:schema"):
            msg = f"custom_metadata= has the key {key.decode()!r}, which is reserved for reading files back."
            raise ValidationError(msg, hint="Use another key.")
        found.append((key, value))
    return tuple(found)


def checked_writer_options(
    given: dict[str, Any], schema: pa.Schema | None, compression: Compression
) -> tuple[tuple[str, Any], ...]:
    """Return the arguments that are for pyarrow's writer.

    Raises
    ------
    ValidationError
        When pyarrow has no such argument, or does not take its value.
    """
    known = sorted(inspect.signature(pq.write_table).parameters.keys() - _OURS)
    for name in given:
        if name not in known:
            msg = f"to_parquet has no argument {name!r}, nor does pyarrow's writer."
            raise ValidationError(
                msg, hint=f"{_did_you_mean(name, known)}pyarrow.parquet.write_table lists them."
            )
    if given:
        try:
            empty = (schema or pa.schema([])).empty_table()
            codecs = {name: codec_of(compression, name, auto="snappy") for name in empty.schema.names}
            pq.write_table(empty, io.BytesIO(), compression=codecs or "snappy", **given)
        except (pa.ArrowException, TypeError, ValueError, KeyError) as error:
            msg = f"pyarrow's writer does not take {', '.join(map(repr, given))}: {error}."
            raise ValidationError(msg, hint="See pyarrow.parquet.write_table.") from error
    return tuple(given.items())

"""The place that parquet files are to be written to, looked at before what is written there is made.

Covers: refusals for who has no result yet.
Does not cover: the refusals themselves (``checks``), and those that need the size of the files (``write``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.dataframe as dd
import pandas as pd

from safeframe.prepare.parquet.checks import check_target
from safeframe.prepare.parquet.dataset import describe_dataset
from safeframe.prepare.parquet.write import files_read_from


def check_place(
    frames: Sequence[dd.DataFrame], path: Any, columns: Sequence[Any], *, overwrite: bool
) -> None:
    """Check what a write of a result refuses by its place and its columns; no row is read.

    Parameters
    ----------
    frames
        What the result is made of: it may replace the files that they are read from.
    path
        Where it is to be written.
    columns
        The names of its columns; its index is not written.
    overwrite
        Whether files there may be replaced.

    Raises
    ------
    SafeframeError
        As :func:`safeframe.to_parquet` raises it.
    """
    dataset = describe_dataset(
        pd.DataFrame([], columns=list(columns)),
        (None, None),
        {},
        path,
        compression="auto",
        write_index=False,
        append=False,
        overwrite=overwrite,
        ignore_divisions=False,
        storage_options=None,
        custom_metadata=None,
        write_metadata_file=None,
        schema=None,
        name_function=None,
        filesystem=None,
        group_rows=None,
        memory=None,
        writer_options={},
    )
    known = [name for frame in frames for name in files_read_from(frame, dataset.target)]
    check_target(dataset, 1, known if dataset.is_local else ())

"""Whether the files that a plan's numbers were read from are those that are there when it runs.

Rows and keys are counted again where a run meets them all. It does not where
the plan answers without a run (``len`` of a merge), or leaves out partitions
that no row of the result comes from: what came into such a file since would be
missing without a word. So the files are checked before their numbers are
read, and whenever a graph is made of the plan. A task that reads what another
one of the same run has read checks its own files once it has read them: of a file
that changed in between, rows would be chosen by keys that they no longer have.

Covers: parquet files that dask reads from a local file system.
Does not cover: object stores, where a look at each file is a request, and
frames that are not read from parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safeframe._dask.parquet import local_files_read
from safeframe._dask.parquet_tasks import paths_read
from safeframe._dask.trees import every_part
from safeframe.facts.files import SourceFiles
from safeframe.kernels.changed_data import files_changed
from safeframe.sizing.files import changed_files, marked


def source_files(*frames: Any) -> SourceFiles | None:
    """Return the state of the files that frames are read from; None where there are none to be seen.

    Parameters
    ----------
    *frames
        dask dataframes whose numbers are about to be read.
    """
    paths: set[str] = set()
    for frame in frames:
        paths.update(local_files_read(frame.expr))
        for part in every_part(frame.expr):
            # What was made concrete before has its reads among its tasks.
            before = (
                getattr(part.operand("hidden"), "sources", None) if "hidden" in part._parameters else None
            )
            paths.update(before.paths if before is not None else ())
    return marked(sorted(paths)) if paths else None


def source_files_of(tasks: Sequence[Any]) -> list[SourceFiles | None]:
    """Return the state of the files that each of some tasks reads, for those that read what was read before.

    Parameters
    ----------
    tasks
        dask's tasks that make partitions.
    """
    paths = [sorted(set(paths_read(task))) for task in tasks]
    everything = marked(sorted({path for some in paths for path in some}))
    known = everything.by_path() if everything is not None else {}
    return [
        SourceFiles(seen, b"".join(known[path] for path in seen)) if seen else None
        for seen in (tuple(path for path in some if path in known) for some in paths)
    ]


def check_sources(sources: SourceFiles | None) -> None:
    """Raise when a file is not what it was when the plan was made.

    Raises
    ------
    RowConservationError
        With the first of them.
    """
    changed = changed_files(sources) if sources is not None else []
    if changed:
        raise files_changed(changed[0], len(changed))

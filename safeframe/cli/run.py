"""Commands that read parquet files and write others, on a cluster.

Covers: their shared options; the cluster; the plan before the run, what it took after it.
What can be refused without a cluster is refused before one starts.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import dask.dataframe as dd
from distributed import Client

from safeframe import options
from safeframe.cli.frames import object_types
from safeframe.cli.output import Output
from safeframe.deploy.local_cluster import LocalCluster
from safeframe.errors import ClusterError, MemoryBudgetError
from safeframe.facts.plan import Plan
from safeframe.facts.plan.summary import files_summary
from safeframe.prepare.parquet.place import check_place
from safeframe.recipes.explain import explain
from safeframe.recipes.to_parquet import to_parquet
from safeframe.report.measure import measure
from safeframe.sizing.parquet.footers import read_footers
from safeframe.sizing.staging_url import is_remote
from safeframe.units import format_count, format_nbytes, format_seconds, parse_nbytes

_Command = TypeVar("_Command", bound=Callable[..., Any])
_CONNECT_SECONDS = 4
WORKERS, THREADS, MEMORY = 4, 1, "1GiB"
"""Of a cluster on this machine, where no option says otherwise."""
_MORE = "--dry-run --json has all steps and reasons"
_COMPRESSIONS = ("auto", "snappy", "zstd", "lz4", "gzip", "brotli", "none")

CLUSTER_OPTIONS = (
    click.option("--workers", type=click.IntRange(min=1), help=f"Worker processes on this machine.  [default: {WORKERS}]"),
    click.option("--threads", type=click.IntRange(min=1), help=f"Threads of each worker, which share its memory.  [default: {THREADS}]"),
    click.option("--memory", help=f"Memory limit of each worker.  [default: {MEMORY}]"),
)  # fmt: skip
"""How large a cluster on this machine is."""
_WRITE_OPTIONS = (
    click.option("--overwrite", is_flag=True, help="Replace the dataset at OUT, after all new files are written."),
    click.option("--dry-run", is_flag=True, help="Print the plan, and write nothing."),
)  # fmt: skip
_RUN_OPTIONS = (
    click.option("--scheduler", metavar="ADDRESS", help="Run on the cluster of this scheduler instead, as tcp://host:8786."),
    click.option(
        "--local-directory",
        type=click.Path(file_okay=False),
        help="Directory on a disk for rows that workers stage and spill.  [default: dask's temporary-directory]",
    ),
    click.option("--partition-size", help='Most bytes of a part of the result in memory, as "64MiB".'),
)  # fmt: skip
_FILE_OPTIONS = (
    click.option(
        "--compression", type=click.Choice(_COMPRESSIONS), default="auto", show_default=True, help="Codec of the files."
    ),
    click.option(
        "--progress/--no-progress", default=None, help="Show progress on standard error.  [default: in a terminal]"
    ),
)  # fmt: skip


def run_options(strategies: Sequence[str]) -> Callable[[_Command], _Command]:
    """Add the options of a command that writes files; their values are those of :class:`Run`.

    Parameters
    ----------
    strategies
        Those that the command's recipe has.
    """
    strategy = click.option(
        "--strategy",
        type=click.Choice(strategies),
        help="A strategy of the plan, instead of the cheapest that fits.",
    )
    return with_options(*_WRITE_OPTIONS, *CLUSTER_OPTIONS, *_RUN_OPTIONS, strategy, *_FILE_OPTIONS)


def with_options(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Add options to a command, in the order of its help."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The options that all commands share that write files."""

    overwrite: bool
    dry_run: bool
    workers: int | None
    threads: int | None
    memory: str | None
    scheduler: str | None
    local_directory: str | None
    partition_size: str | None
    strategy: str | None
    compression: str
    progress: bool | None

    @property
    def planned(self) -> dict[str, Any]:
        """The options that a recipe takes."""
        return {"partition_size": self.partition_size, "strategy": self.strategy}

    def write(
        self,
        out: Output,
        target: str,
        plan: Callable[[], Plan],
        frame: Callable[[], dd.DataFrame],
        *,
        inputs: Sequence[tuple[str, dd.DataFrame]],
        columns: Sequence[Any],
        suffixes: Sequence[str],
    ) -> None:
        """Print the plan of a recipe, write its result unless it does not fit, and print what that took.

        Parameters
        ----------
        out
            Where to print.
        target
            The directory, or URL, to write to.
        plan, frame
            Return the recipe's plan and its result; called on the cluster.
        inputs
            The datasets that are read: the path and the frame of each.
        columns
            The names of the result's columns.
        suffixes
            What the recipe may put at the end of the names of each input's columns.
        """
        self._check(target)
        check_place([one for _, one in inputs], target, columns, overwrite=self.overwrite or self.dry_run)
        with self._cluster():
            started = out.seconds
            written = plan().written
            stands = ""
            try:
                if written.fits:
                    stands = "REFUSED"
                    result = frame()
                    files = object_types(result, [path for path, _ in inputs], suffixes)
                    # Whether a merge's rows are made is known by the types of its columns in files.
                    found = explain(self._to_parquet(result, target, files, compute=False))
                    written, stands = found if isinstance(found, Plan) else written, ""
            finally:
                out.document["plan"] = written.to_dict()
                out.say(out.typed(files_summary(written, _MORE, stands=stands)))
            written.validate()
            if self.dry_run:
                return
            shown = self.progress if self.progress is not None else not out.as_json and sys.stderr.isatty()
            planned = out.seconds
            with measure(written) as measured, _running(out):
                self._to_parquet(result, target, files, progress=shown)
            done = out.seconds
        footers = read_footers(target)
        rows, nbytes = sum(file.rows for file in footers), sum(file.file_nbytes for file in footers)
        peak, projected = measured.peak_worker_nbytes, written.projected_worker_nbytes
        out.document["result"] = {
            "path": target,
            "rows": rows,
            "files": len(footers),
            "file_nbytes": nbytes,
            "peak_worker_nbytes": peak,
            "projected_worker_nbytes": projected,
            "seconds": round(measured.seconds, 3),
            "total_seconds": round(done, 3),
        }
        work = "write" if written.staging_directory is None else "stage and write"
        out.say(
            f"\nwritten   {target}\n"
            f"rows      {format_count(rows)}\n"
            f"files     {format_count(len(footers))}, {format_nbytes(nbytes)}\n"
            f"memory    peak {format_nbytes(peak)} of {format_nbytes(projected)} projected per worker: "
            f"{'kept' if peak <= projected else 'NOT kept'}\n"
            f"time      {format_seconds(done)}: {format_seconds(started)} to start, "
            f"{format_seconds(planned - started)} to plan, {format_seconds(done - planned)} to {work}"
        )

    def _to_parquet(self, result: dd.DataFrame, target: str, objects: dict[str, Any], **options: Any) -> Any:
        return to_parquet(
            result,
            target,
            overwrite=self.overwrite or self.dry_run,
            write_index=False,
            schema=objects or "infer",
            compression=None if self.compression == "none" else self.compression,
            **options,
        )

    def _check(self, target: str) -> None:
        """Refuse what needs no cluster to be refused."""
        given = {"workers": self.workers, "threads": self.threads, "memory": self.memory}
        clash = [f"--{name}" for name, value in given.items() if value is not None]
        clash += ["--local-directory"] if self.local_directory is not None else []
        if self.scheduler is not None and clash:
            msg = f"{' and '.join(clash)} cannot be given with --scheduler: its workers are there already."
            raise click.UsageError(msg)
        self._check_memory()
        if self.overwrite or self.dry_run or is_remote(target):
            return
        place = Path(target)
        if place.is_dir() and any(place.iterdir()):
            msg = f"{target!r} is there and not empty. Give --overwrite to replace it, or another OUT."
            raise click.UsageError(msg)

    def _check_memory(self) -> None:
        """Refuse workers that would be killed, or paused, before their first task."""
        if self.scheduler is not None:
            return
        given = parse_nbytes(self.memory or MEMORY, argument="--memory")
        least = options.RESERVED_DEFAULT_NBYTES + options.RESERVED_GROWTH_NBYTES
        if given < least:
            msg = (
                f"--memory={self.memory} is {format_nbytes(given)}, and a worker uses about {format_nbytes(least)} "
                "before any data."
            )
            hint = "Give each worker more, 512MiB or above; fewer workers leave more for each."
            raise MemoryBudgetError(msg, hint=hint, needed_nbytes=least, allowed_nbytes=given)

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        if self.scheduler is not None:
            with connect(self.scheduler):
                yield
            return
        with (
            LocalCluster(
                n_workers=self.workers or WORKERS,
                threads_per_worker=self.threads or THREADS,
                memory_limit=parse_nbytes(self.memory or MEMORY, argument="--memory"),
                dashboard_address=":0",
                local_directory=self.local_directory,
                # What fails is told once, as the error that ends the command.
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster),
        ):
            yield


def connect(scheduler: str, *, as_default: bool = True) -> Client:
    """Connect to a scheduler.

    Raises
    ------
    ClusterError
        When there is none.
    """
    try:
        return Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=as_default)
    except (OSError, ValueError) as error:
        msg = f"There is no scheduler at {scheduler!r}: {str(error).rstrip('.')}."
        hint = "Check the address, and that the scheduler runs and can be reached from here."
        raise ClusterError(msg, hint=hint) from error


@contextmanager
def _running(out: Output) -> Iterator[None]:
    out.running = True
    yield
    out.running = False

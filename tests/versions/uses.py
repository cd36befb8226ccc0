"""Which names of dask and distributed safeframe uses, as its source says.

Nothing of safeframe is imported: where a name is gone, that would end in an ImportError.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.versions.floors import ROOT

__all__ = ["DOOR", "HELD", "Use", "private_attributes", "used"]

PACKAGE = ROOT / "safeframe"
DOOR = PACKAGE / "_dask"

_LIBRARIES = ("dask", "distributed")

_EXPR = "dask.dataframe.dask_expr"
HELD: dict[str, tuple[str, ...]] = {
    "dask._expr.Expr": (
        "_name", "_parameters", "_lower", "_tree_repr_lines", "_tune_down", "_simplify_up", "_simplify_down",
        "deterministic_token", "lower_completely", "substitute_parameters", "find_operations", "dependencies",
    ),
    f"{_EXPR}._expr.Expr": ("_meta", "_divisions", "_layer"),
    f"{_EXPR}._expr.Blockwise": ("_args", "_kwargs", "_task", "_broadcast_dep", "operation"),
    f"{_EXPR}._expr.Fused": ("exprs",),
    f"{_EXPR}._expr.PartitionsFiltered": ("_filtered_task", "_partitions"),
    f"{_EXPR}._groupby.GroupByApply": ("_by_columns", "need_to_shuffle", "by"),
    f"{_EXPR}._groupby.GroupByApplyConcatApply": ("_by_columns", "should_shuffle", "split_out"),
    f"{_EXPR}._groupby.GroupbyAggregation": ("_slice", "spec"),
    f"{_EXPR}._merge.Merge": (
        "_is_single_partition_broadcast", "is_broadcast_join", "broadcast_side", "_on_condition_already_partitioned",
    ),
    f"{_EXPR}._reductions.ApplyConcatApply": ("_meta_chunk", "should_shuffle"),
    f"{_EXPR}.io.io.FromPandas": ("_get_lengths", "_pd_length_stats", "frame"),
    f"{_EXPR}._util._BackendData": ("_data",),
    f"{_EXPR}.io.io.FusedIO": ("_expr",),
    f"{_EXPR}.io.io.FusedParquetIO": ("_load_multiple_files",),
    f"{_EXPR}.io.parquet.ReadParquetFSSpec": (
        "_dataset_info", "_dataset_info_cache", "_plan", "_io_func", "_series", "_get_lengths",
        "checksum",
    ),
    f"{_EXPR}.io.parquet.ReadParquetPyarrowFS": (
        "_dataset_info", "_get_lengths", "_fragment_to_table", "_table_to_pandas", "fs", "fragments",
    ),
    "dask.dataframe.io.parquet.arrow.ArrowDatasetEngine": ("_read_table",),
    "dask.dataframe.io.parquet.core.ParquetFunctionWrapper": (
        "engine", "fs", "meta", "columns", "index", "dtype_backend", "common_kwargs",
    ),
    "distributed.scheduler.Scheduler": ("WORKER_SATURATION", "plugins", "workers", "task_groups", "http_application"),
    "distributed.scheduler.TaskGroup": ("states",),
    "distributed.scheduler.WorkerState": ("name", "memory_limit", "memory"),
    "distributed.scheduler.MemoryState": ("process",),
    "distributed.worker.Worker": ("memory_manager", "plugins", "plugin_remove"),
    "distributed.nanny.Nanny": ("memory_manager",),
    "distributed.worker_memory.WorkerMemoryManager": (
        "memory_limit", "memory_spill_fraction", "memory_pause_fraction",
    ),
    "distributed.worker_memory.NannyMemoryManager": ("memory_limit",),
    "distributed.shuffle.ShuffleWorkerPlugin": ("memory_limiter_comms", "memory_limiter_disk", "heartbeat"),
}  # fmt: skip
"""Attributes of dask's objects, which no import names: read behind the door, or defined for dask to call."""


@dataclass(frozen=True, order=True, slots=True)
class Use:
    """A name of dask's."""

    owner: str
    """The module or class, as it is imported."""
    name: str
    """Of the owner; empty where it is a module itself."""
    where: str
    """A file of safeframe, and the line."""

    @property
    def path(self) -> str:
        """The whole name."""
        return f"{self.owner}.{self.name}" if self.name else self.owner


@functools.cache
def used(package: Path = PACKAGE) -> tuple[Use, ...]:
    """Return the names of dask that modules of a package take, each where it is first taken."""
    found: dict[str, Use] = {}
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for owner, name, line in _names(tree):
            use = Use(owner, name, f"{path.relative_to(package.parent).as_posix()}:{line}")
            found.setdefault(use.path, use)
    return tuple(sorted(found.values()))


def private_attributes(package: Path = DOOR) -> dict[str, str]:
    """Return the attributes with an underscore that the door reads of objects, and where it reads them first."""
    found: dict[str, str] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.expr):
                continue
            name = ""
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
                name = node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                name = node.value  # hasattr(leaf, "_get_lengths"), and parameters of expressions
            if name.startswith("_") and not name.startswith("__"):
                found.setdefault(name, f"{path.relative_to(package.parents[1]).as_posix()}:{node.lineno}")
    return found


def _names(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in _LIBRARIES:
                    top = alias.name.partition(".")[0]
                    bound[alias.asname or top] = alias.name if alias.asname else top
                    yield alias.name, "", node.lineno
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _LIBRARIES:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield str(node.module), alias.name, node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = _dotted(node.value, bound)
            if owner and not node.attr.startswith("__"):
                yield owner, node.attr, node.lineno
        elif isinstance(node, ast.FunctionDef):
            yield from _looked_up(node, bound)


def _dotted(node: ast.expr, bound: dict[str, str]) -> str:
    """Return the whole name of what an expression means; empty where it does not begin with an import of dask's."""
    if isinstance(node, ast.Name):
        return bound.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, bound)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _looked_up(function: ast.FunctionDef, bound: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """List names of ``getattr(module, name) for name in names``: the words in such a function."""
    owners = {
        bound[node.args[0].id]
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "getattr"
        and isinstance(node.args[0], ast.Name)
        and isinstance(node.args[1], ast.Name)
        and node.args[0].id in bound
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield from ((owner, node.value, node.lineno) for owner in sorted(owners))

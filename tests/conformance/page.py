"""Writes docs/concepts/dask-calls.md: every call of the matrix, in words of code.

Run ``python -m tests.conformance.page`` after a change of ``calls``.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from tests.conformance import calls
from tests.conformance.results import RESULTS

__all__ = ["PAGE", "text"]

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "dask-calls.md"

_HEAD = """\
# Calls on a result

What a recipe returns is an ordinary dask dataframe. Each call on this page is made on the result
of every recipe and strategy, and compared with the same call on dask's own frame of the same rows,
partitions and divisions: values, types, names, index and order (`tests/conformance`). CI makes
all calls on one way of each recipe, from one source, and compares the rows of all others;
`.ci/nightly` makes all calls on all of them, from `from_pandas`, parquet files and `from_map`, with the
synchronous, the threaded and the distributed scheduler.

Two things differ on purpose. The rows of a merge by columns have no order that dask promises, and
an index that counts rows from zero in each partition; both are as in the plan, not as in dask's own
merge. And `len`, sums, means and groups of a merge are often worked out without its rows.

`dask.optimize(frame)` (the function) raises on a result: dask 2026.8 takes the first keys of a graph
for those of the frame, and returns rows of other steps even for a `map_partitions` of its own.
`frame.optimize()`, the method, is what to use. Bags made of rows that P2P moved fail as they do after
dask's own P2P shuffle. `repartition(partition_size=)` of any frame never ends in dask itself on Python
3.11 where the scheduler runs in the client's process, as that of a `LocalCluster` does.

Looked at are {n_calls} calls on {n_results} results: {results}.
"""

_TITLES = {
    "indexing": "Rows and columns",
    "partitions": "Partitions",
    "known-divisions": "Where divisions are known",
    "rows": "Row by row, and along rows",
    "reducing": "Reductions",
    "grouping": "Groups",
    "joining": "Joins",
    "mechanics": "Graphs: persist, delayed, optimize, pickle",
    "files": "Files",
}


def text() -> str:
    """Return the page."""
    sources = _sources()
    names = ", ".join(f"`{name}`" for name in RESULTS)
    n_calls = sum(map(len, calls.GROUPS.values()))
    parts = [_HEAD.format(n_calls=n_calls, n_results=len(RESULTS), results=names)]
    for group, title in _TITLES.items():
        rows = [
            f"| {name} | `{sources[name]}` | {'fails in dask itself' if name in calls.DASK_FAILS else 'same'} |"
            for name in calls.GROUPS[group]
        ]
        parts.append(
            "\n".join([f"## {title}\n", "| call | code | on a result |", "| --- | --- | --- |", *rows, ""])
        )
    return "\n".join(parts)


def _sources() -> dict[str, str]:
    """Return the code of each call, of the frame ``d``."""
    found: dict[str, str] = {}
    assigned = [
        node.value for node in ast.parse(inspect.getsource(calls)).body if isinstance(node, ast.Assign)
    ]
    for made in (value for value in assigned if isinstance(value, ast.Dict)):
        for key, value in zip(made.keys, made.values, strict=True):
            if isinstance(key, ast.Constant):
                found[key.value] = _code(value)
            elif isinstance(value, ast.DictComp):
                found |= _family(value)
    return found


def _family(made: ast.DictComp) -> dict[str, str]:
    """Return the code of calls that differ in the name of a method."""
    code = ast.unparse(made.value.body).removeprefix("getattr(")
    name = ast.unparse(made.key).strip("f'\"").removesuffix("{name}").removesuffix("name")
    methods = ast.literal_eval(made.generators[0].iter)
    return {name + method: code.replace(", name)", f".{method}") for method in methods}


def _code(value: ast.expr) -> str:
    if isinstance(value, ast.Name):
        own = getattr(calls, value.id, None)
        return f"{value.id}(d)" if own is None else str(inspect.getdoc(own))
    return ast.unparse(value.body if isinstance(value, ast.Lambda) else value).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(text())

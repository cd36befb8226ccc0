"""What README's own lines print: they are run as they stand there, on a tenth of the question's tables.

``python -m benchmarks.output`` makes the tables (10 and 1 million rows, whose join has
10⁹), starts four workers of 1 GiB, runs the code and writes ``results/output.txt``, from
which :mod:`benchmarks.pages` takes its lines.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

from dask.distributed import Client

import safeframe
from safeframe.demo.question import question_tables, write_part

__all__ = ["OUTPUT", "SCALE", "readme_code"]

OUTPUT = "output.txt"
SCALE = 0.1
_ROOT = Path(__file__).resolve().parents[1]


def readme_code(text: str) -> str:
    """Return the first Python block of README."""
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, "README begins with code"
    return found[1]


def run(directory: Path) -> str:
    """Run README's code in a directory and return what it prints, and what was measured.

    Parameters
    ----------
    directory
        An empty one.
    """
    for table in question_tables(SCALE):
        (directory / table.name).mkdir()
        for number in range(table.files):
            write_part(table, number, str(directory / table.name))
    code = compile(readme_code((_ROOT / "README.md").read_text(encoding="utf-8")), "README.md", "exec")
    printed = io.StringIO()
    with (
        safeframe.LocalCluster(
            n_workers=4, threads_per_worker=1, memory_limit="1GiB", local_directory=str(directory)
        ) as cluster,
        Client(cluster),
        contextlib.chdir(directory),
        safeframe.measure() as measured,
        contextlib.redirect_stdout(printed),
    ):
        exec(code, {})  # noqa: S102  # it is our own page
    return f"{printed.getvalue()}{measured}\n".replace(str(directory), "/scratch")


def main() -> None:
    """Write what README's code prints."""
    with tempfile.TemporaryDirectory(prefix="safeframe-output-") as directory:
        text = run(Path(os.path.realpath(directory)))
    path = _ROOT / "benchmarks" / "results" / OUTPUT
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

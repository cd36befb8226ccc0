"""``python -m tests.versions``: the suite in each environment, and a table of what came of it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.versions.environments import ENVIRONMENTS, QUICK, Environment, chosen
from tests.versions.floors import pythons
from tests.versions.make import Maker, installer, interpreters
from tests.versions.results import Result, counted, table

_EPILOG = "Other arguments are pytest's: python -m tests.versions --environment oldest tests/unit -n 1 -x"


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Return options, and what pytest is called with."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.versions", description=(__doc__ or "").splitlines()[0], epilog=_EPILOG
    )
    parser.add_argument(
        "--environment",
        action="append",
        default=[],
        metavar="NAME",
        help=f"one of {', '.join(one.name for one in ENVIRONMENTS)}; again for more; all without",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="VERSION",
        help="as 3.12; again for more; without, all that pyproject.toml names and are found",
    )
    parser.add_argument("--download", action="store_true", help="let uv fetch a Python that is not found")
    parser.add_argument("--quick", action="store_true", help=f"few examples, of {' '.join(QUICK)} alone")
    parser.add_argument("--list", action="store_true", help="show what would be installed, and stop")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--directory", type=Path, help="keep environments and logs there, and use what is there"
    )
    options, arguments = parser.parse_known_args(argv)
    try:
        chosen(options.environment)
    except ValueError as error:
        parser.error(str(error))
    if options.quick and not any(
        not one.startswith("-") and Path(one.partition("::")[0]).exists() for one in arguments
    ):
        arguments = [*QUICK, *arguments]
    return options, tuple(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 when nothing fails in what can be had."""
    options, arguments = parse(argv)
    if options.list:
        sys.stdout.write(listed(chosen(options.environment)) + "\n")
        return 0
    with _directory(options.directory) as directory:
        uv = installer(directory)
        found = interpreters(uv, options.python, download=options.download)
        maker = Maker(
            uv=uv,
            directory=directory,
            arguments=arguments,
            settings={"HYPOTHESIS_PROFILE": "quick"} if options.quick else {},
        )
        results = []
        for environment, version in runs(chosen(options.environment), tuple(found)):
            python = found[version]
            results.append(
                Result(environment=environment.name, python=version, missing=f"no Python {version} is found")
                if python is None
                else maker.run(environment, version, python)
            )
            _show(table(results[-1:]))
    _show("", table(results), "", counted(results))
    if options.json:
        options.json.write_text(json.dumps([one.to_dict() for one in results], indent=1) + "\n")
    return 0 if all(one.good for one in results) else 1


def runs(environments: Sequence[Environment], versions: Sequence[str]) -> Iterator[tuple[Environment, str]]:
    """List what is run: an environment for the oldest Python alone is not run with others."""
    oldest = pythons()[0]
    for version in versions:
        for environment in environments:
            if version == oldest or not environment.oldest_python:
                yield environment, version


def listed(environments: Sequence[Environment]) -> str:
    """Return what each environment is for, and what is installed into it."""
    lines: list[str] = []
    for one in environments:
        variables = [f"{name}={value}" for name, value in one.settings.items()]
        lines += [f"{one.name}: {one.why}", *(f"    {text}" for text in (*variables, *one.requirements))]
    return "\n".join(lines)


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="versions-") as made:
            yield Path(made)
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()


def _show(*lines: str) -> None:
    # At once: a run takes hours, and its log is looked at before it ends.
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

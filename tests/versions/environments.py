"""The environments in which the suite has to pass, and why each is there."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.versions.floors import pins, tools

__all__ = ["ENVIRONMENTS", "QUICK", "Environment", "chosen"]

_STRINGS = "PANDAS_FUTURE_INFER_STRING"
"""pandas' own variable: text without a dtype is ``str`` (1) or ``object`` (0); workers inherit it."""

_EVERYTHING = "-e .[test]"
_GIT = "https://github.com/dask"

QUICK = (
    "tests/unit",
    "tests/contract",
    "tests/property",
    "tests/conformance/test_local.py",
    "tests/versions",
    "safeframe",
)
"""What needs no worker processes: wrong results and names that are gone, in minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Versions of what safeframe rests on, and how pandas is set."""

    name: str
    why: str
    requirements: tuple[str, ...]
    """As pip takes them; ``-e`` in front of a directory."""
    settings: dict[str, str] = field(default_factory=dict)
    """Variables of the environment of its processes."""
    oldest_python: bool = False
    """Whether it is made for the oldest Python alone."""
    source: str = ""
    """A repository that has to be reached; where it is not, the environment cannot be had, which is no failure."""


ENVIRONMENTS = (
    Environment(
        name="oldest",
        why="every floor of pyproject.toml, exactly; its releases know the oldest Python alone",
        requirements=("-e .", *pins(), *tools()),
        oldest_python=True,
    ),
    Environment(
        name="pandas-2",
        why="the last pandas 2, where text is object",
        requirements=(_EVERYTHING, "pandas<3"),
        settings={_STRINGS: "0"},
    ),
    Environment(
        name="pandas-2-str",
        why="the last pandas 2, with the str of pandas 3",
        requirements=(_EVERYTHING, "pandas<3"),
        settings={_STRINGS: "1"},
    ),
    Environment(
        name="newest",
        why="what pip installs today",
        requirements=(_EVERYTHING,),
    ),
    Environment(
        name="newest-object",
        why="pandas 3 where text is object as it was before",
        requirements=(_EVERYTHING,),
        settings={_STRINGS: "0"},
    ),
    Environment(
        name="dask-main",
        why="what dask's next release will be",
        requirements=(
            _EVERYTHING,
            f"dask[dataframe] @ git+{_GIT}/dask",
            f"distributed @ git+{_GIT}/distributed",
        ),
        source=f"{_GIT}/dask",
    ),
)


def chosen(names: list[str]) -> tuple[Environment, ...]:
    """Return the environments of these names in the table's order; all of them for none."""
    known = {one.name for one in ENVIRONMENTS}
    unknown = sorted(set(names) - known)
    if unknown:
        msg = f"no environment is called {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        raise ValueError(msg)
    return tuple(one for one in ENVIRONMENTS if not names or one.name in names)

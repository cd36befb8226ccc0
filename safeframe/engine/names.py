"""Names of runs and of tasks: ``recipe-token`` and ``recipe-step-token``.

dask's dashboard groups and colours tasks by what a key begins with, the words
before its token; so they say which recipe a task is of, and which step of it.

Covers: the two forms, and how one becomes the other.
"""

from __future__ import annotations

import re

_SEALED_RUN = re.compile(r"([a-z]+)-seal-([0-9a-f]{32}(?:-[a-z0-9]+)?)")


def step_name(run: str, step: str) -> str:
    """Return the name of the tasks of a step.

    Parameters
    ----------
    run
        The run's name.
    step
        A word, or some with ``-`` between them.

    Examples
    --------
    >>> step_name("merge-0123abcd", "stage")
    'merge-stage-0123abcd'
    """
    recipe, _, token = run.partition("-")
    return f"{recipe}-{step}-{token}"


def recipe_of(run: str) -> str:
    """Return the recipe that a run is of, by the run's name or its directory.

    Examples
    --------
    >>> recipe_of("/scratch/session/merge-0123abcd")
    'merge'
    """
    return run.rpartition("/")[2].partition("-")[0]


def seal_key(run: str) -> str:
    """Return the key of a run's sealed manifest."""
    return step_name(run, "seal")


def run_of_seal(key: object) -> str | None:
    """Return the run whose sealed manifest has a key; None for any other key.

    Examples
    --------
    >>> run_of_seal(seal_key("sort-0123456789abcdef0123456789abcdef"))
    'sort-0123456789abcdef0123456789abcdef'
    >>> run_of_seal("sort-seal-../..") is run_of_seal(("sort-stage-12", 0)) is None
    True
    """
    found = _SEALED_RUN.fullmatch(key) if isinstance(key, str) else None
    return None if found is None else f"{found[1]}-{found[2]}"

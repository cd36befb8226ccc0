"""A trial: which recipe, on which data, meets which fault, and when; all from its seed.

Faults take turns, so that any stretch of seeds has each of them equally often.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tests.faults.machine.faults import PROCESS_FAULTS, Fault
from tests.faults.machine.files import FILE_FAULTS
from tests.faults.machine.phases import Moment
from tests.faults.machine.recipes import RECIPES, SHAPES, Recipe
from tests.faults.machine.stores import STORE_FAULTS

__all__ = ["FAULTS", "Trial", "spread_seeds"]

FAULTS: tuple[type[Fault], ...] = (*PROCESS_FAULTS, *FILE_FAULTS, *STORE_FAULTS)
"""In the order of their turns."""

_KINDS = {
    "statistics": ("given", "begins", "ends"),
    "stage": ("given", "begins", "renames", "ends"),
    "seal": ("given", "begins", "ends"),
    "fetch": ("given", "begins", "opens", "ends"),
    "write": ("given", "begins", "renames", "ends"),
    "commit": ("given", "begins", "renames", "ends"),
}
_LARGEST = {"statistics": 6, "stage": 6, "seal": 1, "fetch": 6, "write": 6, "commit": 1}
_LARGEST_IN_A_WORKER = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """What happens under a seed."""

    seed: int
    recipe: str
    shape: str
    fault: type[Fault]
    moment: Moment | None
    """None for what happens between planning and running."""

    @classmethod
    def of(cls, seed: int) -> Trial:
        """Return the trial of a seed."""
        rng = np.random.default_rng(seed)
        fault = FAULTS[seed % len(FAULTS)]
        names = [name for name, recipe in RECIPES.items() if fault.applies(recipe) and _phases(fault, recipe)]
        name = names[int(rng.integers(len(names)))]
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        return cls(seed, name, shape, fault, _moment(fault, RECIPES[name], rng))

    def rng(self) -> np.random.Generator:
        """Return what decides about the fault itself."""
        return np.random.default_rng((self.seed, 1))

    def __str__(self) -> str:
        when = "between planning and running" if self.moment is None else f"at {self.moment}"
        return f"seed {self.seed}: {self.recipe}, {self.shape} keys; {self.fault.name} {when}"


def spread_seeds(n: int) -> list[int]:
    """Return the first seeds of which no two have both fault and recipe in common."""
    seen: set[tuple[str, str]] = set()

    def is_new(seed: int) -> bool:
        trial = Trial.of(seed)
        before = len(seen)
        seen.add((trial.fault.name, trial.recipe))
        return len(seen) > before

    return [*itertools.islice(filter(is_new, itertools.count()), n)]


def _phases(fault: type[Fault], recipe: Recipe) -> list[str]:
    own = [
        *(["statistics"] if recipe.counts else []),
        *recipe.phases,
        *(["write", "commit"] if recipe.written else []),
    ]
    return [phase for phase in own if phase in fault.phases]


def _moment(fault: type[Fault], recipe: Recipe, rng: np.random.Generator) -> Moment | None:
    if not fault.moments:
        return None
    phases = _phases(fault, recipe)
    phase = phases[int(rng.integers(len(phases)))]
    kinds = [kind for kind in _KINDS[phase] if kind in fault.moments]
    if not recipe.staged:
        kinds = [kind for kind in kinds if kind not in ("opens", "renames") or phase in ("write", "commit")]
    kind = kinds[int(rng.integers(len(kinds)))]
    largest = _LARGEST[phase] if kind in ("given", "ends") else min(_LARGEST[phase], _LARGEST_IN_A_WORKER)
    return Moment(phase=phase, kind=kind, number=int(rng.integers(1, largest + 1)))

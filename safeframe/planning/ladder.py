"""The one place where the ways to run a recipe are weighed against each other.

A recipe lists its strategies as rungs, in the order in which they are preferred.
A rung makes an offer, which is a plan's steps and all that its run needs, or
says why it cannot run. Of the offers that fit, the cheapest is taken, and of
those that cost about the same the first. Where a recipe does not say what its
offers cost, their order does: the first that fits is taken, and rungs after it
are not evaluated. Where none fits, the one that needs least is taken, and its
plan says that it does not fit.

Covers: choosing, the reason why each other strategy was not chosen, and the
errors for a strategy that does not exist or cannot run.
Does not cover: what a strategy moves (the modules of each recipe), and how that
is weighed (``planning.costs``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from safeframe.choices import check_choice
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.plan import Candidate
from safeframe.facts.step import Cost
from safeframe.planning.costs import is_tie
from safeframe.units import format_nbytes

OfferT = TypeVar("OfferT")
_NAME_A_PLACE = "Name a directory in staging= that all workers can reach"

Rung = Callable[[], OfferT | str]
"""Returns what a strategy would do, or why it cannot run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision(Generic[OfferT]):
    """The strategy that was chosen."""

    strategy: str
    offer: OfferT
    rejected: tuple[Candidate, ...]
    """The other rungs and why each was not chosen, in the order of preference."""


def check_strategy(strategy: str | None, names: Iterable[str], *, recipe: str) -> None:
    """Raise when a strategy is none of those that a recipe has.

    Parameters
    ----------
    strategy
        What the user gave; None where the plan chooses.
    names
        The strategies that there are.
    recipe
        The recipe's name, for the message.

    Raises
    ------
    ValidationError
        With the nearest name, and all of them.
    """
    if strategy is not None:
        check_choice(strategy, names, argument="strategy", what=f"a strategy of {recipe}")


def climb(
    rungs: Mapping[str, Rung[OfferT]],
    *,
    recipe: str,
    requested: str | None = None,
    forms: Mapping[str, str] | None = None,
    unfit: Callable[[OfferT], str] | None = None,
    needs: Callable[[OfferT], int] | None = None,
    cost: Callable[[OfferT], Cost] | None = None,
) -> Decision[OfferT]:
    """Choose among the strategies of a recipe.

    Parameters
    ----------
    rungs
        What makes the offer of each strategy, by name, in the order of preference.
    recipe
        The recipe's name, for messages.
    requested
        The strategy that the user named; None to choose.
    forms
        Rungs that are a form of another strategy, and of which: users request and see that strategy.
        They come first, and where one can run and fits, no other rung is evaluated.
    unfit
        Returns why an offer does not fit, empty where it does; None where any offer that can run is taken.
    needs
        Returns how much an offer needs, in bytes; compared where none fits. None to take the first then.
    cost
        Returns what an offer moves; None where the order of the rungs says which is cheapest.

    Raises
    ------
    ValidationError
        When the requested strategy does not exist or cannot run, or when no strategy can run.
    """
    forms = {} if forms is None else forms
    check_strategy(requested, [name for name in rungs if name not in forms], recipe=recipe)
    why_not: dict[str, str] = {}
    offers: dict[str, OfferT] = {}
    first: str | None = None
    for name, rung in rungs.items():
        if requested not in (None, forms.get(name, name)):
            why_not[name] = f"strategy={requested!r} was requested"
        elif first is not None and (cost is None or first in forms):
            why_not[name] = f"{first} comes first and {'can run' if unfit is None else 'fits'}"
        else:
            offer = rung()
            if isinstance(offer, str):
                why_not[name] = offer
                continue
            offers[name] = offer
            why_not[name] = "" if unfit is None else unfit(offer)
            if first is None and not why_not[name]:
                first = name
    taken = first
    costs = {} if cost is None else {name: cost(offer) for name, offer in offers.items()}
    if taken is not None and costs:
        taken = _cheapest({name: costs[name] for name in offers if not why_not[name]}, why_not)
    if taken is None and offers:
        # Nothing fits: the plan says so, and is that of the way that is nearest to fitting.
        taken = next(iter(offers)) if needs is None else min(offers, key=lambda name: needs(offers[name]))
    if taken is None:
        raise _nothing_runs(recipe, requested, why_not)
    strategy = forms.get(taken, taken)
    rejected = (
        Candidate(strategy=name, reason=why_not[name], cost=costs.get(name))
        for name in rungs
        if name not in (taken, strategy)
    )
    return Decision(strategy=strategy, offer=offers[taken], rejected=tuple(rejected))


def _cheapest(costs: Mapping[str, Cost], why_not: dict[str, str]) -> str:
    """Return the first of the strategies that cost least, or about that, and say of the others why not."""
    least = min(cost.seconds for cost in costs.values())
    taken = next(name for name, cost in costs.items() if is_tie(cost.seconds, least))
    for name, cost in costs.items():
        if is_tie(cost.seconds, least):
            why_not[name] = f"{taken} comes first and costs about the same"
        else:
            why_not[name] = (
                f"{taken} is cheaper: cost {costs[taken].seconds:.3g} s against {cost.seconds:.3g} s"
            )
    return taken


def task_fits(peak_nbytes: int, budget: Budget) -> str:
    """Return why a task does not fit a worker; empty where it does."""
    room = budget.task_nbytes
    if peak_nbytes <= room:
        return ""
    if room < 0:
        return "workers use all that a plan may use, and more, before any data"
    return f"a task would need {format_nbytes(peak_nbytes)}, and it may use {format_nbytes(room)}"


def cannot_run(strategy: str, why: str, *, recipe: str) -> ValidationError:
    """Make the error of a requested strategy that cannot run."""
    return ValidationError(
        f"strategy={strategy!r} cannot run this {recipe}: {why}.",
        hint=f"{_NAME_A_PLACE}, or leave strategy= out."
        if strategy == "staged"
        else "Leave strategy= out to let the plan choose.",
    )


def _nothing_runs(recipe: str, requested: str | None, why_not: Mapping[str, str]) -> ValidationError:
    if requested is None:
        listed = "; ".join(f"{name}: {why}" for name, why in why_not.items())
        return ValidationError(f"No strategy can run this {recipe}. {listed}.", hint=f"{_NAME_A_PLACE}.")
    return cannot_run(requested, why_not[requested], recipe=recipe)

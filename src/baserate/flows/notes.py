"""Notes: what a person should know of a run and what stops nothing, from warnings of the rooms."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from baserate.release.figures import share
from baserate.stats.designs.base import DeliveredProbabilityWarning

#: Who looks at what a stage draws, and the key of the programme that says how many.
_DRAWS = {"sample": ("the judge", "judge_budget"), "review": ("people", "human_budget")}


class DrawNote(NamedTuple):
    """A draw whose probabilities are not quite the stated ones.

    Attributes:
        stage: ``sample`` or ``review``.
        period: The day.
        error: Largest relative difference.
        n: Units drawn.
        n_units: Units drawn from.
    """

    stage: str
    period: str
    error: float
    n: int
    n_units: int


@contextmanager
def noted(stage: str, period: str) -> Iterator[list[DrawNote]]:
    """Collect what a stage's draw warns of, the worst of it; other warnings go their way."""
    found: list[DrawNote] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeliveredProbabilityWarning)
        yield found
    for warning in caught:
        told = warning.message
        if isinstance(told, DeliveredProbabilityWarning):
            found.append(DrawNote(stage, period, told.error, told.n, told.n_units))
        else:
            warnings.warn_explicit(told, warning.category, warning.filename, warning.lineno)
    found[:] = sorted(found, key=lambda note: note.error)[-1:]


def sentences(notes: Iterable[DrawNote]) -> list[str]:
    """One sentence per stage, whatever the number of days."""
    by_stage: dict[str, list[DrawNote]] = {}
    for note in notes:
        by_stage.setdefault(note.stage, []).append(note)
    return [_sentence(stage, of_stage) for stage, of_stage in by_stage.items()]


def _sentence(stage: str, notes: Sequence[DrawNote]) -> str:
    who, key = _DRAWS[stage]
    worst = max(notes, key=lambda note: note.error)
    days = f"on {len(notes):,} days, worst on {worst.period}" if len(notes) > 1 else worst.period
    return (
        f"the draw for {who} ({worst.n:,} of {worst.n_units:,}, {days}) has probabilities up to "
        f"{share(worst.error)} off the stated ones, so weights are off by as much: raise "
        f"sampling.{key}, or set sampling.design: poisson, which has exactly the stated ones"
    )

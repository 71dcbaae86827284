"""Designs by word, so that a configuration can name one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeAlias

from numpy.typing import ArrayLike

from baserate.stats.arrays import probabilities
from baserate.stats.designs.base import Design
from baserate.stats.designs.conditional import ConditionalPoisson, Sampford
from baserate.stats.designs.elimination import TilleElimination
from baserate.stats.designs.independent import Bernoulli, Poisson
from baserate.stats.designs.order import Pareto, SequentialPoisson, SimpleRandom
from baserate.stats.designs.systematic import Systematic
from baserate.stats.designs.with_replacement import from_expected_counts
from baserate.terms.errors import DesignError

DesignFactory: TypeAlias = Callable[..., Design]
ENTRY_POINT_GROUP = "baserate.designs"

_BUILT_IN: dict[str, DesignFactory] = {
    "simple_random": SimpleRandom,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
    "sequential_poisson": SequentialPoisson,
    "pareto": Pareto,
    "systematic": Systematic,
    "sampford": Sampford,
    "conditional_poisson": ConditionalPoisson,
    "tille_elimination": TilleElimination,
    "pps_with_replacement": from_expected_counts,
}


def design_names() -> tuple[str, ...]:
    """The words that `draw_design` knows, built in and from installed plug-ins, sorted."""
    plugged = (point.name for point in entry_points(group=ENTRY_POINT_GROUP))
    return tuple(sorted({*_BUILT_IN, *plugged}))


def draw_design(name: str, inclusion_prob: ArrayLike) -> Design:
    """The design of that name over units with the given inclusion probabilities.

    A plug-in is a callable ``(inclusion_prob) -> Design`` under the entry-point group
    ``baserate.designs``; its name is the word.

    Args:
        name: A word of `design_names`, e.g. "poisson", "sequential_poisson", "pareto".
        inclusion_prob: pi_i in (0, 1], shape (N,); for "pps_with_replacement" the expected
            counts n p_i.
    Raises: DesignError if the word is unknown, or as the design does.
    Example:
        >>> draw_design("sampford", [0.2, 0.8, 1.0]).fixed_size
        True
    """
    factory = _BUILT_IN.get(name)
    if factory is None:
        factory = _plugged_in(name)
    return factory(probabilities("inclusion_prob", inclusion_prob))


def _plugged_in(name: str) -> DesignFactory:
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded: DesignFactory = point.load()
        return loaded
    raise DesignError(
        "no design has this name",
        code="unknown_design",
        expected="one of " + ", ".join(design_names()),
        got=repr(name),
    )

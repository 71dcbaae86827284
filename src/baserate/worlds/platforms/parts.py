"""Pins and responses inside interactions, and which of them violate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.worlds.platforms.people import daily_prevalence, stream
from baserate.worlds.platforms.spec import Components, PlatformSpec

PINS, HARM = 20, 21


class ComponentArrays(NamedTuple):
    """Components of N interactions, M Pins in all, in order of their interactions.

    Attributes:
        pin_of: The Pin's interaction, rising, shape (M,).
        pin_impressions: Impressions of the Pin, >= 1, shape (M,).
        pin_violating: Whether the Pin violates by itself, shape (M, P).
        response_violating: Whether the response violates by itself, shape (N, P).
        emergent: The whole violates though no component does, shape (N, P).
        resolved: A component violates but the whole does not, shape (N, P).
    """

    pin_of: IntArray
    pin_impressions: IntArray
    pin_violating: BoolArray
    response_violating: BoolArray
    emergent: BoolArray
    resolved: BoolArray


def draw_components(
    spec: PlatformSpec, dials: Components, exposure: Array, violating: BoolArray, day: IntArray
) -> ComponentArrays:
    """Components that agree with the verdicts on the whole.

    Every violating interaction is either emergent, or violates through its response, or through
    one Pin and, each with probability ``pin_correlation``, the others.
    """
    rng = stream(spec, PINS)
    count = 1 + rng.poisson(dials.pins - 1.0, spec.units)
    pin_of = np.repeat(np.arange(spec.units), count)
    part = rng.standard_exponential(pin_of.size)
    share = part / np.bincount(pin_of, weights=part)[pin_of]
    impressions = np.ceil(share * exposure[pin_of]).astype(np.int64)
    first = np.cumsum(count) - count
    emergent, resolved, response = (np.zeros_like(violating) for _ in range(3))
    pins = np.zeros((pin_of.size, spec.policies), dtype=np.bool_)
    rate = daily_prevalence(spec)[day]
    for p in range(spec.policies):
        draw = stream(spec, HARM, p)
        kind = draw.random(spec.units)
        yes = violating[:, p]
        emergent[:, p] = yes & (kind < dials.emergent_share)
        rest = (kind - dials.emergent_share) / max(1.0 - dials.emergent_share, 1e-300)
        response[:, p] = yes & ~emergent[:, p] & (rest < dials.response_share)
        odds = np.minimum(rate[:, p] / (1.0 - rate[:, p]) * dials.resolved_share, 1.0)
        resolved[:, p] = ~yes & (kind < odds)
        through = (yes & ~emergent[:, p] & ~response[:, p]) | resolved[:, p]
        chosen = first + (draw.random(spec.units) * count).astype(np.int64)
        also = draw.random(pin_of.size) < dials.pin_correlation
        pins[:, p] = through[pin_of] & (also | (chosen[pin_of] == np.arange(pin_of.size)))
    return ComponentArrays(pin_of, impressions, pins, response, emergent, resolved)

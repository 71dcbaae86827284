"""Reach: the share of users who met at least one violation; only samples of users can tell."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import finite
from baserate.stats.ladder import LadderEstimate, Phase, ladder_estimate
from baserate.terms.errors import DesignError

Drawn: TypeAlias = Literal["whole_users", "part_of_each_user", "interactions"]

_REFUSALS = {
    "part_of_each_user": "a user whose violating interaction was not among those drawn counts as "
    "untouched, so a two-stage sample puts reach too low, by an amount it cannot tell",
    "interactions": "a sample of interactions sees users in proportion to how much they use the "
    "product, and not whether their other interactions violated",
}


def reach_estimate(
    violating_interactions: ArrayLike,
    user_inclusion_prob: ArrayLike,
    users_total: float,
    *,
    drawn: Drawn,
    fixed_size: bool = False,
    stratum: ArrayLike | None = None,
) -> LadderEstimate:
    r"""Share of users with at least one violating interaction in the period.

    $$ \hat R = \frac{1}{N_{users}} \sum_{u \in s} \frac{1\{k_u > 0\}}{\pi_u} $$

    Args:
        violating_interactions: k_u of each sampled user, counted over *all* of the user's
            interactions in the period, >= 0, shape (n,).
        user_inclusion_prob: pi_u of the user, in (0, 1], shape (n,).
        users_total: Users in the frame, > 0.
        drawn: How the labels came about. Only ``"whole_users"`` (one-stage clusters) can be
            used; the others are refused with the reason.
        fixed_size: As in :class:`baserate.stats.phases.Phase`.
        stratum: The users' strata, shape (n,).
    Assumes: every interaction of a sampled user was labelled.
    Bias: none. Reach of days does not add to reach of a week: draw users for the week.
    Raises: DesignError for the other ways of drawing, or counts below 0.
    References: Särndal, Swensson & Wretman (1992), sec. 4.2 (one-stage clusters).

    Example:
        >>> float(reach_estimate([2, 0], [0.1, 0.1], 100, drawn="whole_users").rate[0])
        0.1
    """
    if drawn != "whole_users":
        raise DesignError(
            "reach cannot be estimated from this sample",
            code="reach_needs_users",
            expected="users drawn whole, every interaction of theirs labelled",
            got=_REFUSALS.get(drawn, repr(drawn)),
            hint="draw a sample of users, or report interaction and exposure rates instead",
        )
    count = finite("violating_interactions", violating_interactions)
    if count.size and count.min() < 0.0:
        raise DesignError("a count of interactions is negative", code="negative_count")
    touched = (count > 0.0).astype(np.float64)
    phase = Phase(user_inclusion_prob, fixed_size=fixed_size, stratum=stratum)
    return ladder_estimate([touched], [phase], denominator_total=users_total)

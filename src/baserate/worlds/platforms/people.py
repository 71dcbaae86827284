"""Users and sessions of a platform, and the verdicts that they share a taste for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.worlds.platforms.spec import PlatformSpec

DAY, USERS, LATENT = 1, 2, 3


class Groups(NamedTuple):
    """Who each interaction belongs to, in order of time.

    Attributes:
        day: Day from 0, rising, shape (N,).
        user: User's number, shape (N,).
        session: Session's number, rising, shape (N,).
    """

    day: IntArray
    user: IntArray
    session: IntArray


def stream(spec: PlatformSpec, *part: int) -> np.random.Generator:
    """The random numbers of one part of one platform."""
    return np.random.default_rng([spec.seed, *part])


def draw_groups(spec: PlatformSpec) -> Groups:
    """Day, user and session of every interaction; a session never spans two days."""
    row = np.arange(spec.units)
    day = row * spec.days // spec.units
    if spec.clusters is None:
        return Groups(day, row, row)
    rng = stream(spec, USERS)
    new = rng.random(spec.units) < 1.0 / spec.clusters.session_length
    new |= np.diff(day, prepend=-1) > 0
    session = np.cumsum(new) - 1
    ends = np.cumsum(rng.lognormal(0.0, spec.clusters.activity_sd, spec.clusters.users))
    owner = np.searchsorted(ends, rng.random(int(session[-1]) + 1) * ends[-1], side="right")
    return Groups(day, np.minimum(owner, spec.clusters.users - 1)[session], session)


def daily_prevalence(spec: PlatformSpec) -> Array:
    """P(violating) of an interaction, shape (days, P)."""
    prob = np.tile(np.asarray(spec.prevalence, dtype=np.float64), (spec.days, 1))
    if spec.drift is not None:
        changed = list(spec.drift.policies) or list(range(spec.policies))
        prob[np.ix_(range(spec.drift.from_day, spec.days), changed)] *= spec.drift.factor
    return prob


def draw_verdicts(spec: PlatformSpec, groups: Groups) -> BoolArray:
    r"""Whether each interaction violates each policy, shape (N, P).

    $$ y_{ip} = 1\{z_{ip} > \Phi^{-1}(1 - P_p)\}, \qquad
       z = \sqrt{\rho}\,g_i + \sqrt{\rho_u}\,a_{u(i)p} + \sqrt{\rho_s}\,b_{s(i)p} + \dots $$

    with standard normal parts, so that every marginal is exactly the prevalence.
    """
    shared, by_user, by_session = spec.latent_shares
    own = np.sqrt(1.0 - shared - by_user - by_session)
    limit = -ndtri(daily_prevalence(spec))
    out = np.empty((spec.units, spec.policies), dtype=np.bool_)
    common = stream(spec, LATENT).standard_normal(spec.units) if shared else None
    for p in range(spec.policies):
        latent = own * stream(spec, LATENT, 1, p).standard_normal(spec.units)
        if common is not None:
            latent += np.sqrt(shared) * common
        for share, group, part in ((by_user, groups.user, 2), (by_session, groups.session, 3)):
            if share:
                effect = stream(spec, LATENT, part, p).standard_normal(int(group.max()) + 1)
                latent += np.sqrt(share) * effect[group]
        out[:, p] = latent > (limit[0, p] if spec.days == 1 else limit[groups.day, p])
    return out

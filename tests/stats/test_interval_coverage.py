"""Under steered weights the anticipated gamma holds its level where the logit does not.

Poisson draws from made-up platforms with heavy-tailed exposure, 10 % of the draw on exposure.
Only positives matter to a Horvitz-Thompson estimate, so a draw is a draw of positives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import special, stats

from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import (
    anticipated_variance_of_total,
    contaminated_model,
    proportion_interval,
)
from baserate.stats.sizes import defensive_mixture

UNITS, WORLDS, DRAWS, CONTROL = 100_000, 10, 72, 0.1
pytestmark = pytest.mark.slow


class Coverage(NamedTuple):
    covered: float
    relative_width: float


def density_ratio(score: np.ndarray) -> np.ndarray:
    return np.asarray(stats.beta.pdf(score, 3, 3) / stats.beta.pdf(score, 0.6, 12))


def measure(quality: str, prevalence: float, n: int) -> dict[str, Coverage]:
    """Coverage and median width relative to the logit's, over worlds and draws."""
    hits: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for seed in range(WORLDS):
        rng = np.random.default_rng([seed, n])
        v, y = rng.lognormal(1.0, 1.5, UNITS), rng.uniform(size=UNITS) < prevalence
        seen = y & (rng.uniform(size=UNITS) > 0.25) if quality == "blind" else y
        score = np.where(seen, rng.beta(3, 3, UNITS), rng.beta(0.6, 12, UNITS))
        score = rng.permutation(score) if quality == "scrambled" else score
        odds = prevalence / (1 - prevalence) * density_ratio(np.maximum(score, 1e-12))
        mu = odds / (1 + odds)
        if quality == "miscalibrated":
            mu = special.expit(1.5 * special.logit(np.clip(mu, 1e-15, 1 - 1e-15)) + 1.0)
        pi = inclusion_probs(defensive_mixture(v * np.sqrt(mu), (v,), (CONTROL,)), n)
        t_x, robust = float(v.sum()), contaminated_model(mu, v)
        frame = {
            "anticipated_variance": anticipated_variance_of_total(v**2 * robust, pi) / t_x**2,
            "anticipated_value": float(v @ robust) / t_x,
            "largest_contribution": float((v / pi)[pi < 1].max()) / t_x,
            "invisible_share": 0.25,
        }
        positives, truth = np.flatnonzero(y), float(v[y].sum()) / t_x
        for _ in range(DRAWS):
            s = positives[rng.uniform(size=positives.size) < pi[positives]]
            value = float((v[s] / pi[s]).sum()) / t_x
            error = float(np.sqrt(((1 - pi[s]) * (v[s] / pi[s]) ** 2).sum())) / t_x
            base = 0.0
            for method in ("logit", "anticipated_gamma", "guarded_gamma"):
                ends = proportion_interval(
                    value, error, n=n, n_positive=s.size, method=method, **frame
                )
                base = base or ends.width
                hits.setdefault(method, []).append(ends.covers(truth))
                widths.setdefault(method, []).append(ends.width / base)
    return {
        method: Coverage(float(np.mean(hits[method])), float(np.median(widths[method])))
        for method in hits
    }


NOISE = 3 * np.sqrt(0.95 * 0.05 / (WORLDS * DRAWS))


@pytest.mark.parametrize("quality", ["good", "miscalibrated"])
@pytest.mark.parametrize(("prevalence", "n"), [(5e-3, 3000), (1e-2, 500)])
def test_anticipated_gamma_holds_with_a_good_or_a_miscalibrated_score(
    quality: str, prevalence: float, n: int
) -> None:
    found = measure(quality, prevalence, n)
    assert found["anticipated_gamma"].covered > 0.95 - NOISE
    assert found["anticipated_gamma"].relative_width < 1.5
    assert found["logit"].covered < 0.95 - NOISE  # the test can fail: the logit does


@pytest.mark.parametrize("quality", ["blind", "scrambled"])
def test_the_guard_holds_where_the_score_is_blind_or_scrambled(quality: str) -> None:
    found = measure(quality, 1e-2, 500)
    assert found["guarded_gamma"].covered > 0.95 - NOISE
    assert found["anticipated_gamma"].covered < 0.95 - NOISE  # and without the guard it does not

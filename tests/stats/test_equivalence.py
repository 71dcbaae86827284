"""Two one-sided tests: shares that differ by the margin pass with probability alpha at most."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multinomial

from baserate.stats.paired import (
    equivalence_items_needed,
    paired_difference,
    paired_equivalence,
)
from baserate.terms.errors import DesignError

ALPHA = 0.05


def passing(n: int, margin: float, alpha: float = ALPHA) -> np.ndarray:
    """Every (gained, lost) of n items that passes."""
    found = []
    for gained in range(n // 3):
        for lost in range(n // 3):
            if abs(gained - lost) < margin * n:
                before, after = np.ones(n, bool), np.ones(n, bool)
                before[:gained], after[gained : gained + lost] = False, False
                if paired_equivalence(before, after, alpha=alpha).within(margin):
                    found.append((gained, lost))
    return np.array(found).reshape(-1, 2)


def share_that_passes(cells: np.ndarray, n: int, gained: float, lost: float) -> float:
    counts = np.column_stack([cells, n - cells.sum(axis=1)])
    return float(multinomial.pmf(counts, n, [gained, lost, 1 - gained - lost]).sum())


@pytest.mark.parametrize(("n", "margin"), [(29, 0.10), (60, 0.05), (60, 0.10)])
def test_shares_that_differ_by_the_margin_pass_with_probability_alpha_at_most_exactly(n, margin):
    cells = passing(n, margin)
    both = (0.0, 0.002, 0.01, 0.03, 0.06, 0.1)
    for changed in both:
        assert share_that_passes(cells, n, changed, changed + margin) <= ALPHA
        assert share_that_passes(cells, n, changed + margin, changed) <= ALPHA
    assert share_that_passes(cells, n, 0.0, 0.0) == pytest.approx(1.0)
    spoiled = passing(n, margin, alpha=0.25)
    assert max(share_that_passes(spoiled, n, c, c + margin) for c in both) > 2 * ALPHA


def test_the_level_holds_for_unequal_weights_and_groups_where_a_bare_interval_would_not():
    rng, n, margin, draws = np.random.default_rng(7), 400, 0.05, 600
    ours = bare = 0
    for _ in range(draws):
        weight, group = np.exp(rng.normal(0.0, 1.0, n)), np.repeat(np.arange(n), 2)[:n]
        weight, u = weight[group], rng.random(n)[group]
        before, after = u >= 0.01, u <= 1 - 0.01 - margin
        design = {"design_weight": weight, "cluster": group}
        ours += paired_equivalence(before, after, alpha=ALPHA, **design).within(margin)
        bare += paired_difference(before, after, design_weight=weight, level=0.9).within(margin)
    error = 2 * np.sqrt(ALPHA * (1 - ALPHA) / draws)
    assert ours / draws <= ALPHA + error
    assert bare / draws > ALPHA + error


def test_the_fewest_items_are_those_at_which_no_change_at_all_is_enough():
    for margin in (0.01, 0.05, 0.1, 0.5):
        n = equivalence_items_needed(margin)
        for k, enough in ((n, True), (n - 1, False)):
            right = np.ones(k, bool)
            assert paired_equivalence(right, right).within(margin) == enough


def test_a_level_that_is_none_is_refused():
    with pytest.raises(DesignError):
        paired_equivalence([True], [True], alpha=0.5)
    with pytest.raises(DesignError):
        equivalence_items_needed(0.0)

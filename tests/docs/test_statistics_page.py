"""Numbers and bounds that the page on statistics states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from baserate.sampling.phase1 import draw_phase1
from baserate.stats.intervals.interval import zero_count_limit
from baserate.terms.programme import Sampling
from baserate.terms.sample_tables import MAX_WEIGHT
from tests.sampling.test_draws import DAY, frame, prior, programme

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md"


def test_the_limit_at_zero_positives_is_that_of_the_defaults() -> None:
    told = re.search(
        r"The defaults, ([\d.]+) · ([\d.]+) · (\d+), give ([\d.]+) % over\s+(\d+) days",
        PAGE.read_text(encoding="utf-8"),
    )
    assert told is not None
    control, floor, human, percent, days = map(float, told.groups())
    defaults = Sampling()
    assert (control, floor, human) == (
        defaults.control_share,
        defaults.human_floor,
        defaults.human_budget,
    )
    limit = zero_count_limit(0.95, "two-sided") / (control * floor * human * days)
    assert f"{limit:.1%}" == f"{percent}%"


@pytest.mark.parametrize("estimand", ["interaction_rate", "exposure_rate"])
@pytest.mark.parametrize("judge_budget", [100, 800])
def test_no_weight_of_the_first_phase_exceeds_the_share_that_the_page_names(
    estimand: str, judge_budget: int
) -> None:
    chosen, units = programme(judge_budget=judge_budget), frame(4_000)
    rows = draw_phase1(units, prior(chosen), chosen, DAY).frame_totals.to_pylist()
    largest = max(r["value"] for r in rows if r["measure"] == f"{MAX_WEIGHT}{estimand}")
    if estimand == "exposure_rate":
        share, alone = chosen.sampling.exposure_share, units.exposure.max() / units.exposure.sum()
        total = units.exposure.sum()
    else:
        share, alone, total = chosen.sampling.control_share, 0.0, len(units)
    assert largest / total <= 1.001 * max(1 / (share * judge_budget), alone)

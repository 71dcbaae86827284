"""The map as text: one line per cell and estimator, then what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from baserate.worlds.coverage.findings import Claim, claims, spoiled_twin
from baserate.worlds.coverage.measure import Row
from baserate.worlds.coverage.methods import DEFAULT, GUARDED, ON_TRIAL, SPOILED

_SHORT_NAMES = {
    "wald": "wald",
    "logit": "logit",
    "wilson": "wilson",
    "clopper_pearson": "c-p",
    "anticipated_variance_logit": "a-logit",
    "guarded_logit": "g-logit",
    "anticipated_gamma": "a-gamma",
    "guarded_gamma": "g-gamma",
    SPOILED: "spoiled",
}
_MARK = {"holds": " ", "unclear": "?", "short": "*"}
_NAMES = (*ON_TRIAL, SPOILED)


def lines(rows: list[Row]) -> Iterator[str]:
    """The printed map. Coverage in percent; * short of the level, ? short within error."""
    head = "".join(f"{_SHORT_NAMES[name]:>9}" for name in _NAMES)
    yield f"{'scores':<14}{'rate':>7} {'design':<14}{'n':>6} {'estimator':<11}{'SE':>7}{head} width"
    for _, group in groupby(rows, key=_cell_and_estimator):
        yield _line({row["interval"]: row for row in group})
    yield "coverage in %; * below 94 by more than two Monte-Carlo errors, ? below 94 within them;"
    yield "SE relative; width: median multiple of logit's, a-gamma then g-gamma"
    for claim in (*claims(rows), spoiled_twin(rows)):
        yield from told(claim)


def told(claim: Claim, most: int = 8) -> Iterator[str]:
    """One promise, and the cells that break it, the worst first."""
    state = "BROKEN" if claim.broken else "kept" if claim.cells else "not measured"
    unclear = f", {len(claim.unclear)} within error" if claim.unclear else ""
    yield f"{state}: {claim.sentence} ({len(claim.broken)} of {claim.cells} cells short{unclear})"
    for row in sorted(claim.broken, key=lambda row: float(row["coverage"]))[:most]:
        yield (
            f"    {row['quality']}, {row['prevalence']:g}, {row['design']}, n {row['n']}, "
            f"{row['estimator']}: {100 * row['coverage']:.1f} % "
            f"(error {100 * row['mc_error']:.1f}), width {row['width_vs_logit']:.2f} x logit"
        )


def _cell_and_estimator(row: Row) -> tuple[str, str]:
    return row["key"], row["estimator"]


def _line(made: dict[str, Row]) -> str:
    any_ = made["logit"]
    cells = "".join(
        f"{100 * made[name]['coverage']:>8.1f}{_MARK[made[name]['verdict']]}" for name in _NAMES
    )
    widths = [made[name]["typical_width"] for name in (DEFAULT, GUARDED)]
    return (
        f"{any_['quality']:<14}{any_['prevalence']:>7g} {any_['design']:<14}{any_['n']:>6} "
        f"{any_['estimator']:<11}{100 * any_['relative_se']:>6.1f}%{cells}"
        f" {widths[0]:.2f} {widths[1]:.2f}"
    )


def printed(rows: Iterable[Row]) -> str:
    """The printed map as one text."""
    return "\n".join(lines(list(rows)))

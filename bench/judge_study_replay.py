"""The judge study on the replay platform: what people's reviews buy with its local judge.

Run: python bench/judge_study_replay.py WORKSPACE [--draws D] [--policies P] [--days N]
WORKSPACE is what `baserate demo` made. Without one: a demo of 3 days in a temporary folder.

Phase 1 is as it was drawn. People's verdicts are known for every judged interaction (the
platform's reviews are a lookup), so phase 2 is drawn again and again, with the budget of the
programme, and each estimator is compared with what it would say if people had reviewed all of
phase 1. Figures are in percent of that rate: bias (Monte Carlo error) and standard error of
phase 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baserate.cli.running import open_stages
from baserate.flows.estimating import day_inputs
from baserate.flows.measure import day_evidence
from baserate.flows.stages import Stages
from baserate.labels import collect_reviews, consensus, render_unit
from baserate.labels.outcomes import outcomes
from baserate.sampling.phase2 import review_size
from baserate.stats.arrays import Array
from baserate.stats.designs import draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.ladder import Phase, ladder_estimate
from baserate.stats.misclassification import weighted_share
from baserate.terms.sampled_units import DayTables, sampled_units


class Day(NamedTuple):
    """Phase 1 of one day with everybody's verdict; n units, P policies."""

    frame: float
    pi1: Array
    stratum: np.ndarray
    verdict: Array
    truth: Array
    model: Array
    model_total: Array
    calibrated: Array
    by_risk: Array
    reviews: int


def read_day(stages: Stages, ds: date) -> Day:
    """One day, through the product's own functions; estimand: the programme's first."""
    programme, tables = stages.programme, stages.day_tables(ds)
    ids = tables.samples["interaction_id"].to_pylist()
    rows = stages.sampled_interactions(ds, ids, ["ds", "turns", "content_digest"]).to_pylist()
    if programme.reviews is None:
        raise SystemExit("the programme has no reviews")
    taken = collect_reviews(
        programme.reviews,
        stages.workspace.root,
        ds=ds,
        selected_ids=ids,
        subjects={u.interaction_id: u.keys for u in map(render_unit, rows)},
        policies=programme.policies,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    known = outcomes(
        consensus(taken.labels).labels,
        stages.store.read("shown", ds),
        sorted(ids),
        ds=ds,
        phase=2,
        policies=programme.policy_ids(),
        estimands=programme.estimands,
    )
    names = [str(e) for e in programme.estimands]
    complete = sampled_units(
        [DayTables(str(ds), tables.samples, tables.outcomes, None, known)],
        programme.policy_ids(),
        names,
    )
    evidence = day_evidence(stages, ds)
    inputs = day_inputs(evidence, complete, programme)
    totals = evidence.frame_totals.to_pylist()

    def total(measure: str) -> float:
        whole = (r for r in totals if r["measure"] == measure and r["domain_kind"] == "all")
        return float(sum(r["value"] for r in whole))

    reviews = int(stages.units([ds]).reviewed.sum())
    size = review_size(complete, stages.calibrations("judge", ds), programme)
    return Day(
        total("n_units"),
        complete.inclusion_prob,
        complete.stratum,
        np.nan_to_num(complete.judged[:, 0]),
        complete.human[:, 0],
        inputs.model[:, 0],
        np.array([total(f"model:{p}:{names[0]}") for p in programme.policy_ids()]),
        inputs.judge[:, 0],
        inclusion_probs(size, reviews),
        reviews,
    )


def ladder(day: Day, value: Array | None, pi2: Array, gold: np.ndarray) -> Array:
    """Totals of every policy; value None: gold only."""
    first = Phase(day.pi1, np.ones(day.pi1.size, dtype=np.bool_), True, day.stratum)
    phases = [first, Phase(pi2, gold, True)]
    if value is None:
        rungs = [np.zeros_like(day.truth.T), day.truth.T]
        found = ladder_estimate(rungs, phases, denominator_total=day.frame, coefficients=(0.0, 0.0))
    else:
        found = ladder_estimate(
            [value.T, day.truth.T],
            phases,
            denominator_total=day.frame,
            frame_model=day.model.T,
            frame_model_total=day.model_total,
        )
    return found.total


def whole(day: Day, modelled: bool) -> Array:
    """Totals if people had reviewed all of phase 1."""
    everyone = np.ones(day.pi1.size, dtype=np.bool_)
    value = day.calibrated if modelled else None
    return ladder(day, value, np.ones(day.pi1.size), everyone)


def corrected(days: list[Day], golds: list[np.ndarray], weighted: bool) -> Array:
    """Rogan-Gladen of every policy, cut to [0, 1]; NaN where its gold cannot say."""
    found = []
    for p in range(days[0].truth.shape[0]):
        flag, truth, w = (
            np.concatenate(parts)
            for parts in zip(
                *[
                    (d.verdict[p, g], d.truth[p, g], 1.0 / d.pi1[g])
                    for d, g in zip(days, golds, strict=True)
                ],
                strict=True,
            )
        )
        w, harm = w if weighted else np.ones(w.size), truth == 1.0
        frame = sum(d.frame for d in days)
        apparent = sum(float((d.verdict[p] / d.pi1).sum()) for d in days) / frame
        recall = weighted_share(flag[harm], w[harm]).value if harm.any() else 0.0
        alarm = weighted_share(flag[~harm], w[~harm]).value
        value = (apparent - alarm) / (recall - alarm) if recall > alarm else np.nan
        found.append(frame * float(np.clip(value, 0.0, 1.0)))
    return np.array(found)


def draw(days: list[Day], rng: np.random.Generator) -> dict[str, Array]:
    """Every estimator once: totals of all days, shape (P,)."""
    plans: dict[str, tuple[str, str | None]] = {
        "gold only, random": ("random", None),
        "gold only, by risk": ("risk", None),
        "ladder, raw verdict, random": ("random", "verdict"),
        "ladder, raw verdict, by risk": ("risk", "verdict"),
        "ladder, calibrated, random": ("random", "calibrated"),
        "ladder, calibrated, by risk": ("risk", "calibrated"),
    }
    totals = {name: np.zeros(days[0].truth.shape[0]) for name in plans}
    random_gold = []
    for day in days:
        u = rng.uniform(size=day.pi1.size)
        flat = np.full(u.size, day.reviews / u.size)
        drawn = {
            "random": (flat, draw_design("pareto", flat).select(u)),
            "risk": (day.by_risk, draw_design("pareto", day.by_risk).select(u)),
        }
        random_gold.append(drawn["random"][1])
        for name, (how, value) in plans.items():
            pi2, gold = drawn[how]
            totals[name] += ladder(day, getattr(day, value) if value else None, pi2, gold)
    return {
        "Rogan-Gladen, unweighted gold": corrected(days, random_gold, weighted=False),
        "Rogan-Gladen, weighted gold": corrected(days, random_gold, weighted=True),
        **totals,
    }


def show(days: list[Day], draws: int, names: list[str], policies: int) -> None:
    """The table."""
    rng = np.random.default_rng(17)
    target = np.sum([whole(d, True) for d in days], axis=0)
    plain = np.sum([whole(d, False) for d in days], axis=0)
    top = np.argsort(-target)[:policies]
    found: dict[str, list[Array]] = {}
    for _ in range(draws):
        for name, totals in draw(days, rng).items():
            found.setdefault(name, []).append(totals)
    reviewed, judged = sum(d.reviews for d in days), sum(d.pi1.size for d in days)
    print(f"{len(days)} days, {judged:,} judged, {reviewed:,} reviewed; {draws} draws of phase 2")
    print(f"{'':32}" + "".join(f"{names[p]:>26}" for p in top))
    alone = np.sum([(d.verdict / d.pi1).sum(axis=1) for d in days], axis=0)
    print(
        f"{'judge alone':32}" + "".join(f"{100 * (alone[p] / target[p] - 1):>+25.0f}%" for p in top)
    )
    for name, rows in found.items():
        values = np.array(rows)
        line = f"{name:32}"
        for p in top:
            base = plain[p] if name.startswith("gold") else target[p]
            error = values[:, p] / base - 1.0
            error = error[np.isfinite(error)]
            if error.size < draws / 2:
                line += f"{'no information':>26}"
                continue
            mc = 100 * error.std() / np.sqrt(error.size)
            line += f"{100 * error.mean():>+9.1f} ({mc:>4.1f}) SE {100 * error.std():>6.1f}"
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", nargs="?", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--policies", type=int, default=3)
    parser.add_argument("--days", type=int, default=None, help="only the first so many")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = given.workspace or Path(made) / "demo"
        if given.workspace is None:
            words = ["demo", str(root), "--days", "3", "--per-day", "5000"]
            subprocess.run([sys.executable, "-m", "baserate.cli", *words, "--json"], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        with open_stages(root, "duckdb", force=False) as stages:
            dates = stages.store.days("review_outcomes")[: given.days]
            days = [read_day(stages, ds) for ds in dates]
            names = [str(p) for p in stages.programme.policy_ids()]
        show(days, given.draws, names, given.policies)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""``baserate demo``: the main job on a replayed platform, beside its census."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.cli import screen
from baserate.cli.audit_tables import sum_of, warnings_of
from baserate.cli.running import cores, open_stages, run_with_progress
from baserate.flows.auditing import DayAudit, frame_audits
from baserate.flows.measure import day_stages, days_to_run
from baserate.flows.releasing import Release, release
from baserate.flows.stages import Stages
from baserate.release import figures
from baserate.terms.errors import EngineError
from baserate.terms.words import ALL

#: A folder is only emptied where this file says that a demo made it.
MARK = ".baserate-demo"


def run_demo(folder: Path, *, days: int, per_day: int, seed: int, json: bool) -> None:
    """Build the platform, run the main job over all its days, and print what was found."""
    from baserate.worlds.replay import build_replay, default_cache

    story = screen.story()
    began = monotonic()
    _make_room(folder)
    story.print(f"[bold]1[/] building {days} days of {per_day:,} interactions in {folder}/ ...")
    world = build_replay(
        folder, days=days, interactions_per_day=per_day, seed=seed, cache=default_cache()
    )
    (folder / MARK).write_text("made by `baserate demo`; removed by the next one\n")
    story.print(f"  texts: {world.material}. {world.note}".rstrip(), markup=False)
    built = monotonic()
    story.print("[bold]2[/] records, sample, judge, reviews: day by day ...")
    with open_stages(folder.resolve(), "duckdb", force=False) as stages:
        dates = days_to_run(stages.workspace, None, None, date.max)
        run_with_progress(stages, dates, day_stages(stages.programme), workers=cores())
        ran = monotonic()
        story.print("[bold]3[/] estimates, gates, release ...")
        done = release(stages, dates[0], dates[-1])
        compared = compare(done.estimates, pq.read_table(folder / "truth.parquet"))
        labels = label_budget(stages, dates)
        audits = frame_audits(stages, dates)
    seconds = {"build": built - began, "stages": ran - built, "release": monotonic() - ran}
    content = {**compared, "labels": labels, "seconds": seconds, "release": str(done.path)}
    if json:
        screen.show_json(content | {"frame_audit": [audit.as_dict() for audit in audits]})
    else:
        _show(content, audits, done, stages)


def _make_room(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise EngineError(
                "the demo makes its folder anew, and this one holds something else",
                code="folder_in_use",
                where=str(folder),
                hint="name an empty or a new folder: baserate demo FOLDER",
            )
        shutil.rmtree(folder)


def label_budget(stages: Stages, days: list[date]) -> dict[str, int]:
    """Interactions that exist, were judged and were reviewed, over some days."""
    counts = [stages.label_counts(d) for d in days]
    commits = [stages.store.current("interactions", d) for d in days]
    return {
        "interactions": sum(c.rows for c in commits if c is not None),
        "judged": sum(c.judged for c in counts),
        "reviewed": sum(c.reviewed for c in counts),
    }


def compare(estimates: pa.Table, truth: pa.Table) -> dict[str, Any]:
    """Headline rates of the whole period beside the census, and how many intervals cover it.

    Args:
        estimates: The estimates table of a period.
        truth: The census: ds (a day or the period), policy, estimand, domain, rate.
    Returns: ``rates``: one row per policy and estimand; ``coverage``: hits and intervals of
        the period, of single days and of pivots, where the census has the cell.
    """
    keys = ("ds", "policy", "estimand", "domain_kind", "domain_value")
    census = {tuple(r[k] for k in keys): r for r in truth.to_pylist()}
    rows = []
    hits: dict[str, list[int]] = {"period": [0, 0], "days": [0, 0], "pivots": [0, 0]}
    for row in estimates.filter(estimates["headline"]).to_pylist():
        start, end = str(row["period_start"]), str(row["period_end"])
        ds = start if start == end else f"{start}..{end}"
        true = census.get((ds, *(row[k] for k in keys[1:])))
        if true is None:
            continue
        covers = row["lower"] <= true["rate"] <= row["upper"]
        whole = row["domain_kind"] == ALL
        kind = "days" if start == end else "period" if whole else "pivots"
        if start != end or whole:
            hits[kind][0] += covers
            hits[kind][1] += 1
        if kind == "period":
            rows.append({**row, "truth": true["rate"], "covers": covers})
    return {
        "rates": rows,
        "coverage": {k: {"covered": h, "intervals": n} for k, (h, n) in hits.items()},
    }


def _show(content: dict[str, Any], audits: list[DayAudit], done: Release, stages: Stages) -> None:
    names = {p.id: p.name for p in stages.programme.policies}
    rows = [_row(r, names) for r in content["rates"]]
    screen.table(
        (
            "policy",
            "estimand",
            "truth",
            "estimate",
            "interval",
            "covers",
            "positives",
            "labels by SRS",
        ),
        rows,
        right=(2, 3, 4, 6, 7),
    )
    out = screen.result()
    labels = content["labels"]
    level = content["rates"][0]["level"] if content["rates"] else 0.95
    out.print()
    out.print(
        f"per 10,000; {figures.level_text(level)} intervals. labels by SRS: interactions that "
        "people would have to review\nin a simple random sample for the same standard error."
    )
    out.print()
    told = {"period": "whole period", "days": "single days", "pivots": "countries, surfaces"}
    for kind, words in told.items():
        hit, n = content["coverage"][kind].values()
        if n:
            out.print(
                f"intervals that cover the truth   {words:<22}{hit:>5} of {n:<5} {hit / n:.1%}"
            )
    out.print(
        f"label budget used                {labels['judged']:,} judged and {labels['reviewed']:,} "
        f"reviewed by people, of {labels['interactions']:,} interactions"
    )
    out.print(f"frame audit                      {sum_of(audits)}", soft_wrap=True)
    for text in warnings_of(audits, stages.programme.gates):
        out.print(f"                                 look: {text}", markup=False, soft_wrap=True)
    took = content["seconds"]
    out.print(
        f"time                             {took['build']:.0f} s building, {took['stages']:.0f} s "
        f"stages, {took['release']:.0f} s estimates and release"
    )
    out.print(f"release                          {done.path.name}")
    out.print(f"report                           {done.path / 'report.html'}", soft_wrap=True)
    out.print(f"check it                         baserate verify {done.path}", soft_wrap=True)


def _row(row: dict[str, Any], names: dict[str, str]) -> tuple[str, ...]:
    word = "rate" if row["status"] == "rate" else "upper_bound_only"
    text = figures.figure_text(word, row["value"], row["lower"], row["upper"], row["level"])  # type: ignore[arg-type]
    decimals = figures.decimals_for(row["lower"], row["upper"], row["value"])
    return (
        names[row["policy"]],
        row["estimand"].replace("_", " "),
        figures.rate(row["truth"], decimals),
        text.figure,
        text.interval or "-",
        "yes" if row["covers"] else "[yellow]no[/]",
        f"{row['n_positive']:,}",
        figures.about(row["n_effective"]) if row["status"] == "rate" else "–",
    )

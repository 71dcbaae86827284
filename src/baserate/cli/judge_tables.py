"""What the judge commands print: every figure beside its interval, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from baserate.cli import screen
from baserate.flows.candidates import calls_sentence
from baserate.flows.promoting import Promotion
from baserate.flows.quality import check_cut, gather, no_label_shares
from baserate.flows.review_gain import ReviewGain, review_gain
from baserate.flows.stages import Stages
from baserate.labels.quality import (
    JOINING,
    Bridge,
    ClauseRow,
    Comparison,
    CurvePoint,
    Difference,
    JudgeQuality,
    Measure,
    calibration_curve,
    clause_confusion,
    quality_by_slice,
)
from baserate.release import figures
from baserate.terms.words import SubjectKind

_SHARES = ("sensitivity", "specificity", "PPV")
_COEFFICIENTS = ("kappa", "AC1", "alpha")


@dataclass(frozen=True)
class Evaluation:
    """All that ``judge evaluate`` tells."""

    judge: str
    versions: dict[str, str]
    days: list[date]
    level: float
    left_out: int
    other_wording: dict[str, int]
    rows: list[JudgeQuality]
    curve: list[CurvePoint]
    clauses: list[ClauseRow]
    no_label: dict[str, dict[str, float]]
    gain: list[ReviewGain]
    calls: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        plain = {k: v for k, v in vars(self).items() if k not in ("rows", "curve", "clauses")}
        return {
            **plain,
            "gain": [g._asdict() for g in self.gain],
            "rows": [r.as_dict() for r in self.rows],
            "curve": [asdict(p) for p in self.curve],
            "clauses": [asdict(c) for c in self.clauses],
        }


def evaluation(
    stages: Stages, days: Sequence[date], *, candidate: str | None, by: str | None, min_n: int
) -> Evaluation:
    """Measure one judge on some days."""
    check_cut(stages, by)
    evidence = gather(stages, days, candidate)
    pairs, level = evidence.pairs(), stages.programme.estimation.level
    policies = list(dict.fromkeys(pairs.policy.tolist()))
    whole = str(SubjectKind.INTERACTION)
    own = candidate is None
    return Evaluation(
        judge=candidate or "the programme's judge",
        versions=evidence.judge.versions,
        days=list(days),
        level=level,
        left_out=evidence.judge.left_out,
        other_wording=evidence.other_wording(),
        rows=quality_by_slice(pairs, by=by, level=level, min_n=min_n),
        curve=[
            p
            for q in policies
            for p in calibration_curve(pairs, q, whole, level=level, min_n=min_n)
        ],
        clauses=[c for q in policies for c in clause_confusion(pairs, q, level=level, min_n=min_n)],
        no_label=no_label_shares(stages, days) if own else _no_label_of(pairs),
        gain=review_gain(stages, days) if own and by is None else [],
        calls=calls_sentence(stages, candidate),
    )


def _no_label_of(pairs: Any) -> dict[str, dict[str, float]]:
    whole = pairs.where(pairs.kind == str(SubjectKind.INTERACTION))
    told: dict[str, dict[str, float]] = {}
    for policy in np.unique(whole.policy).tolist():
        here = whole.where(whole.policy == policy)
        for reason in np.unique(here.reason[here.reason != ""]).tolist():
            mass = here.weight @ (here.reason == reason) / here.weight.sum()
            told.setdefault(policy, {})[reason] = float(mass)
    return told


def show_evaluation(found: Evaluation, *, curve: bool) -> None:
    """The tables of one judge; ``curve``: its calibration curve too."""
    out = screen.result()
    by = next((r.slice.by for r in found.rows), "all")
    kinds = len({r.slice.kind for r in found.rows}) > 1
    head = ["policy", *(["subject"] if kinds else []), *([by] if by != "all" else [])]
    names = [_slice(r, kinds, by) for r in found.rows]
    counts = [(f"{r.n:,}", f"{r.n_violating:,}") for r in found.rows]
    first = [
        (*name, *n, *(share(r[m]) for m in _SHARES), coefficient(r["informedness"]))
        for name, n, r in zip(names, counts, found.rows, strict=True)
    ]
    right = tuple(range(len(head), len(head) + 2))
    screen.table((*head, "n", "violating", *_SHARES, "informedness"), first, right=right)
    out.print()
    second = [
        (*name, *(coefficient(r[m]) for m in _COEFFICIENTS), share(r["agreement"]))
        for name, r in zip(names, found.rows, strict=True)
    ]
    screen.table((*head, *_COEFFICIENTS, "agreement"), second)
    out.print()
    if found.clauses:
        _show_clauses(found.clauses)
    if curve:
        _show_curve(found.curve)
    _show_gain(found.gain)
    out.print(
        f"{found.judge} against people's majority, {found.days[0]} to {found.days[-1]}; weighted "
        f"by the design,\nclustered by interaction; n counts interactions; "
        f"{figures.level_text(found.level)} intervals."
    )
    if found.calls:
        out.print(found.calls, markup=False)
    for policy, reasons in found.no_label.items():
        told = ", ".join(f"{r.replace('_', ' ')} {s:.2%}" for r, s in reasons.items())
        out.print(f"no label under {policy}: {told} of the traffic")
    notes: dict[str, list[str]] = {r.note: [] for r in found.rows if r.note}
    for row in found.rows:
        if row.note and row.slice.policy not in notes[row.note]:
            notes[row.note].append(row.slice.policy)
    for note, policies in notes.items():
        screen.tell_note(f"{', '.join(policies)}: {note}")
    if found.left_out:
        screen.tell_note(f"{found.left_out:,} labels of earlier judge versions are left aside")
    if found.other_wording:
        screen.tell_note(
            f"{', '.join(sorted(found.other_wording))}: what people judged by another version of "
            f"the policy than the judge is left aside ({max(found.other_wording.values()):,} "
            "interactions or fewer of each)"
        )


def _slice(row: JudgeQuality, kinds: bool, by: str) -> tuple[str, ...]:
    return (
        row.slice.policy,
        *([row.slice.kind] if kinds else []),
        *([row.slice.value] if by != "all" else []),
    )


def share(told: Measure) -> str:
    """A share as a percentage with its interval, or why there is none."""
    if told.value is None or told.low is None or told.high is None:
        return _because(told)
    return f"{_percent(told.value)} ({_percent(told.low)} to {_percent(told.high)})"


def _percent(value: float) -> str:
    near_an_end = value > 0.95 or value < 0.05
    return f"{100 * value:.1f}" if near_an_end and 0.0 < value < 1.0 else f"{100 * value:.0f}"


def coefficient(told: Measure, digits: int = 2) -> str:
    """A coefficient with its interval, or why there is none."""
    if told.value is None or told.low is None or told.high is None:
        return _because(told)
    value, low, high = (_plain(v, digits) for v in (told.value, told.low, told.high))
    return f"{value} ({low} to {high})"


def _plain(value: float, digits: int = 2, sign: str = "") -> str:
    """So many decimals, and no minus before a zero."""
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def _because(told: Measure) -> str:
    return f"too few ({told.n})" if told.because.startswith("too few") else "undefined"


def _show_clauses(rows: Sequence[ClauseRow]) -> None:
    drawn = [
        (
            r.policy,
            r.judge_verdict.replace("_", " "),
            r.clause,
            f"{r.n:,}",
            f"{100 * r.share_violating:.0f} %"
            + (
                f" ({100 * r.low:.0f} to {100 * r.high:.0f})"
                if r.low is not None and r.high is not None
                else ""
            ),
            ", ".join(f"{name} {n}" for name, n in r.people_clauses),
        )
        for r in rows
    ]
    columns = ("policy", "judge says", "citing", "subjects", "people: violating", "people cite")
    screen.table(columns, drawn, right=(3,))
    screen.result().print()


def _show_curve(points: Sequence[CurvePoint]) -> None:
    if not points:
        return
    drawn = [
        (
            p.policy,
            f"{p.from_confidence:g} to {p.to_confidence:g}",
            f"{p.n:,}",
            f"{100 * p.expected:.1f} %",
            f"{_percent(p.observed)} % ({_percent(p.low)} to {_percent(p.high)})"
            if p.observed is not None and p.low is not None and p.high is not None
            else f"too few ({p.n})",
        )
        for p in points
    ]
    columns = ("policy", "confidence", "interactions", "judge expects", "people find")
    screen.table(columns, drawn, right=(2, 3))
    screen.result().print()


def _show_gain(gains: Sequence[ReviewGain]) -> None:
    if not gains:
        return
    drawn = [
        (
            g.policy,
            f"{g.reviewed:,}",
            f"{g.expected:.2f}",
            "-" if g.measured is None else f"{g.measured:.2f}",
            f"{g.worth:,.0f}",
        )
        for g in gains
    ]
    columns = ("policy", "reviewed", "SE / random's, expected", "measured", "worth random reviews")
    screen.table(columns, drawn, right=(1, 2, 3, 4))
    screen.result().print()


def show_comparison(name: str, rows: Sequence[Comparison], bridged: Sequence[Bridge]) -> None:
    """Paired differences and bridges."""
    out = screen.result()
    drawn = [
        (
            r.slice.policy,
            f"{r.n_subjects:,}",
            f"{r.informedness.only_new} / {r.informedness.only_old}",
            _difference(r.sensitivity),
            _difference(r.specificity, 3),
            _difference(r.informedness),
        )
        for r in rows
    ]
    columns = (
        "policy", "n", "right: it / judge", "sensitivity", "specificity",
        "informedness",
    )  # fmt: skip
    screen.table(columns, drawn, right=(1, 2))
    out.print(
        f"\n{name} minus the programme's judge, on the same n interactions ('all': once per\n"
        "policy); right: those that only one of them had right.\n"
    )
    told = [
        (
            b.policy,
            f"{1e4 * b.old_rate:.1f}",
            f"{1e4 * b.new_rate:.1f}",
            "-"
            if b.ratio is None or b.low is None or b.high is None
            else f"{b.ratio:.2f} ({b.low:.2f} to {b.high:.2f})",
            b.joining.replace("_", " "),
        )
        for b in bridged
    ]
    screen.table(
        ("policy", "judge, per 10,000", f"{name}, per 10,000", "ratio", "join the series"),
        told,
        right=(1, 2),
    )
    out.print(
        "\nThe ratio joins series of judge-only rates. Headline rates need none: people's labels "
        "correct either judge."
    )
    for how in dict.fromkeys(b.joining for b in bridged):
        out.print(f"{how.replace('_', ' ')}: {JOINING[how]}")


def _difference(told: Difference, digits: int = 2) -> str:
    if told.value is None or told.low is None or told.high is None:
        return f"too few ({told.n})"
    value, low, high = (_plain(v, digits, "+") for v in (told.value, told.low, told.high))
    return f"{value} ({low} to {high})"


def show_promotion(name: str, found: Promotion) -> None:
    """The gates, and what to do next."""
    rows = [
        (
            "[green]passed[/]" if c.passed else "[bold red]held[/]",
            c.policy,
            c.gate.replace("_", " "),
            c.found,
        )
        for c in found.checks
    ]
    screen.table(("", "policy", "gate", "found"), rows)
    out = screen.result()
    out.print()
    if not found.passed:
        held = [c for c in found.checks if not c.passed]
        for hint in dict.fromkeys(c.hint for c in held if c.hint):
            out.print(f"- {hint}", markup=False)
        out.print(f"\n{name} is not promoted: {len(held)} gate(s) hold it.", markup=False)
        out.print(f"Record: {found.record}", soft_wrap=True)
        return
    out.print(f"{name} may take the judge's place. Record: {found.record}", soft_wrap=True)
    out.print(f"{found.line}: put the settings of candidates.{name} under judge", markup=False)

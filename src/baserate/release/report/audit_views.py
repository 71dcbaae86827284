"""The report's tables for those who check: effort, data quality, gates, versions."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from scipy import optimize, special

from baserate.release.figures import about, count, decimals_for, number, rate, share, things
from baserate.release.gates import GATE_NAMES
from baserate.release.report.data import Figure, ReportData
from baserate.release.report.words import (
    DECISIONS,
    ESTIMANDS,
    GATES,
    INTERVALS,
    METHODS,
    STATUSES,
    words,
)
from baserate.release.results import GateResult, Status
from baserate.stats.intervals.interval import normal_quantile, zero_count_limit


class Step(NamedTuple):
    """One step from all interactions to those that people saw."""

    number: str
    what: str
    how: str
    share: str
    width: float


class EffortRow(NamedTuple):
    """What one policy's figure cost, and what it would have cost otherwise."""

    name: str
    seen: str
    reviewed: str
    effective: str
    simple: str
    times: str


class MethodRow(NamedTuple):
    """One policy's figure by one method."""

    name: str
    first: bool
    span: int
    method: str
    released: bool
    figure: str
    interval: str
    std_error: str
    positives: str
    unlabelled: str
    nonresponse: str
    largest: str
    interval_method: str


class GateView(NamedTuple):
    """One gate over the whole period, and how it did elsewhere."""

    title: str
    promise: str
    status: Status
    told: str
    results: tuple[tuple[Status, str, str], ...]
    elsewhere: str


def steps(data: ReportData) -> list[Step]:
    """From the frame to people's desks."""
    sampling = data.programme.sampling
    days = (data.end - data.start).days + 1
    made = [
        ("in the frame", f"all traffic of {things(days, 'day')}", data.n_units),
        (
            "labelled by the judge",
            f"budget {count(sampling.judge_budget)} a day, risky ones likelier",
            data.n_sampled,
        ),
        (
            "reviewed by people",
            f"budget {count(sampling.human_budget)} a day, drawn from those",
            data.n_reviewed,
        ),
    ]
    return [
        Step(
            count(n),
            what,
            how,
            share(n / data.n_units) if data.n_units else "–",
            round(100 * n / data.n_units, 2) if data.n_units else 0.0,
        )
        for what, how, n in made
    ]


def effort(data: ReportData) -> list[EffortRow]:
    """Per policy: what was seen, and what simple random sampling would have needed."""
    names = {p.id: p.name for p in data.programme.policies}
    rows = []
    for f in data.whole(data.main_estimand):
        simple = simple_random_size(f, data.n_units)
        times = simple / f.n_reviewed if simple is not None and f.n_reviewed else None
        released = f.decision != "held"
        rows.append(
            EffortRow(
                name=names[f.policy],
                seen=count(f.n_positive) if released else "–",
                reviewed=count(f.n_reviewed),
                effective=about(f.n_effective),
                simple=about(simple),
                times="–" if times is None else f"{number(times, 2)} ×",
            )
        )
    return rows


def simple_random_size(figure: Figure, n_units: int) -> float | None:
    r"""Interactions that a simple random sample needs for an interval of the same width.

    $$ \mathrm{expit}(L+a) - \mathrm{expit}(L-a) = u - l,\quad L = \mathrm{logit}(R);\qquad
       n_0 = \frac{(z/a)^2}{R(1-R)}, \quad n = \frac{n_0}{1 + n_0/N} $$

    that is, the size at which the logit interval of a simple random sample is as wide. For an upper
    bound after none was seen: the size at which seeing none gives the same bound,
    -ln((1-level)/2) / u. None for a rate over impressions, which the number of interactions in a
    simple random sample does not fix.
    """
    if ESTIMANDS[figure.estimand].denominator != "interactions" or not figure.upper:
        return None
    if figure.is_bound and figure.n_positive == 0:
        needed = zero_count_limit(figure.level) / figure.upper
    elif figure.is_rate and figure.value and figure.lower is not None:
        width = figure.upper - figure.lower
        if width <= 0 or figure.value >= 1:
            return None
        needed = _logit_size(figure.value, width, normal_quantile(figure.level, "two-sided"))
    else:
        return None
    return needed / (1 + needed / n_units) if n_units else needed


def _logit_size(value: float, width: float, z: float) -> float:
    """Size of the simple random sample whose logit interval around ``value`` has this width."""
    odds = special.logit(value)

    def excess(a: float) -> float:
        return float(special.expit(odds + a) - special.expit(odds - a)) - width

    reach = 1.0
    while excess(reach) < 0 and reach < 64:
        reach *= 2
    a = optimize.brentq(excess, 0.0, reach) if excess(reach) > 0 else reach
    return float((z / a) ** 2 / (value * (1 - value)))


def methods(data: ReportData) -> list[MethodRow]:
    """Every method beside the released one, for the main estimand."""
    names = {p.id: p.name for p in data.programme.policies}
    order = tuple(METHODS)
    rows: list[MethodRow] = []
    for policy in data.programme.policy_ids():
        mine = [f for f in data.methods if (f.policy, f.estimand) == (policy, data.main_estimand)]
        mine.sort(key=lambda f: order.index(f.method))
        released = next(
            (f.method for f in data.whole(data.main_estimand) if f.policy == policy), ""
        )
        for f in mine:
            rows.append(_method_row(f, names[policy], f is mine[0], len(mine), released))
    return rows


def _method_row(f: Figure, name: str, first: bool, span: int, released: str) -> MethodRow:
    decimals = decimals_for(f.lower or 0.0, f.upper or 0.0, f.value)
    bounds = [
        rate(b, decimals) for b in (f.nonresponse_lower, f.nonresponse_upper) if b is not None
    ]
    return MethodRow(
        name=name,
        first=first,
        span=span,
        method=METHODS.get(f.method, words(f.method)),
        released=f.method == released,
        figure=f.text.figure,
        interval=f.text.interval,
        std_error="–" if f.std_error is None else number(f.std_error * 10_000, 2),
        positives=count(f.n_positive),
        unlabelled=count(f.n_no_label),
        nonresponse=" to ".join(bounds) if f.n_no_label and bounds else "–",
        largest=share(f.largest_share),
        interval_method=INTERVALS.get(f.interval, words(f.interval)),
    )


def gates(data: ReportData) -> list[GateView]:
    """Every gate, with what it found over the whole period."""
    return [view for name in GATE_NAMES if (view := _gate(data, name)) is not None]


def _gate(data: ReportData, name: str) -> GateView | None:
    mine = [r for r in data.gates if r.name == name]
    whole = [r for r in mine if _is_whole(data, r)]
    if not whole:
        return None
    counts = Counter(r.status for r in whole)
    status: Status = (
        "held" if counts["held"] else "bound_only" if counts["bound_only"] else "passed"
    )
    rest = Counter(r.status for r in mine if not _is_whole(data, r))
    return GateView(
        *GATES[name],
        status=status,
        told=_counted(counts, len(whole)),
        results=_grouped(data, whole),
        elsewhere=_elsewhere(rest),
    )


def _counted(counts: Counter[Status], total: int) -> str:
    only = next((status for status, n in counts.items() if n == total), None)
    return _told(counts) if only is None else STATUSES[only].capitalize()


def _told(counts: Counter[Status]) -> str:
    return ", ".join(f"{count(counts[s])} {word}" for s, word in STATUSES.items() if counts[s])


def _elsewhere(rest: Counter[Status]) -> str:
    return f"Shorter periods and pivots: {_told(rest)}." if rest else ""


def _is_whole(data: ReportData, result: GateResult) -> bool:
    scope = result.scope
    return (scope.period_start, scope.period_end) == (data.start, data.end) and (
        scope.domain_kind in (None, "all")
    )


def _grouped(data: ReportData, results: list[GateResult]) -> tuple[tuple[Status, str, str], ...]:
    """Results that say the same as one line, the strictest first, policies in order."""
    lines: dict[tuple[Status, str], list[GateResult]] = {}
    for result in results:
        lines.setdefault((result.status, result.sentence), []).append(result)
    order: tuple[Status, ...] = ("held", "bound_only", "passed")
    policies = data.programme.policy_ids()

    def place(line: tuple[tuple[Status, str], list[GateResult]]) -> tuple[int, int]:
        (status, _), same = line
        first = min(policies.index(r.scope.policy) if r.scope.policy else -1 for r in same)
        return order.index(status), first

    return tuple(
        (status, _scopes(data, same, alone=len(lines) == 1), sentence)
        for (status, sentence), same in sorted(lines.items(), key=place)
    )


def _scopes(data: ReportData, results: list[GateResult], *, alone: bool) -> str:
    """Which figures some results speak of: policies by name, estimands where not all."""
    if alone or results[0].scope.policy is None:
        return "All figures"
    told = []
    for policy in data.programme.policies:
        mine = {r.scope.estimand for r in results if r.scope.policy == policy.id}
        if not mine:
            continue
        every = None in mine or len(mine) == len(data.programme.estimands)
        names = [ESTIMANDS[str(e)].name.lower() for e in data.programme.estimands if e in mine]
        told.append(policy.name if every else f"{policy.name} ({', '.join(names)})")
    return ", ".join(told)


def cut_decisions(data: ReportData) -> str:
    """How the figures of shorter periods and pivots were decided, in a sentence."""
    cuts = Counter(
        f.decision
        for f in data.figures
        if (f.start, f.end) != (data.start, data.end) or f.domain_kind != "all"
    )
    told = ", ".join(f"{count(cuts[k])} {v.lower()}" for k, v in DECISIONS.items() if cuts[k])
    return (
        f"{things(sum(cuts.values()), 'figure')} of shorter periods and pivots: {told}."
        if cuts
        else ""
    )

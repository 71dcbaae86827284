"""The frame audit in a terminal: one line per day, what departs from the usual, and the sum."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from baserate.cli import screen
from baserate.flows.auditing import TRAILING_DAYS, DayAudit
from baserate.stats.trailing import LEAST_DAYS
from baserate.terms.programme import Gates

_WORDS = {"n_units": "interactions", "exposure": "impressions"}
_COLUMNS = (
    "day",
    "interactions",
    "usual",
    "rows in",
    "set aside",
    "duplicate",
    "late",
    "no score",
    "HT units",
    "HT impr.",
)


def show_frame_audit(audits: Sequence[DayAudit], gates: Gates, *, by_table: bool = False) -> None:
    """What the days' figures stand on.

    Args:
        audits: One per day.
        gates: What faults and totals are held against.
        by_table: Also rows by logging table and reason, over all days.
    """
    if not audits:
        return
    out = screen.result()
    out.print("[bold]frame audit[/]")
    screen.table(_COLUMNS, [_line(a) for a in audits], right=range(1, len(_COLUMNS)))
    out.print()
    for text in warnings_of(audits, gates):
        out.print("[yellow]look[/]  ", end="")
        out.print(text, markup=False, soft_wrap=True)
    for text in _closing(audits, by_table=by_table):
        out.print(f"[dim]{text}[/]", soft_wrap=True)
    if by_table:
        _show_tables(audits)
    out.print()


def _line(audit: DayAudit) -> tuple[str, ...]:
    change = audit.volume_change
    worst = audit.worst_no_score
    return (
        str(audit.day),
        f"{audit.interactions:,}",
        "?" if change is None else f"{change:+.0%}".replace("%", " %"),
        f"{sum(t.rows_in for t in audit.tables.values()):,}",
        _percent(audit.share("quarantined")),
        _percent(audit.share("duplicate")),
        _percent(audit.share("late")),
        "-" if worst is None else _percent(worst[1]),
        *(_apart(audit.totals_apart.get(measure)) for measure in _WORDS),
    )


def _percent(share: float) -> str:
    """A share in percent: a small one is never written as none."""
    if 0 < share < 0.0001:
        return "<0.01 %"
    return f"{share:.2%}".replace("%", " %") if share < 0.01 else f"{share:.1%}".replace("%", " %")


def _apart(errors: float | None) -> str:
    if errors is None:
        return "-"
    return "exact" if errors == 0 else f"{errors:+.1f} SE" if math.isfinite(errors) else "off"


def warnings_of(audits: Sequence[DayAudit], gates: Gates) -> Iterator[str]:
    """What a person should look at, a sentence each, in order of the days."""
    for audit in audits:
        if audit.volume_departs:
            yield _volume(audit)
        faulty = [
            f"{name} {_percent(account.faulty_share)} ({account.faults[0][0]})"
            for name, account in audit.tables.items()
            if account.faulty_share > gates.max_quarantined_share
        ]
        if faulty:
            yield (
                f"{audit.day}: faulty rows: {', '.join(faulty)}; "
                f"{_percent(gates.max_quarantined_share)} of a table allowed in a release"
            )
        for measure, errors in audit.totals_apart.items():
            if abs(errors) > gates.totals_tolerance_se:
                yield (
                    f"{audit.day}: the sample expands to other {_WORDS[measure]} than the frame "
                    f"has, {_apart(errors)} apart; {gates.totals_tolerance_se:g} allowed in a "
                    "release: run `baserate sample` again"
                )


def _volume(audit: DayAudit) -> str:
    usual = audit.usual
    change = audit.volume_change or 0.0
    days = f"{usual.n_days} {audit.day:%A}s" if usual.same_weekday else f"{usual.n_days} days"
    less = f"{abs(change):.0%} {'fewer' if change < 0 else 'more'} than usual".replace("%", " %")
    return (
        f"{audit.day}: {audit.interactions:,} interactions, {less} "
        f"(median of the {days} before: {usual.expected:,.0f}): is the day's log whole?"
    )


def sum_of(audits: Sequence[DayAudit]) -> str:
    """All days in a line: rows in are rows used and rows set aside."""
    rows = [t for a in audits for t in a.tables.values()]
    aside = sum(sum(t.reasons.values()) for t in rows)
    left_out = sum(t.left_out for t in rows)
    told = (
        f"{len(audits):,} day{'s' * (len(audits) > 1)}: "
        f"{sum(a.interactions for a in audits):,} interactions; "
        f"{sum(t.rows_in for t in rows):,} rows in = {sum(t.rows_used for t in rows):,} used "
        f"+ {aside:,} set aside"
    )
    return told + (f"; {left_out:,} more left out by the mapping" if left_out else "")


def _closing(audits: Sequence[DayAudit], *, by_table: bool) -> Iterator[str]:
    yield sum_of(audits)
    unknown = sum(a.volume_departs is None for a in audits)
    if unknown:
        yield (
            f"volume of {unknown:,} day{'s' * (unknown > 1)} not judged: fewer than {LEAST_DAYS} "
            f"of the {TRAILING_DAYS} days before have records"
        )
    if any(a.totals_apart for a in audits):
        yield "HT: totals expanded from the sample against the frame's, in standard errors (SE)"
    if not by_table:
        span = f"--from {audits[0].day} --to {audits[-1].day}"
        yield f"by table and reason: baserate audit {span}"


def _show_tables(audits: Sequence[DayAudit]) -> None:
    rows = []
    for name in dict.fromkeys(n for a in audits for n in a.tables):
        accounts = [a.tables[name] for a in audits if name in a.tables]
        reasons: Counter[str] = Counter()
        for account in accounts:
            reasons.update(account.reasons)
        told = ", ".join(f"{r} {n:,}" for r, n in reasons.most_common())
        rows.append(
            (
                name,
                f"{sum(a.rows_in for a in accounts):,}",
                f"{sum(a.rows_used for a in accounts):,}",
                f"{sum(a.late for a in accounts):,}",
                f"{sum(a.left_out for a in accounts):,}",
                f"{reasons.total():,}",
                told or "-",
            )
        )
    columns = ("table", "rows in", "used", "of them late", "left out", "set aside", "why")
    screen.result().print()
    screen.table(columns, rows, right=range(1, 6))
    missing: Counter[str] = Counter()
    for audit in audits:
        missing.update(audit.no_score)
    units = sum(a.interactions for a in audits if a.no_score)
    if missing and units:
        shares = ", ".join(f"{p} {_percent(n / units)}" for p, n in missing.most_common())
        screen.result().print(f"interactions without a score: {shares}")

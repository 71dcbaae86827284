"""What changed within a period: its last full week against its first."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from baserate.flows.estimating import reporting_periods
from baserate.release.report import Change
from baserate.stats.change import change_between
from baserate.terms.programme import Programme
from baserate.terms.words import ALL

_DAYS_IN_A_WEEK = 7


def weekly_changes(
    estimates: pa.Table, programme: Programme, start: date, end: date
) -> list[Change]:
    """Last full week minus first, per headline rate, for the whole population and each pivot.

    Weeks are sampled independently, so their variances add up.
    Empty where the period holds less than two full weeks.
    """
    weeks = [p for p in reporting_periods(start, end) if (p[1] - p[0]).days == _DAYS_IN_A_WEEK - 1]
    if len(weeks) < 2:
        return []
    keys = ("policy", "estimand", "domain_kind", "domain_value")
    rows = {
        (r["period_start"], r["period_end"], *(r[k] for k in keys)): r
        for r in estimates.filter(estimates["headline"]).to_pylist()
    }
    first, last = weeks[0], weeks[-1]
    found = []
    for key, after in rows.items():
        before = rows.get((*first, *key[2:]))
        if key[:2] != last or before is None or after["std_error"] + before["std_error"] == 0:
            continue
        change = change_between(
            before["value"],
            after["value"],
            before["std_error"] ** 2,
            after["std_error"] ** 2,
            level=programme.estimation.level,
        )
        found.append(
            Change(
                policy=after["policy"],
                estimand=after["estimand"],
                before=first,
                after=last,
                difference=change.difference,
                lower=change.interval.lower,
                upper=change.interval.upper,
                level=change.interval.level,
                domain_kind=after["domain_kind"],
                domain_value=after["domain_value"],
            )
        )
    return sorted(found, key=lambda c: (c.domain_kind != ALL, c.policy, c.estimand))

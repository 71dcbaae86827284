"""What planning found, as values: they print themselves, and draw themselves in a notebook."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from baserate.flows.anticipating import Precision
from baserate.stats.sizes import BlindSpotDefence


@dataclass(frozen=True)
class MoreLabels:
    """Relative standard error of one rate now, and with more labels of either kind."""

    policy: str
    estimand: str
    now: float
    more_judged: float
    more_reviewed: float
    n_more_judged: int
    n_more_reviewed: int


@dataclass(frozen=True)
class BudgetPlan:
    """What a budget is expected to say of every rate.

    Attributes:
        programme: Its name.
        day: The day whose frame stands for the days to come.
        days: Days that are pooled into one figure.
        judge: Interactions a day that the judge labels.
        human: Of those, how many people label.
        units: Interactions of the day.
        pilot_days: Judged days that show how the judge errs; none: it is taken to add nothing.
        interval: Method of the intervals.
        level: Their level.
        rows: Every rate.
        more: What a thousand more labels would change, per rate of the whole.
        curve: (judge, human, policy -> relative standard error) over other budgets in the same
            proportion, for the programme's first estimand.
        cost: Of the whole period; None where the programme does not say.
        currency: Word for amounts.
    """

    programme: str
    day: date
    days: int
    judge: int
    human: int
    units: int
    pilot_days: tuple[date, ...]
    interval: str
    level: float
    rows: tuple[Precision, ...]
    more: tuple[MoreLabels, ...]
    curve: tuple[tuple[int, int, dict[str, float]], ...]
    cost: float | None
    currency: str

    def as_dict(self) -> dict[str, Any]:
        """As plain fields, for JSON."""
        rows = [
            {**asdict(r), "half_width": r.half_width, "relative_std_error": r.relative_std_error}
            for r in self.rows
        ]
        return {**asdict(self), "rows": rows}

    def chart(self) -> Any:
        """Precision against labels, one line per policy: an Altair chart."""
        from baserate.flows.design_charts import budget_chart

        return budget_chart(self)

    def _repr_html_(self) -> str:
        from baserate.flows.design_tables import budget_table, html

        return html(*budget_table(self, str(self.rows[0].estimand) if self.rows else ""))


@dataclass(frozen=True)
class NeededLabels:
    """Labels a day that some policies need.

    Attributes:
        policies: The policies; the worst of them decides.
        judge: Interactions that the judge labels; None: no budget reaches it.
        human: Of those, how many people label.
        cost: Of the whole period; None where it is not known.
        days_at_budget: Days at the programme's budget that reach the same; None: never.
    """

    policies: tuple[str, ...]
    judge: int | None
    human: int | None
    cost: float | None
    days_at_budget: float | None


@dataclass(frozen=True)
class PrecisionPlan:
    """Labels that a wanted precision needs.

    Attributes:
        programme: Its name.
        day: The day whose frame stands for the days to come.
        days: Days that are pooled into one figure.
        estimand: What the rate counts.
        measure: ``half_width`` or ``relative_std_error``.
        wanted: Its wanted value.
        judge_now: The programme's budget for the judge.
        human_now: The programme's budget for people.
        split: How the two budgets hang together.
        rows: One per policy.
        together: All policies at once.
        currency: Word for amounts.
    """

    programme: str
    day: date
    days: int
    estimand: str
    measure: str
    wanted: float
    judge_now: int
    human_now: int
    split: str
    rows: tuple[NeededLabels, ...]
    together: NeededLabels
    currency: str

    def as_dict(self) -> dict[str, Any]:
        """As plain fields, for JSON."""
        return asdict(self)

    def chart(self) -> Any:
        """Labels that each policy needs: an Altair chart."""
        from baserate.flows.design_charts import needed_chart

        return needed_chart(self)

    def _repr_html_(self) -> str:
        from baserate.flows.design_tables import html, needed_table

        return html(*needed_table(self))


@dataclass(frozen=True)
class ComparedDesign:
    """One design on a frame.

    Attributes:
        design: Its word.
        sentence: What it does.
        selection: How units are selected.
        labels: Expected number that the judge labels.
        labels_spread: Standard deviation of that number; 0: it is fixed.
        relative_std_error: policy -> anticipated standard error over rate.
        positives: policy -> violating units expected among those that people label.
        judged_positives: policy -> the same among those that the judge labels.
        largest_weight: Largest v / pi: what one unseen unit could add to the total.
        guaranteed_share: alpha: the share of the draw that no score can take away.
        blind_spot: policy -> whether that share would see a blind spot of the declared size.
        cost: Of one day; None where the programme does not say.
    """

    design: str
    sentence: str
    selection: str
    labels: float
    labels_spread: float
    relative_std_error: dict[str, float]
    positives: dict[str, float]
    judged_positives: dict[str, float]
    largest_weight: float
    guaranteed_share: float
    blind_spot: dict[str, BlindSpotDefence]
    cost: float | None

    @property
    def worst_policy(self) -> str:
        """The policy with the largest relative standard error."""
        return max(self.relative_std_error, key=lambda p: self.relative_std_error[p])

    @property
    def worst(self) -> float:
        """Its relative standard error."""
        return self.relative_std_error[self.worst_policy]

    @property
    def defended(self) -> tuple[str, ...]:
        """Policies whose blind spot the draw would see."""
        return tuple(p for p, d in self.blind_spot.items() if d.defended)


@dataclass(frozen=True)
class DesignComparison:
    """Several designs on one frame, best worst policy first.

    Attributes:
        programme: Its name.
        day: The day whose frame stands for the days to come.
        estimand: What the rate counts.
        units: Interactions of the day.
        judge: Interactions that the judge labels.
        human: Of those, how many people label.
        blind_share: Declared share of the violations that the scores do not see.
        policies: Policy ids, the worst first.
        rates: policy -> rate that the calibrated scores expect.
        rows: The designs.
        currency: Word for amounts.
    """

    programme: str
    day: date
    estimand: str
    units: int
    judge: int
    human: int
    blind_share: float
    policies: tuple[str, ...]
    rates: dict[str, float]
    rows: tuple[ComparedDesign, ...]
    currency: str

    def as_dict(self) -> dict[str, Any]:
        """As plain fields, for JSON."""
        rows = [
            {
                **asdict(row),
                "worst_policy": row.worst_policy,
                "worst": row.worst,
                "blind_spot": {
                    p: {**d._asdict(), "verdict": d.sentence} for p, d in row.blind_spot.items()
                },
            }
            for row in self.rows
        ]
        return {**asdict(self), "rows": rows}

    def chart(self) -> Any:
        """Relative standard errors by policy and design: an Altair chart."""
        from baserate.flows.design_charts import comparison_chart

        return comparison_chart(self)

    def _repr_html_(self) -> str:
        from baserate.flows.design_tables import comparison_table, html

        return html(*comparison_table(self))

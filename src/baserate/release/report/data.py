"""What the report shows, as numbers and words: the only thing that drawing it reads.

A figure that is held carries no number here, and a bounded one only its upper end, so that no
page made from this can print what was not released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from baserate.release.bundle import PolicyDocument, Provenance
from baserate.release.figures import Decision, FigureText, figure_text
from baserate.release.results import GateResult
from baserate.terms.programme import Programme
from baserate.terms.words import ALL


@dataclass(frozen=True)
class Figure:
    """One figure with the decision about it; rates in [0, 1], None where not released.

    Args:
        policy: Policy id.
        estimand: What it counts, over what.
        domain_kind: ``all`` or the pivot's name.
        domain_value: ``all`` or the pivot's value.
        start: First day, inclusive.
        end: Last day, inclusive.
        decision: What may be said of it.
        gate: The gate that decided; ``""`` where all passed.
        because: Its sentence.
        method: How it was made.
        interval: Name of the interval's method.
        level: Level of the interval.
        value: The rate.
        std_error: Its standard error.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        n_units: Interactions in the domain.
        denominator: Total of the denominator.
        n_judged: Interactions with the judge's verdict.
        n_reviewed: Interactions with people's verdict.
        n_positive: Violating interactions among those the method reads.
        n_effective: R(1−R)/variance.
        largest_share: Largest single interaction's share of the variance.
        n_no_label: Sampled interactions without a usable verdict.
        nonresponse_lower: The rate if every one of those were safe.
        nonresponse_upper: The rate if every one of those violated.
    """

    policy: str
    estimand: str
    domain_kind: str
    domain_value: str
    start: date
    end: date
    decision: Decision
    gate: str
    because: str
    method: str = ""
    interval: str = ""
    level: float = 0.95
    value: float | None = None
    std_error: float | None = None
    lower: float | None = None
    upper: float | None = None
    n_units: int = 0
    denominator: float = 0.0
    n_judged: int = 0
    n_reviewed: int = 0
    n_positive: int = 0
    n_effective: float | None = None
    largest_share: float | None = None
    n_no_label: int = 0
    nonresponse_lower: float | None = None
    nonresponse_upper: float | None = None

    @property
    def text(self) -> FigureText:
        """The figure in words."""
        return figure_text(self.decision, self.value, self.lower, self.upper, self.level)

    @property
    def is_rate(self) -> bool:
        """Whether the rate itself was released."""
        return self.decision == "rate"

    @property
    def is_bound(self) -> bool:
        """Whether only the upper end was released."""
        return self.decision == "upper_bound_only"


@dataclass(frozen=True)
class Change:
    """A difference of one rate between two periods, with its interval; rates in [0, 1].

    Args:
        policy: Policy id.
        estimand: What the rate counts.
        before: First and last day of the earlier period.
        after: First and last day of the later period.
        difference: Rate after minus rate before.
        lower: Lower end of the difference's interval.
        upper: Upper end of the difference's interval.
        level: Level of the interval.
        domain_kind: ``all`` or the pivot's name.
        domain_value: ``all`` or the pivot's value.
    """

    policy: str
    estimand: str
    before: tuple[date, date]
    after: tuple[date, date]
    difference: float
    lower: float
    upper: float
    level: float = 0.95
    domain_kind: str = ALL
    domain_value: str = ALL

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.lower > 0 or self.upper < 0

    @property
    def clearness(self) -> float:
        """The difference in half widths of its interval."""
        width = self.upper - self.lower
        return 2 * abs(self.difference) / width if width > 0 else 0.0


@dataclass(frozen=True)
class RowsOf:
    """Rows of one logging table over the period.

    Args:
        table: The logging table.
        rows_in: Rows read.
        rows_used: Rows that became part of an interaction.
        excluded: Rows kept out on purpose, by reason, and rows whose parent was set aside.
        faulty: Rows set aside for a fault, by reason.
    """

    table: str
    rows_in: int
    rows_used: int
    excluded: tuple[tuple[str, int], ...]
    faulty: tuple[tuple[str, int], ...]

    @property
    def n_excluded(self) -> int:
        """Rows kept out on purpose."""
        return sum(n for _, n in self.excluded)

    @property
    def n_faulty(self) -> int:
        """Rows set aside for a fault."""
        return sum(n for _, n in self.faulty)


@dataclass(frozen=True)
class LabelsOf:
    """Labels of one labeler over the period.

    Args:
        phase: 1 or 2.
        labeler: ``llm_judge``, ``local_judge`` or ``human``.
        versions: What made the judge; empty for people.
        labelers: How many labelers.
        labels: Number of labels.
        verdicts: Number of labels by verdict.
    """

    phase: int
    labeler: str
    versions: tuple[str, ...]
    labelers: int
    labels: int
    verdicts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows.

    Args:
        programme: The programme: names, definitions, budgets, thresholds.
        programme_digest: sha256 of its file.
        start: First day, inclusive.
        end: Last day, inclusive.
        figures: Headline figures: of the period, its days, its pivots.
        methods: Whole-period figures by every method, of what was released as a rate.
        changes: Differences between periods.
        n_units: Interactions in the frame.
        n_sampled: Interactions drawn for the judge.
        n_reviewed: Interactions drawn for people.
        rows: Rows of the logging tables.
        labels: Labels, by labeler.
        gates: What every gate found.
        provenance: Versions, salts, commits.
        documents: Written policies in the release, by policy id.
    """

    programme: Programme
    programme_digest: str
    start: date
    end: date
    figures: tuple[Figure, ...]
    methods: tuple[Figure, ...]
    changes: tuple[Change, ...]
    n_units: int
    n_sampled: int
    n_reviewed: int
    rows: tuple[RowsOf, ...]
    labels: tuple[LabelsOf, ...]
    gates: tuple[GateResult, ...]
    provenance: Provenance
    documents: Mapping[str, PolicyDocument] = field(default_factory=dict)

    @property
    def level(self) -> float:
        """Level of the intervals."""
        return self.programme.estimation.level

    @property
    def main_estimand(self) -> str:
        """The estimand that the report leads with: the programme's first."""
        return str(self.programme.estimands[0])

    def whole(self, estimand: str) -> Iterator[Figure]:
        """Figures of the whole population over the whole period, policies in order."""
        yield from self._of(estimand, ALL, lambda f: (f.start, f.end) == (self.start, self.end))

    def daily(self, estimand: str, policy: str) -> list[Figure]:
        """Figures of one policy for each single day, in order."""
        found = self._of(estimand, ALL, lambda f: f.policy == policy and f.start == f.end)
        return sorted(found, key=lambda f: f.start)

    def pivot(self, estimand: str, policy: str, pivot: str) -> list[Figure]:
        """Figures of one policy over the whole period, per value of a pivot, largest first."""
        whole = (self.start, self.end)
        found = self._of(
            estimand, pivot, lambda f: f.policy == policy and (f.start, f.end) == whole
        )
        return sorted(found, key=lambda f: (-f.n_units, f.domain_value))

    def _of(self, estimand: str, kind: str, also: Callable[[Figure], bool]) -> Iterator[Figure]:
        order = self.programme.policy_ids()
        chosen = [f for f in self.figures if (f.estimand, f.domain_kind) == (estimand, kind)]
        yield from sorted(filter(also, chosen), key=lambda f: order.index(f.policy))

"""The programme: what a measurement scientist writes in one YAML file.

Every field has a default where a sensible one exists; ``programme_file.load_programme`` reads
the file and turns mistakes into errors that name the line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.programme_faults import Fault, budget_faults, programme_faults, refuse
from baserate.terms.programme_images import Images
from baserate.terms.programme_labelers import Judge, Reviews
from baserate.terms.programme_scorers import AnyScorer
from baserate.terms.programme_section import Identifier, Section
from baserate.terms.programme_tables import Records, Tables
from baserate.terms.words import STANDARD_PIVOTS, Estimand, SubjectKind

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Policy(Section):
    """One policy to measure."""

    id: Identifier
    """Short name: lower-case letters, digits, underscore."""
    name: str
    """Name as people read it."""
    version: str = "1"
    """Version of the written policy; a new version starts a new series."""
    definition: str = ""
    """What violates, in words: given to judges and reviewers. Needed where there is no document."""
    document: str | None = None
    """A written policy in place of the definition: a Markdown file, relative to this one, that
    `baserate policy lint` passes. Its id and version must be those given here."""
    score_from: tuple[SubjectKind, ...] = (
        SubjectKind.INTERACTION,
        SubjectKind.QUERY,
        SubjectKind.RESPONSE,
        SubjectKind.COMPONENT,
    )
    """Whose risk scores count for the unit's score."""
    score_combine: Literal["max", "noisy_or"] = "max"
    """How several scores become the unit's score."""

    @model_validator(mode="after")
    def _says_what_violates(self) -> Policy:
        if not self.definition.strip() and self.document is None:
            refuse(
                [
                    Fault(
                        ("definition",),
                        "nothing says what violates",
                        expected="a definition, or a document",
                        hint="write `definition:` in a few words, or name a written policy: "
                        "`document: policies/<id>.md`",
                    )
                ]
            )
        if self.definition.strip() and self.document is not None:
            refuse(
                [
                    Fault(
                        ("document",),
                        "there is a definition and a document, which may differ",
                        expected="one of them",
                        hint="remove the definition: the document holds it",
                    )
                ]
            )
        return self


class Calibration(Section):
    """How risk scores become probabilities, from labels of earlier days."""

    history_days: Annotated[int, Field(ge=1, le=365)] = 28
    """Labels of this many days before the day are used; never the day's own."""
    bins: Annotated[int, Field(ge=2, le=200)] = 20
    """Score bins at most."""
    prior_rate: Annotated[float, Field(gt=0, lt=1)] = 0.005
    """Rate assumed of units with the lowest score while there are no labels yet."""


class Sampling(Section):
    """Which interactions the judge and people look at."""

    design: Literal["pareto", "sequential_poisson", "poisson"] = "pareto"
    """How units are drawn: pareto and sequential_poisson give a fixed number, poisson a random
    one with exactly the stated probabilities."""
    judge_budget: Annotated[int, Field(ge=1)] = 2000
    """Interactions a day that the judge labels (phase 1)."""
    human_budget: Annotated[int, Field(ge=0)] = 300
    """Interactions a day that people label (phase 2, drawn from phase 1). 0: none."""
    strata: tuple[str, ...] = ()
    """Columns of the interaction whose values are drawn from separately."""
    control_share: Share = 0.2
    """Share of the judge budget drawn with equal probabilities, whatever the scores: bounds every
    weight and guards against what the scores do not see."""
    exposure_share: Share = 0.2
    """Share of the judge budget drawn in proportion to impressions."""
    human_floor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Share of the human budget drawn with equal probabilities among judged interactions."""
    calibration: Calibration = Calibration()
    """How scores become probabilities."""

    @model_validator(mode="after")
    def _shares_leave_room(self) -> Sampling:
        faults = [*budget_faults(self.judge_budget, self.human_budget)]
        if self.control_share + self.exposure_share >= 1.0:
            faults.append(
                Fault(
                    ("control_share",),
                    "control_share and exposure_share leave nothing to draw by score",
                    expected="control_share + exposure_share below 1",
                    hint="lower one of them: the rest of the judge budget follows the scores",
                )
            )
        if self.human_budget > self.judge_budget:
            faults.append(
                Fault(
                    ("human_budget",),
                    "human_budget exceeds judge_budget",
                    expected=f"{self.judge_budget} or less: people see a subsample of phase 1",
                    hint="raise judge_budget or lower human_budget",
                )
            )
        refuse(faults)
        return self


class Estimation(Section):
    """How labels become rates."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the intervals."""
    interval: Literal["anticipated_gamma", "logit", "wilson", "clopper_pearson"] = (
        "anticipated_gamma"
    )
    """Method of the intervals where positives were seen. Where none was: an upper limit."""
    blind_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the violations that the scores might not see at all. Where the control arm expects
    fewer than 3 of them, the interval is lifted by what may be hidden."""


class Gates(Section):
    """What a figure must pass to be released."""

    min_positives: Annotated[int, Field(ge=0)] = 5
    """Fewer violating units among the reviewed: only an upper bound is released."""
    max_relative_half_width: Annotated[float, Field(gt=0)] = 1.5
    """Half the interval's width over the rate, at most, for the whole period."""
    min_labelled_share: Annotated[float, Field(gt=0, le=1)] = 0.98
    """Share of sampled units that must have a usable verdict."""
    max_quarantined_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of a day's rows that may be quarantined for faults (excluded traffic not counted)."""
    totals_tolerance_se: Annotated[float, Field(gt=0)] = 5.0
    """HT totals of known columns may differ from the frame's by this many standard errors."""
    unified_sensitivity_margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """With unified calls: how far the judge's sensitivity may differ from that of one-policy calls,
    at the far end of the interval."""
    unified_specificity_margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The same of its specificity: small, since most interactions are safe."""


class Costs(Section):
    """What labels cost, for plans: an interaction under all policies."""

    judge_label: Annotated[float, Field(ge=0)] | None = None
    """One interaction labelled by the judge."""
    human_label: Annotated[float, Field(ge=0)] | None = None
    """One interaction labelled by people."""
    currency: str = Field(default="", max_length=8)
    """Word or sign that amounts are written with."""

    @property
    def known(self) -> bool:
        """Whether both costs are given and labels are not free."""
        given = self.judge_label is not None and self.human_label is not None
        return given and (self.judge_label or 0.0) + (self.human_label or 0.0) > 0.0

    def of(self, judge: float, human: float, days: int) -> float | None:
        """Cost of so many labels a day over some days; None where it is not known."""
        if self.judge_label is None or self.human_label is None:
            return None
        return (judge * self.judge_label + human * self.human_label) * days


class Privacy(Section):
    """What is stored of people, and for how long."""

    pseudonyms: tuple[Literal["user_id", "session_id", "conversation_id"], ...] = ()
    """Ids that are stored as pseudonyms only: HMAC-SHA256 of the id under the key, 32 hex digits.
    Sites' columns that they come from are stored so in the quarantine, too."""
    key_env: str | None = None
    """Environment variable that holds the key of the pseudonyms: at least 32 characters."""
    key_file: str | None = None
    """File that holds the key, in place of a variable; not in the workspace."""
    drop: dict[
        Literal["users", "requests", "responses", "components", "scores"], tuple[str, ...]
    ] = Field(default_factory=dict)
    """Logging table: columns of the site's that are never stored. In the quarantine their value is
    `(dropped)`; a column of baserate's that comes from one is empty in interactions."""

    retention_days: Annotated[int, Field(ge=1)] | None = None
    """Days that content is kept after its day: texts, images, ids of people. `baserate privacy
    expire` erases what is older, pictures among it even if `images.retention_days` is longer;
    figures, verdicts and what samples are redrawn from stay."""

    @property
    def has_key(self) -> bool:
        """Whether the programme says where a key is."""
        return self.key_env is not None or self.key_file is not None


class Programme(Section):
    """A measurement programme."""

    programme: Identifier
    """Short name of the programme."""
    title: str = ""
    """Name as people read it."""
    salt: Annotated[str, Field(min_length=8)]
    """Key of the permanent random numbers: change it and every sample changes. Keep it
    private while sampling; it is published with a release so that others can redraw."""
    tables: Tables
    """Where the logging tables are."""
    records: Records = Records()
    """How logging tables become interactions."""
    policies: Annotated[tuple[Policy, ...], Field(min_length=1)]
    """What is measured."""
    estimands: Annotated[tuple[Estimand, ...], Field(min_length=1)] = tuple(Estimand)
    """What a rate counts, over what."""
    pivots: tuple[str, ...] = ("country", "surface")
    """Columns that rates are cut by, besides the whole."""
    sampling: Sampling = Sampling()
    """Who looks at what."""
    judge: Judge
    """The machine that labels phase 1."""
    candidates: dict[Identifier, Judge] = Field(default_factory=dict)
    """Judges that might take its place, by name: `baserate judge run` lets one label what people
    labelled, `judge compare` and `judge promote` hold it against the programme's judge."""
    reviews: Reviews | None = None
    """Where people's labels of phase 2 come from."""
    images: Images | None = None
    """How pictures are fetched and kept when a sample is drawn. Not given: they are not kept."""
    scorers: tuple[AnyScorer, ...] = ()
    """Machines that make risk scores where the site has none: `baserate score` writes the logging
    table scores."""
    estimation: Estimation = Estimation()
    """How labels become rates."""
    gates: Gates = Gates()
    """What a figure must pass."""
    costs: Costs = Costs()
    """What labels cost; only plans read it."""
    privacy: Privacy = Privacy()
    """What is stored of people, and for how long."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Programme:
        refuse(list(programme_faults(self)))
        return self

    def own_columns(self) -> tuple[str, ...]:
        """A site's own columns that become columns of the interaction, sorted by name."""
        mapped = {
            c
            for name in ("users", "requests")
            if (t := getattr(self.tables, name)) is not None
            for c in t.mapped()
            if c not in LOGGING_TABLES[name].names()
        }
        return tuple(sorted(mapped))

    def pivot_columns(self) -> tuple[str, ...]:
        """Columns that pivots and strata may name."""
        return (*STANDARD_PIVOTS, *self.own_columns())

    def policy_ids(self) -> tuple[str, ...]:
        """Policy ids in the order of the file."""
        return tuple(p.id for p in self.policies)


def resolve_path(pattern: str, base: Path) -> str:
    """A path or glob of the programme file as an absolute one; addresses stay as they are."""
    if "://" in pattern or Path(pattern).is_absolute():
        return pattern
    return str(base / pattern)

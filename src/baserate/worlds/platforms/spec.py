"""The dials of a known-truth platform: how big, how rare, how well scored, what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from baserate.terms.errors import DesignError

ScoreQuality: TypeAlias = Literal["good", "miscalibrated", "blind_spot", "scrambled", "missing"]
SCORE_QUALITIES: tuple[ScoreQuality, ...] = get_args(ScoreQuality)


@dataclass(frozen=True)
class Exposure:
    """Impressions of an interaction: LogNormal, so that a few interactions hold most of them.

    Args:
        log_mean: Mean of ln m.
        log_sd: Standard deviation of ln m, >= 0; 0 gives every interaction the same.
    """

    log_mean: float = 1.0
    log_sd: float = 1.5


@dataclass(frozen=True)
class Scores:
    """How much a risk score knows of the verdict.

    | quality | what happens |
    |---|---|
    | good | s given the verdict is Beta: ``harm`` if violating, ``safe`` if not |
    | miscalibrated | the same scores to the power ``power``: order kept, level and shape moved |
    | blind_spot | ``blind_share`` of violating units score like safe ones |
    | scrambled | scores dealt out anew: they say nothing |
    | missing | ``missing_share`` of the scores are gone, whatever the verdict |

    Args:
        quality: One of the words above.
        harm: Beta parameters of the score of a violating unit, > 0.
        safe: Beta parameters of the score of any other unit, > 0.
        power: Exponent of a miscalibrated score, > 0.
        blind_share: Share of violating units in the blind spot, in [0, 1].
        missing_share: Share of scores that are missing, in [0, 1).
    """

    quality: ScoreQuality = "good"
    harm: tuple[float, float] = (3.0, 3.0)
    safe: tuple[float, float] = (0.6, 12.0)
    power: float = 1.7
    blind_share: float = 0.25
    missing_share: float = 0.1


@dataclass(frozen=True)
class Clusters:
    """Users and sessions, and how alike the verdicts within them are.

    Args:
        users: Number of users, >= 1; how often each comes is LogNormal(0, ``activity_sd``).
        activity_sd: Spread of ln activity, >= 0.
        session_length: Mean interactions of a session, >= 1.
        user_correlation: Latent correlation of two verdicts of one user, in [0, 1).
        session_correlation: Further correlation of two verdicts of one session, in [0, 1).
    """

    users: int = 20_000
    activity_sd: float = 1.1
    session_length: float = 2.5
    user_correlation: float = 0.2
    session_correlation: float = 0.2


@dataclass(frozen=True)
class Components:
    """What violates inside an interaction: its response, its Pins, or only the whole.

    Args:
        pins: Mean number of Pins shown, >= 1 (one plus a Poisson number).
        pin_correlation: Given that one Pin violates, the chance of each other to, in [0, 1].
        response_share: Share of non-emergent violations that lie in the response, in [0, 1].
        emergent_share: Share of violating interactions no component of which violates, in [0, 1].
        resolved_share: Interactions in which a Pin violates but not the whole, as a share of the
            violating ones, in [0, 1].
    """

    pins: float = 5.0
    pin_correlation: float = 0.3
    response_share: float = 0.3
    emergent_share: float = 0.1
    resolved_share: float = 0.05


@dataclass(frozen=True)
class JudgeErrors:
    """A judge whose errors depend on the score that the content would have under a good scorer.

    Args:
        false_positive_edges: Increasing score edges between the bands of false positives.
        false_positive: P(judged violating | not violating) per band, one more than edges.
        recall_edges: Increasing score edges between the bands of recall.
        recall: P(judged violating | violating) per band, one more than edges.
    """

    false_positive_edges: tuple[float, ...] = (0.05, 0.2)
    false_positive: tuple[float, ...] = (0.0005, 0.004, 0.03)
    recall_edges: tuple[float, ...] = (0.3,)
    recall: tuple[float, ...] = (0.70, 0.95)


@dataclass(frozen=True)
class Labeler:
    """A person who labels, with errors of their own.

    Args:
        sensitivity: P(says violating | violating), in [0, 1].
        specificity: P(says not violating | not violating), in [0, 1].
    """

    sensitivity: float = 0.92
    specificity: float = 0.995


@dataclass(frozen=True)
class Drift:
    """From one day on, policies are violated more or less often.

    Args:
        from_day: First changed day, counted from 0.
        factor: Factor on the prevalence, >= 0.
        policies: Which policies change; all if empty.
    """

    from_day: int
    factor: float
    policies: tuple[int, ...] = ()


@dataclass(frozen=True)
class PlatformSpec:
    """One platform: the same spec gives the same arrays, bit for bit.

    Every part draws from a stream of its own, so turning one dial leaves what other dials
    govern as it was.

    Args:
        units: Interactions over all days, >= 1.
        seed: Non-negative seed.
        days: Days, >= 1; units are spread evenly, in order.
        prevalence: P(violating) per policy, in (0, 1), of an interaction.
        policy_correlation: Latent (Gaussian) correlation of one interaction's verdicts under two
            policies, in [0, 1).
        exposure: Impressions of an interaction.
        scores: What the scores know.
        judge: The judge's errors.
        labelers: People who label.
        clusters: Users and sessions; None: every interaction is a user of its own.
        components: Pins and responses; None: an interaction is one thing with one exposure.
        drift: A change of prevalence; None: nothing changes.
    Raises: DesignError if a dial is outside its range, or the correlations leave no room.
    """

    units: int = 100_000
    seed: int = 1
    days: int = 1
    prevalence: tuple[float, ...] = (0.002,)
    policy_correlation: float = 0.0
    exposure: Exposure = Exposure()
    scores: Scores = Scores()
    judge: JudgeErrors = JudgeErrors()
    labelers: tuple[Labeler, ...] = field(default=(Labeler(),))
    clusters: Clusters | None = None
    components: Components | None = None
    drift: Drift | None = None

    def __post_init__(self) -> None:
        for problem, wrong in self._faults().items():
            if wrong:
                raise DesignError(f"this platform cannot be made: {problem}", code="platform_spec")

    @property
    def policies(self) -> int:
        """Number of policies, P."""
        return len(self.prevalence)

    @property
    def latent_shares(self) -> tuple[float, float, float]:
        """Shares of the latent variance that policies, a user and a session have in common."""
        groups = self.clusters
        if groups is None:
            return self.policy_correlation, 0.0, 0.0
        return self.policy_correlation, groups.user_correlation, groups.session_correlation

    def _faults(self) -> dict[str, bool]:
        scores, judge = self.scores, self.judge
        faults = {
            "units and days must be 1 or more, and no day empty": not 1 <= self.days <= self.units,
            "prevalence must hold at least one policy, each in (0, 1)": not self.prevalence
            or not all(0.0 < p < 1.0 for p in self.prevalence),
            "correlations must be 0 or above and add up to less than 1": min(self.latent_shares)
            < 0.0
            or sum(self.latent_shares) >= 1.0,
            "score quality must be one of " + ", ".join(SCORE_QUALITIES): scores.quality
            not in SCORE_QUALITIES,
            "the parameters of the scores must be above 0": min(
                *scores.harm, *scores.safe, scores.power
            )
            <= 0.0,
            "shares of the scores must lie in [0, 1]": not 0.0 <= scores.blind_share <= 1.0
            or not 0.0 <= scores.missing_share < 1.0,
            "the judge needs one more rate than edges, rates in [0, 1], edges increasing": not (
                _bands(judge.false_positive_edges, judge.false_positive)
                and _bands(judge.recall_edges, judge.recall)
            ),
            "labelers' rates must lie in [0, 1]": not all(
                _share(x) for who in self.labelers for x in (who.sensitivity, who.specificity)
            ),
            "exposure's log_sd must be 0 or above": self.exposure.log_sd < 0.0,
        }
        return faults | self._optional_faults()

    def _optional_faults(self) -> dict[str, bool]:
        groups, parts, drift = self.clusters, self.components, self.drift
        return {
            "clusters need a user and sessions of length 1 or more": groups is not None
            and not (
                groups.users >= 1 and groups.session_length >= 1.0 <= 1.0 + groups.activity_sd
            ),
            "components need a Pin or more and shares in [0, 1]": parts is not None
            and not (
                parts.pins >= 1.0
                and _share(parts.pin_correlation)
                and _share(parts.response_share)
                and _share(parts.emergent_share)
                and _share(parts.resolved_share)
            ),
            "drift must start on a day that exists and keep prevalence below 1": drift is not None
            and not (
                0 <= drift.from_day < self.days
                and drift.factor >= 0.0
                and all(0 <= p < self.policies for p in drift.policies)
                and drift.factor * max(self.prevalence) < 1.0
            ),
        }


def _share(x: float) -> bool:
    return 0.0 <= x <= 1.0


def _bands(edges: tuple[float, ...], rates: tuple[float, ...]) -> bool:
    rising = all(a < b for a, b in pairwise(edges))
    return rising and len(rates) == len(edges) + 1 and all(_share(r) for r in rates)

"""The dials of a replay: how big, how rare, what changes, how dirty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class PlantedChange:
    """From one day on, one policy is violated more often in one country.

    Args:
        policy: Policy id.
        country: Country of the user.
        from_day: First changed day, counted from 1.
        factor: Factor on the probability of a violation.
    """

    policy: str = "hate_speech"
    country: str = "BR"
    from_day: int = 10
    factor: float = 4.0


@dataclass(frozen=True)
class Risk:
    """How often a policy is violated.

    Args:
        rate: Violating interactions per interaction, about, in (0, 1).
        by_response: Share of them that violate through the response; the others through Pins.
    """

    rate: float
    by_response: float


@dataclass(frozen=True)
class Dirt:
    """Shares of rows or interactions that a real log would have wrong; truth leaves them out.

    ``staff``, ``test_user``, ``test_request``, ``no_response`` and ``too_late`` are interactions
    beside the population's, as shares of it; the others are shares of rows.
    """

    staff: float = 0.012
    test_user: float = 0.004
    test_request: float = 0.004
    no_response: float = 0.001
    too_late: float = 0.0005
    late: float = 0.01
    duplicated: float = 0.003
    orphaned: float = 0.001
    negative_impressions: float = 0.0005
    missing_key: float = 0.0003
    unscored_responses: float = 0.05
    invalid_score: float = 0.0005
    unknown_policy: float = 0.0001


RISKS: Mapping[str, Risk] = {
    "information_integrity": Risk(0.0180, 0.6),
    "sexual": Risk(0.0090, 0.3),
    "hate_speech": Risk(0.0050, 0.4),
    "violence": Risk(0.0040, 0.4),
    "exploits": Risk(0.0025, 0.7),
    "privacy": Risk(0.0015, 0.7),
    "self_harm": Risk(0.0010, 0.5),
    "representational": Risk(0.0005, 0.5),
}


@dataclass(frozen=True)
class ReplaySpec:
    """One replay: its size, its seed and what happens in it.

    Raises:
        DesignError: If there is no day or no interaction.
    """

    days: int = 14
    interactions_per_day: int = 50_000
    seed: int = 20260105
    start: date = date(2026, 1, 5)
    change: PlantedChange = PlantedChange()
    dirt: Dirt = Dirt()
    risks: Mapping[str, Risk] = field(default_factory=lambda: dict(RISKS))

    def __post_init__(self) -> None:
        if self.days < 1 or self.interactions_per_day < 1:
            raise DesignError(
                "a replay needs at least one day and one interaction a day",
                got=f"days={self.days}, interactions_per_day={self.interactions_per_day}",
            )

    def ordinary_texts(self) -> int:
        """How many everyday answers there are; everyday Pins are twice as many."""
        return min(max(self.interactions_per_day // 20, 200), 1_500)

    def dates(self) -> tuple[date, ...]:
        """The days, in order."""
        return tuple(self.start + timedelta(days=i) for i in range(self.days))

    def period(self) -> str:
        """The whole period as a key, e.g. ``2026-01-05..2026-01-18``."""
        return f"{self.dates()[0]}..{self.dates()[-1]}"

"""The cells of the coverage map: what is combined with what, and how each cell is keyed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from baserate.stats.designs import design_names
from baserate.terms.errors import DesignError
from baserate.worlds.platforms import SCORE_QUALITIES, ScoreQuality

#: Goes into every cell's key: raise it when what a cell measures changes.
MAP_VERSION = 3

Estimator: TypeAlias = Literal["ht", "difference", "hajek", "ladder"]


@dataclass(frozen=True)
class Effort:
    """How long to look.

    Args:
        worlds: Seeded platforms per cell, >= 2 (their spread is the Monte-Carlo error).
        draws: Samples from each, >= 1.
        units: Smallest number of interactions of a platform.
        positives: Violating interactions that a platform should expect; rarer policies get
            more units, up to ``most_units``.
        most_units: Largest number of interactions.
        past_labels: Labels of an earlier period that the scores are calibrated on.
    """

    worlds: int = 90
    draws: int = 5
    units: int = 300_000
    positives: int = 1_000
    most_units: int = 1_000_000
    past_labels: int = 20_000

    def __post_init__(self) -> None:
        if self.worlds < 2 or self.draws < 1 or not 1 <= self.units <= self.most_units:
            raise DesignError(
                "a coverage map needs two worlds or more and a draw from each",
                got=f"{self.worlds} worlds, {self.draws} draws, {self.units} units",
            )

    def units_at(self, prevalence: float) -> int:
        """Interactions of a platform at a prevalence."""
        return min(max(self.units, round(self.positives / prevalence)), self.most_units)


@dataclass(frozen=True)
class Block:
    """Cells that share their worlds: one score quality at one prevalence.

    Args:
        quality: What the scores know.
        prevalence: P(violating), in (0, 1).
    """

    quality: ScoreQuality
    prevalence: float


@dataclass(frozen=True)
class Cell:
    """One cell: all estimators and intervals of one design at one sample size.

    Args:
        block: Score quality and prevalence.
        design: A word of `stats.designs.design_names`.
        n: Labels of people that are expected.
    """

    block: Block
    design: str
    n: int


@dataclass(frozen=True)
class MapSpec:
    """A whole map.

    Args:
        designs: Words of `stats.designs.design_names`.
        qualities: What the scores know.
        prevalences: P(violating), in (0, 1).
        sizes: Expected sample sizes.
        control_share: alpha, the share of every draw on exposure alone, in (0, 1).
        invisible_share: q that the guarded interval declares, in [0, 1).
        level: Nominal coverage.
        seed: Non-negative.
        effort: How long to look.
    Raises: DesignError if a word is unknown or a number does not fit.
    """

    designs: tuple[str, ...] = ("simple_random", "poisson", "pareto")
    qualities: tuple[ScoreQuality, ...] = SCORE_QUALITIES
    prevalences: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    sizes: tuple[int, ...] = (1_000, 3_000, 10_000)
    control_share: float = 0.1
    invisible_share: float = 0.25
    level: float = 0.95
    seed: int = 20_260_105
    effort: Effort = Effort()

    def __post_init__(self) -> None:
        unknown = sorted({*self.designs} - {*design_names()})
        if unknown or {*self.qualities} - {*SCORE_QUALITIES}:
            raise DesignError(
                "the coverage map does not know this design or score quality",
                expected=", ".join((*design_names(), *SCORE_QUALITIES)),
                got=", ".join((*unknown, *self.qualities)),
            )
        if max(self.sizes) > self.effort.units or not 0.0 < self.control_share < 1.0:
            raise DesignError(
                "samples must fit the platform, and the control share lie in (0, 1)",
                got=f"n up to {max(self.sizes)} of {self.effort.units}, {self.control_share}",
            )

    def blocks(self) -> tuple[Block, ...]:
        """All blocks, the largest platforms first."""
        return tuple(Block(q, p) for p in sorted(self.prevalences) for q in self.qualities)

    def cells(self, block: Block) -> tuple[Cell, ...]:
        """All cells of a block."""
        return tuple(Cell(block, d, n) for d in self.designs for n in self.sizes)

    def key(self, cell: Cell) -> str:
        """Sixteen hex digits that name a cell and everything its result depends on."""
        rest = {
            k: v
            for k, v in asdict(self).items()
            if k not in ("designs", "qualities", "prevalences", "sizes")
        }
        text = json.dumps([MAP_VERSION, asdict(cell), rest], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def full_map() -> MapSpec:
    """The map behind `make coverage`."""
    return MapSpec()


def quick_map() -> MapSpec:
    """A coarse look: fewer worlds, designs and sizes."""
    return MapSpec(
        designs=("poisson",),
        prevalences=(1e-3, 1e-2),
        sizes=(2_000,),
        effort=Effort(worlds=30, draws=5, most_units=300_000),
    )

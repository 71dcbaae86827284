"""What every design can say: inclusion probabilities, a selection, a variance estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray, finite, probabilities
from baserate.terms.errors import DesignError

VarianceEstimator: TypeAlias = Literal[
    "poisson",
    "fixed_size",
    "sen_yates_grundy",
    "successive_difference",
    "with_replacement",
    "stratified",
    "ultimate_cluster",
    "two_phase",
]
JointMethod: TypeAlias = Literal["exact", "hajek"]
MAX_JOINT_UNITS = 5_000


class DeliveredProbabilityWarning(UserWarning):
    """The probabilities that a design delivers differ from those that it states.

    Args:
        message: What a reader of Python warnings should know.
        error: Largest relative difference.
        n: Units drawn.
        n_units: Units drawn from.
    """

    def __init__(self, message: str, *, error: float = 0.0, n: int = 0, n_units: int = 0) -> None:
        super().__init__(message)
        self.error = error
        self.n = n
        self.n_units = n_units


class JointProbs(NamedTuple):
    """Joint inclusion probabilities pi_kl, with pi_kk = pi_k, and how they were found.

    Attributes:
        prob: pi_kl, shape (m, m).
        method: "exact", or "hajek" for Hájek's high-entropy approximation.
    """

    prob: Array
    method: JointMethod


@runtime_checkable
class Design(Protocol):
    """The seat of a sampling design: states probabilities, selects, names its variance."""

    @property
    def name(self) -> str:
        """The design's word, as in `draw_design`."""

    @property
    def inclusion_prob(self) -> Array:
        """pi_i that the design states, in (0, 1], shape (N,)."""

    @property
    def fixed_size(self) -> bool:
        """Whether every sample has the same number of units."""

    @property
    def variance_estimator(self) -> VarianceEstimator:
        """The word of the variance estimator that fits the design."""

    def select(self, prn: Array, *, unit_ids: ArrayLike | None = None) -> BoolArray:
        """Which units are drawn, given a permanent random number each, shape (N,)."""

    def joint_inclusion_probs(self, units: ArrayLike | None = None) -> JointProbs:
        """pi_kl of the given units (all by default)."""


@dataclass(frozen=True, eq=False)
class UnitDesign(ABC):
    """Base of designs that draw single units with stated probabilities.

    Args:
        inclusion_prob: pi_i in (0, 1], shape (N,); copied and made read-only.
    Raises: DesignError if the frame is empty or a probability lies outside (0, 1].
    """

    inclusion_prob: Array

    name: ClassVar[str]
    fixed_size: ClassVar[bool]
    variance_estimator: ClassVar[VarianceEstimator]

    def __post_init__(self) -> None:
        prob = probabilities("inclusion_prob", self.inclusion_prob).copy()
        if prob.size == 0:
            raise DesignError(
                "no unit to draw from", code="empty_frame", hint="check the date and the filters"
            )
        prob.setflags(write=False)
        object.__setattr__(self, "inclusion_prob", prob)
        self._check()

    def _check(self) -> None:
        """What a subclass demands of its probabilities."""
        if self.fixed_size:
            _ = self.n

    @property
    def n_units(self) -> int:
        """Number of units in the frame, N."""
        return int(self.inclusion_prob.size)

    @property
    def expected_size(self) -> float:
        """Sum of the inclusion probabilities."""
        return float(self.inclusion_prob.sum())

    @property
    def n(self) -> int:
        """The sample size of a fixed-size design.

        Raises: DesignError if the probabilities do not add up to an integer (within 1e-6).
        """
        return whole_sample_size(self.inclusion_prob, self.name)

    def select(self, prn: Array, *, unit_ids: ArrayLike | None = None) -> BoolArray:
        """Draw a sample: a function of the permanent random numbers alone.

        Args:
            prn: u_i in (0, 1), one per unit, from a keyed hash, shape (N,).
            unit_ids: Breaks ties and fixes the processing order, so that the order of the
                rows does not matter; the row index stands in when absent. Shape (N,).
        Raises: DesignError if a PRN lies outside (0, 1) or a shape differs.
        """
        numbers = check_prn(prn, self.n_units)
        return self._select(numbers, check_ids(unit_ids, self.n_units))

    @abstractmethod
    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray: ...

    def joint_inclusion_probs(self, units: ArrayLike | None = None) -> JointProbs:
        """Joint inclusion probabilities of pairs of units.

        Args:
            units: Positions of the units wanted (say, the sampled ones), shape (m,); all units
                of the frame by default.
        Raises: DesignError if more than 5,000 units are asked for, or a position is not there.
        """
        return self._joint(check_units(units, self.n_units))

    @abstractmethod
    def _joint(self, units: IntArray) -> JointProbs: ...


def whole_sample_size(inclusion_prob: Array, name: str) -> int:
    """Sum of pi as an integer; the sum may differ from it by rounding error (1e-6) only."""
    total = float(inclusion_prob.sum())
    if abs(total - round(total)) > 1e-6:
        raise DesignError(
            f"{name} draws a fixed number of units, but the probabilities add up to a fraction",
            code="fractional_sample_size",
            expected="a sum of inclusion probabilities within 1e-6 of an integer",
            got=f"{total:.9g}",
            hint="scale the sizes with stats.inclusion.inclusion_probs(size, n) for an integer n, "
            "or draw by poisson",
        )
    return round(total)


def check_prn(prn: ArrayLike, n_units: int, name: str = "prn") -> Array:
    """Permanent random numbers as a float64 vector in (0, 1), shape (N,)."""
    numbers = finite(name, prn)
    if numbers.shape != (n_units,):
        raise DesignError(
            f"{name} must have one number per unit",
            expected=f"shape ({n_units},)",
            got=f"shape {numbers.shape}",
        )
    if numbers.size and (numbers.min() <= 0.0 or numbers.max() >= 1.0):
        raise DesignError(
            f"{name} has a value outside (0, 1)",
            code="bad_prn",
            hint="derive it from the keyed hash: (k + 0.5) / 2**52",
        )
    return numbers


def check_ids(unit_ids: ArrayLike | None, n_units: int) -> ArrayLike | None:
    """Unit ids, if given, have one value per unit."""
    if unit_ids is not None and np.shape(unit_ids) != (n_units,):
        raise DesignError(
            "unit_ids must have one id per unit",
            expected=f"shape ({n_units},)",
            got=f"shape {np.shape(unit_ids)}",
        )
    return unit_ids


def check_units(units: ArrayLike | None, n_units: int) -> IntArray:
    """Positions of units whose joint probabilities are wanted."""
    wanted = np.arange(n_units) if units is None else np.asarray(units, dtype=np.int64)
    if wanted.ndim != 1 or (wanted.size and (wanted.min() < 0 or wanted.max() >= n_units)):
        raise DesignError(
            "units must be positions in the frame", expected=f"values 0 ... {n_units - 1}"
        )
    if wanted.size > MAX_JOINT_UNITS:
        raise DesignError(
            "the matrix of joint probabilities would be too large",
            code="joint_matrix_too_large",
            expected=f"at most {MAX_JOINT_UNITS} units",
            got=f"{wanted.size} units",
            hint="pass the sampled units only, or use the design's variance estimator, "
            "which needs no joint probabilities",
        )
    return wanted


def smallest(key: Array, n: int, unit_ids: ArrayLike | None) -> BoolArray:
    """The n units with the smallest keys; ties go to the smaller unit id, else row index."""
    chosen = np.zeros(key.size, dtype=np.bool_)
    if n <= 0:
        return chosen
    if n >= key.size:
        return ~chosen
    threshold = np.partition(key, n - 1)[n - 1]
    chosen[key < threshold] = True
    tied = np.flatnonzero(key == threshold)
    if unit_ids is not None and tied.size > 1:
        tied = tied[np.argsort(np.asarray(unit_ids)[tied], kind="stable")]
    chosen[tied[: n - int(chosen.sum())]] = True
    return chosen


def processing_order(unit_ids: ArrayLike | None, n_units: int) -> IntArray:
    """The order in which a list-sequential design visits units: by id, else by row."""
    if unit_ids is None:
        return np.arange(n_units)
    return np.argsort(np.asarray(unit_ids), kind="stable")


def shared_uniform(prn: Array) -> float:
    r"""One uniform number in (0, 1) made of all PRNs, whatever the order of the rows.

    $$ U = \Big(\sum_i u_i\Big) \bmod 1 $$

    computed in integers (units of 2**-53), hence exactly. Any one uniform term makes the sum
    modulo 1 uniform, and it is symmetric, hence independent of the ranks of the u_i.

    Args:
        prn: u_i in (0, 1), shape (N,).
    """
    whole = np.rint(prn * 2.0**53).astype(np.uint64)
    total = int(whole.sum(dtype=np.uint64)) % (1 << 53)
    return float(total) * 2.0**-53 if total else 2.0**-54

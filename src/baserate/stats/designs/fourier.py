"""The law of a sum of independent Bernoulli variables, by its characteristic function.

Fixed-size designs of maximum entropy are Poisson sampling conditioned on its size, so their
inclusion probabilities are ratios of such laws. The inverse Fourier sum is exact for a finite
support; angles whose terms are below 1e-19 are left out, which makes a million units cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from baserate.stats.arrays import Array, IntArray

ComplexArray: TypeAlias = NDArray[np.complex128]

_CHUNK = 1 << 22
_NEGLIGIBLE_LOG = 45.0


@dataclass(frozen=True, eq=False)
class BernoulliSum:
    r"""S = sum of independent Bernoulli(p_i), seen through its characteristic function.

    $$ P(S = k) = \frac{1}{M} \sum_{t} e^{-i k \theta_t} \prod_j f_j(\theta_t), \qquad
       f_j(\theta) = 1 - p_j + p_j e^{i\theta}, \quad \theta_t = 2 \pi t / M $$

    M is odd, so no factor is 0, and large enough that aliases weigh less than 1e-19 (Bernstein).

    Args:
        prob: p_i in (0, 1), shape (N,).
        count: How many equal variables each p_i stands for, shape (N,); 1 by default.
    References: Fernandez & Williams (2010), Hong (2013).
    """

    prob: Array
    count: Array | None = None

    @property
    def variance(self) -> float:
        """Variance of S."""
        spread = self.prob * (1.0 - self.prob)
        return float(spread.sum() if self.count is None else (spread * self.count).sum())

    @property
    def n_variables(self) -> int:
        """Number of Bernoulli variables."""
        return self.prob.size if self.count is None else int(self.count.sum())

    def grid(self, reach: float = 0.0) -> tuple[Array, Array]:
        """Angles in [0, pi) and their weights; conjugates are folded in.

        Args:
            reach: How far from the mean the sum will be asked about.
        """
        variance = self.variance
        tail = 31.0 + np.sqrt(961.0 + 92.0 * variance)
        points = int(min(self.n_variables + 1, np.ceil(2.0 * tail + 2.0 * reach))) | 1
        angles = 2.0 * np.pi * np.arange(points // 2 + 1) / points
        angles = angles[variance * (1.0 - np.cos(angles)) <= _NEGLIGIBLE_LOG]
        weights = np.full(angles.size, 2.0 / points)
        weights[0] = 1.0 / points
        return angles, weights

    def factors(self, angles: Array, rows: slice | IntArray = slice(None)) -> ComplexArray:
        """f_j(theta_t) for the given rows, shape (rows, T)."""
        p = self.prob[rows]
        return np.asarray(1.0 + p[:, None] * np.expm1(1j * angles)[None, :])

    def chunks(self, n_angles: int) -> Iterator[slice]:
        """Slices of rows whose factors fit in memory."""
        step = max(1, _CHUNK // max(1, n_angles))
        for start in range(0, self.prob.size, step):
            yield slice(start, start + step)

    def product(self, angles: Array) -> ComplexArray:
        """Characteristic function of S at each angle, shape (T,)."""
        if self.count is None:
            product = np.ones(angles.size, dtype=np.complex128)
            for rows in self.chunks(angles.size):
                product *= np.multiply.reduce(self.factors(angles, rows), axis=0)
            return product
        log = np.zeros(angles.size, dtype=np.complex128)
        for rows in self.chunks(angles.size):
            log += (self.count[rows, None] * np.log(self.factors(angles, rows))).sum(axis=0)
        return np.asarray(np.exp(log))

    def pmf(self, k: int) -> float:
        """P(S = k)."""
        angles, weights = self.grid(abs(k - float(self._mean())))
        terms = self.product(angles) * np.exp(-1j * k * angles)
        return float((weights * terms).real.sum())

    def _mean(self) -> float:
        return float(self.prob.sum() if self.count is None else (self.prob * self.count).sum())


def lifted_factors(law: BernoulliSum, angles: Array, positions: IntArray) -> ComplexArray:
    """p_k e^{i theta} / f_k: the factor of a unit that is known to be in the sample."""
    lift = law.prob[positions][:, None] * np.exp(1j * angles)[None, :]
    return np.asarray(lift / law.factors(angles, positions))


def pair_sums(left: ComplexArray, core: ComplexArray, right: ComplexArray) -> Array:
    """Real part of left diag(core) right^T, shape (m, m)."""
    weighted = left * core[None, :]
    return np.asarray(weighted.real @ right.real.T - weighted.imag @ right.imag.T)

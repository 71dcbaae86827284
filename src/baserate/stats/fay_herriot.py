"""Small domains: the Fay–Herriot model. Model-based, to be shown beside the direct estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError

Method: TypeAlias = Literal["reml", "ml", "moment"]


@dataclass(frozen=True)
class FayHerriot:
    """A fitted Fay–Herriot model and the domains' EBLUPs.

    Attributes:
        estimate: EBLUP of each domain, shape (D,).
        mse: Estimated mean squared error of each EBLUP, shape (D,).
        direct_weight: γ, the weight that the direct estimate keeps, in [0, 1], shape (D,).
        synthetic: Regression prediction of each domain, shape (D,).
        coefficients: β̂, shape (p,).
        coefficient_cov: Covariance matrix of β̂, shape (p, p).
        model_variance: Variance between domains beyond the covariates, σ̂²; 0 trusts the
            regression wholly.
        log_likelihood: Full (not restricted) Gaussian log-likelihood at the estimates.
        method: How σ² was estimated.
        basis: Always "model-based".
    """

    estimate: Array
    mse: Array
    direct_weight: Array
    synthetic: Array
    coefficients: Array
    coefficient_cov: Array
    model_variance: float
    log_likelihood: float
    method: Method
    basis: str = "model-based"

    def predict(self, covariates: ArrayLike) -> tuple[Array, Array]:
        r"""Prediction and mean squared error for domains without any direct estimate.

        $$ x' \hat\beta, \qquad \hat\sigma^2 + x' \hat V(\hat\beta) x $$

        Args:
            covariates: One row per domain, as in the fit, shape (d, p).
        Assumes: the domains follow the model of the sampled ones.
        Bias: the mse ignores the uncertainty of σ̂² (of order 1/D).
        Raises: DesignError for a wrong shape.
        References: Rao & Molina (2015), sec. 6.1.
        """
        x = np.asarray(covariates, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.coefficients.size:
            raise DesignError(
                "covariates must have the columns of the fit",
                expected=f"shape (d, {self.coefficients.size})",
                got=f"shape {x.shape}",
            )
        finite("covariates", x.ravel())
        spread = np.einsum("ij,jk,ik->i", x, self.coefficient_cov, x)
        return x @ self.coefficients, self.model_variance + spread


def fay_herriot(
    direct: ArrayLike,
    variance: ArrayLike,
    covariates: ArrayLike,
    *,
    method: Method = "reml",
) -> FayHerriot:
    r"""EBLUP of each domain's mean: its direct estimate, drawn towards a regression.

    $$ \hat\theta_d = x_d'\beta + u_d + e_d, \quad u_d \sim (0, \sigma^2),\ e_d \sim (0, \psi_d),
       \qquad \tilde\theta_d = \gamma_d \hat\theta_d + (1 - \gamma_d)\, x_d'\hat\beta, \quad
       \gamma_d = \frac{\hat\sigma^2}{\hat\sigma^2 + \psi_d} $$

    with mse g1 + g2 + 2 g3, less the bias of σ̂² for "ml" and "moment".

    Args:
        direct: Design-based estimate of each domain, shape (D,).
        variance: ψ_d, its sampling variance, taken as known, positive, shape (D,). Domains with
            no positive label have V̂ = 0: smooth the variances over domains first (a generalised
            variance function), or leave the domain out and `predict` it.
        covariates: x_d, one row per domain; give the intercept as a column of ones, shape (D, p).
        method: "reml", "ml", or "moment" (Fay and Herriot's own equation).
    Assumes: covariates known without error; u independent of e; rates far enough from 0 that a
        symmetric model makes sense (else model the log or the logit).
    Bias: towards the regression, by design: it is not design-unbiased for any one domain.
    Raises: DesignError for D ≤ p, variances not positive, or collinear covariates.
    References: Fay & Herriot (1979); Prasad & Rao (1990); Datta & Lahiri (2000); Rao & Molina
        (2015), sec. 6.1-6.2.
    """
    y, psi, x = _read(direct, variance, covariates)
    if method not in _ESTIMATORS:
        raise DesignError("unknown method", expected=", ".join(_ESTIMATORS), got=str(method))
    sigma2 = _ESTIMATORS[method](y, psi, x)
    beta, cov, residual = _weighted_fit(sigma2, y, psi, x)
    gamma = sigma2 / (sigma2 + psi)
    synthetic = x @ beta
    total = sigma2 + psi
    log_likelihood = -0.5 * float(np.sum(np.log(2.0 * np.pi * total) + residual**2 / total))
    return FayHerriot(
        estimate=gamma * y + (1.0 - gamma) * synthetic,
        mse=_mse(sigma2, psi, x, cov, method),
        direct_weight=gamma,
        synthetic=synthetic,
        coefficients=beta,
        coefficient_cov=cov,
        model_variance=sigma2,
        log_likelihood=log_likelihood,
        method=method,
    )


def _read(
    direct: ArrayLike, variance: ArrayLike, covariates: ArrayLike
) -> tuple[Array, Array, Array]:
    y, psi = finite("direct", direct), finite("variance", variance)
    x = np.asarray(covariates, dtype=np.float64)
    if x.ndim != 2 or not x.shape[0] == y.size == psi.size:
        raise DesignError(
            "direct, variance and covariates need one row per domain",
            got=f"{y.size}, {psi.size} and shape {x.shape}",
        )
    finite("covariates", x.ravel())
    if y.size <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        raise DesignError(
            "the regression cannot be fitted",
            code="collinear",
            expected="more domains than covariates, and no covariate a sum of others",
            got=f"{y.size} domains, {x.shape[1]} covariates",
        )
    if psi.min() <= 0.0:
        raise DesignError(
            "variance has a value that is not positive",
            code="variance_not_positive",
            got=f"{psi.min()} at index {int(psi.argmin())}",
            hint="smooth the variances over domains, or leave the domain out and predict it",
        )
    return y, psi, x


def _weighted_fit(sigma2: float, y: Array, psi: Array, x: Array) -> tuple[Array, Array, Array]:
    weight = 1.0 / (sigma2 + psi)
    cov: Array = np.linalg.inv((x.T * weight) @ x).astype(np.float64)
    beta = cov @ (x.T @ (weight * y))
    return beta, cov, y - x @ beta


def _reml(y: Array, psi: Array, x: Array) -> float:
    return _maximise_likelihood(y, psi, x, restricted=True)


def _ml(y: Array, psi: Array, x: Array) -> float:
    return _maximise_likelihood(y, psi, x, restricted=False)


def _maximise_likelihood(y: Array, psi: Array, x: Array, *, restricted: bool) -> float:
    def deviance(sigma2: float) -> float:
        _, cov, residual = _weighted_fit(sigma2, y, psi, x)
        total = sigma2 + psi
        value = float(np.sum(np.log(total) + residual**2 / total))
        return value - float(np.linalg.slogdet(cov)[1]) if restricted else value

    grid = np.concatenate([[0.0], np.geomspace(1e-5, 1e2, 36) * _widest(y, psi, x)])
    best = int(np.argmin([deviance(s) for s in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = optimize.minimize_scalar(
        deviance, bounds=(low, high), method="bounded", options={"xatol": 1e-12 * high}
    )
    best_inside = float(found.x)
    at_zero = deviance(0.0)
    return 0.0 if at_zero <= deviance(best_inside) + 1e-12 * abs(at_zero) else best_inside


def _moment(y: Array, psi: Array, x: Array) -> float:
    def excess(sigma2: float) -> float:
        _, _, residual = _weighted_fit(sigma2, y, psi, x)
        return float(np.sum(residual**2 / (sigma2 + psi)) - (y.size - x.shape[1]))

    if excess(0.0) <= 0.0:
        return 0.0
    high = _widest(y, psi, x)
    while excess(high) > 0.0:
        high *= 2.0
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-14 * high))


def _widest(y: Array, psi: Array, x: Array) -> float:
    """A scale for σ²: the residual variance of an unweighted fit, or of the sampling errors."""
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(max(residual @ residual / (y.size - x.shape[1]), psi.mean()))


_ESTIMATORS: dict[str, Callable[[Array, Array, Array], float]] = {
    "reml": _reml,
    "ml": _ml,
    "moment": _moment,
}


def _mse(sigma2: float, psi: Array, x: Array, cov: Array, method: Method) -> Array:
    weight = 1.0 / (sigma2 + psi)
    shrink = psi * weight  # 1 − γ
    g1 = sigma2 * shrink
    g2 = shrink**2 * np.einsum("ij,jk,ik->i", x, cov, x)
    squares, total, n = float(weight @ weight), float(weight.sum()), psi.size
    sigma2_variance = 2.0 * n / total**2 if method == "moment" else 2.0 / squares
    g3 = psi**2 * weight**3 * sigma2_variance
    bias = 0.0
    if method == "ml":
        bias = -float(np.trace(cov @ ((x.T * weight**2) @ x))) / squares
    elif method == "moment":
        bias = 2.0 * (n * squares - total**2) / total**3
    return np.asarray(g1 + g2 + 2.0 * g3 - bias * shrink**2, dtype=np.float64)

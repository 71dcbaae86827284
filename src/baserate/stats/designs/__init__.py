"""Sampling designs: each one object that states probabilities and selects from PRNs."""

from baserate.stats.designs.base import (
    DeliveredProbabilityWarning,
    Design,
    JointProbs,
    UnitDesign,
    VarianceEstimator,
)
from baserate.stats.designs.independent import Bernoulli, Poisson
from baserate.stats.designs.order import Pareto, SequentialPoisson, SimpleRandom
from baserate.stats.designs.registry import design_names, draw_design

__all__ = [
    "Bernoulli",
    "DeliveredProbabilityWarning",
    "Design",
    "JointProbs",
    "Pareto",
    "Poisson",
    "SequentialPoisson",
    "SimpleRandom",
    "UnitDesign",
    "VarianceEstimator",
    "design_names",
    "draw_design",
]

"""Sampling designs: each one object that states probabilities and selects from PRNs.

A design is built from inclusion probabilities (`stats.inclusion`) and draws from permanent
random numbers, so that the same units are drawn on every engine and in a re-run. It names the
variance estimator that fits it:

| word | variance estimator |
|---|---|
| poisson | sum of (1 - pi) e^2 / pi^2 |
| fixed_size | Hájek-Deville: weighted squares around their mean, c = 1 - pi |
| sen_yates_grundy | from joint probabilities |
| successive_difference | squared differences of neighbours in the order of the frame |
| with_replacement | Hansen-Hurwitz, between draws |
| stratified, two_phase | sum over strata, or phases, each by its own part's estimator |
| ultimate_cluster | between clusters of the first stage |
"""

from baserate.stats.designs.base import (
    DeliveredProbabilityWarning,
    Design,
    JointProbs,
    UnitDesign,
    VarianceEstimator,
)
from baserate.stats.designs.bottom_k import BottomK
from baserate.stats.designs.clusters import Cluster, TwoStage
from baserate.stats.designs.conditional import ConditionalPoisson, Sampford
from baserate.stats.designs.coordination import (
    Overlap,
    expected_overlap,
    panel_rotation,
    rotated,
    union_inclusion_prob,
)
from baserate.stats.designs.delivered import DeliveredProbs, delivered_inclusion_probs
from baserate.stats.designs.elimination import TilleElimination
from baserate.stats.designs.hajek import fixed_point_b, hajek_b
from baserate.stats.designs.independent import Bernoulli, Poisson
from baserate.stats.designs.order import Pareto, SequentialPoisson, SimpleRandom
from baserate.stats.designs.registry import design_names, draw_design
from baserate.stats.designs.stratified import Stratified, stratified_design
from baserate.stats.designs.systematic import Systematic
from baserate.stats.designs.two_phase import TwoPhase, TwoPhaseSample
from baserate.stats.designs.with_replacement import WithReplacement, pps_with_replacement

__all__ = [
    "Bernoulli",
    "BottomK",
    "Cluster",
    "ConditionalPoisson",
    "DeliveredProbabilityWarning",
    "DeliveredProbs",
    "Design",
    "JointProbs",
    "Overlap",
    "Pareto",
    "Poisson",
    "Sampford",
    "SequentialPoisson",
    "SimpleRandom",
    "Stratified",
    "Systematic",
    "TilleElimination",
    "TwoPhase",
    "TwoPhaseSample",
    "TwoStage",
    "UnitDesign",
    "VarianceEstimator",
    "WithReplacement",
    "delivered_inclusion_probs",
    "design_names",
    "draw_design",
    "expected_overlap",
    "fixed_point_b",
    "hajek_b",
    "panel_rotation",
    "pps_with_replacement",
    "rotated",
    "stratified_design",
    "union_inclusion_prob",
]

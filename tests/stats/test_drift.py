"""Drift: whoever does not change is not accused, and whoever does is found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from baserate.stats.sequential import evidence_of_drift, watch_errors
from baserate.terms.errors import DesignError


@pytest.mark.parametrize("reference", [None, 0.3])
def test_over_every_sequence_the_evidence_averages_to_one_at_most(reference):
    sequences = np.array(list(itertools.product((0, 1), repeat=12)))
    evidence = np.exp(evidence_of_drift(sequences, reference=reference))
    rates = np.linspace(0.0, 1.0 if reference is None else reference, 31)
    for length in (1, 5, 12):
        s = sequences.sum(axis=1)
        for m in rates:
            chance = m**s * (1.0 - m) ** (12 - s)
            assert chance @ evidence[:, length - 1] <= 1.0 + 1e-12


def test_against_a_reference_no_course_of_lower_rates_gains_on_average():
    sequences = np.array(list(itertools.product((0, 1), repeat=10)))
    evidence = np.exp(evidence_of_drift(sequences, reference=0.4))
    for course in ([0.4] * 10, [0.0] * 5 + [0.4] * 5, [0.4, 0.1] * 5, [0.4] * 5 + [0.2] * 5):
        m = np.array(course)
        chance = np.prod(np.where(sequences == 1, m, 1.0 - m), axis=1)
        for length in range(1, 11):
            assert chance @ evidence[:, length - 1] <= 1.0 + 1e-12


def test_of_quiet_labelers_hardly_any_gets_an_alarm_however_long_they_are_watched():
    rng = np.random.default_rng(5)
    wrong = rng.random((100, 500)) < np.repeat([0.05, 0.2], 50)[:, None]
    for reference in (None, 0.2):
        evidence = evidence_of_drift(wrong, reference=reference)
        assert (evidence >= np.log(20)).any(axis=1).mean() <= 0.05 + 2.0 * np.sqrt(0.0475 / 100)


def test_a_labeler_who_gets_worse_is_found_since_when_and_one_who_improves_is_told_apart():
    rng = np.random.default_rng(8)
    wrong = np.concatenate([rng.random(600) < 0.08, rng.random(400) < 0.25])
    found = watch_errors(wrong, alpha=0.05)
    assert found.direction == "worse"
    assert found.alarm_at is not None
    assert found.onset_at is not None
    assert 600 <= found.alarm_at < 1000
    assert abs(found.onset_at - 600) < 60
    assert watch_errors(wrong[::-1], alpha=0.05).direction == "better"
    assert watch_errors(wrong[::-1], alpha=0.05, reference=0.3).alarm_at is None
    below = watch_errors(rng.random(300) < 0.3, reference=0.1)
    assert below.direction == "worse"
    assert below.onset_at is not None
    assert below.onset_at < 20


def test_what_is_no_answer_is_refused():
    for error, more in (([], {}), ([0, 0.5], {}), ([np.nan], {}), ([0, 1], {"reference": 1.0})):
        with pytest.raises(DesignError):
            evidence_of_drift(error, **more)
    with pytest.raises(DesignError):
        watch_errors([[0, 1]])

"""Agreement of real raters on hate and violence, read at run time from a published package.

The tables are in the wheel pyrit 1.1.0 (MIT): `pip download --no-deps pyrit==1.1.0` into
`.cache/wheels/`. Rows are read here and never stored.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from baserate.stats.agreement import cohen_kappa, gwet_ac, krippendorff_alpha
from baserate.stats.labelers import dawid_skene

WHEEL = Path(__file__).parents[2] / ".cache" / "wheels" / "pyrit-1.1.0-py3-none-any.whl"
pytestmark = pytest.mark.skipif(
    not WHEEL.exists(), reason="pyrit 1.1.0 is not in .cache/wheels: pip download it there"
)


def ratings(name: str) -> np.ndarray:
    """Scores 0, 0.25 … 1 of three raters, shape (n, 3)."""
    with zipfile.ZipFile(WHEEL) as wheel:
        text = wheel.read(f"pyrit/datasets/scorer_evals/harm/{name}_multi_score.csv").decode()
    _, table = text.split("\n", 1)  # the first line states versions
    rows = csv.DictReader(io.StringIO(table))
    return np.array([[float(row[f"human_score_{k}"]) for k in (1, 2, 3)] for row in rows])


@pytest.mark.parametrize(
    ("name", "n_units", "alpha", "positive"),
    [
        ("hate_speech", 199, 0.7595, (0.528, 0.593, 0.623)),
        ("violence", 187, 0.5856, (0.572, 0.497, 0.337)),
    ],
)
def test_three_raters_called_violating_from_one_half_up(name, n_units, alpha, positive):
    said = (ratings(name) >= 0.5).astype(float)
    found = krippendorff_alpha(said)
    assert said.shape == (n_units, 3)
    assert found.value == pytest.approx(alpha, abs=5e-5)
    assert said.mean(axis=0) == pytest.approx(positive, abs=5e-4)
    assert found.low < alpha < found.high
    assert gwet_ac(said).value == pytest.approx(alpha, abs=0.02)  # common positives: no paradox


def test_the_scale_agrees_more_than_its_cut_and_the_lenient_rater_stands_out():
    scores = ratings("violence")
    said = scores >= 0.5
    assert krippendorff_alpha(scores, metric="ordinal").value > krippendorff_alpha(said).value
    pairs = [cohen_kappa(said[:, pair].astype(float)).value for pair in ([0, 1], [0, 2], [1, 2])]
    assert pairs[0] == max(pairs)
    item, rater = np.indices(said.shape)
    fit = dawid_skene(item.ravel(), rater.ravel(), said.ravel().astype(int), n_classes=2)
    sensitivity = fit.confusion[:, 1, 1]
    assert sensitivity.argmin() == 2  # the third calls fewest items violating, and misses most

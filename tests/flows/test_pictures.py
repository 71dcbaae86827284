"""Pictures from the sample to the judge: kept by the main job, judged after they were deleted."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from baserate.cli.app import app
from baserate.flows.measure import day_stages, run_days
from baserate.flows.picturing import sweep_pictures
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.labels.judges.images import readable_images
from baserate.terms.errors import ProgrammeError
from baserate.worlds.replay.photos import PHOTOS
from tests.images.conftest import as_bytes, drawn

DAY = date(2026, 1, 5)
SECTION = """
images:
  base: photos
  prefixes: {"skimage:": "", "photos/": ""}
  retention_days: 30
"""


@pytest.fixture(scope="module")
def run_once(logged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day through all stages; its Pins have pictures, one of them missing and one broken."""
    folder = tmp_path_factory.mktemp("pictures") / "workspace"
    shutil.copytree(logged, folder)
    text = (folder / "baserate.yaml").read_text().split("\nimages:")[0]
    lines = [x for x in text.splitlines() if "absent_means" not in x]
    text = "\n".join(lines).replace("kind: lookup", "kind: files") + SECTION
    (folder / "baserate.yaml").write_text(text)
    shutil.rmtree(folder / "photos", ignore_errors=True)
    (folder / "photos").mkdir()
    for k, photo in enumerate(PHOTOS[1:]):
        (folder / "photos" / photo.file).write_bytes(as_bytes(drawn(k)))
    (folder / "photos" / PHOTOS[1].file).write_bytes(as_bytes(drawn(1))[:200])
    with open_workspace(folder) as workspace:
        stages = Stages(workspace)
        run_days(stages, [DAY], wanted=day_stages(stages.programme))
    return folder


@pytest.fixture
def pictured(run_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    copy = tmp_path / "workspace"
    shutil.copytree(run_once, copy)
    return copy


def test_what_the_sample_showed_is_judged_as_it_was_after_it_was_deleted(pictured: Path) -> None:
    with open_workspace(pictured) as workspace:
        stages = Stages(workspace)
        wanted = day_stages(stages.programme)
        assert wanted == ("records", "sample", "images", "judge", "review", "collect")
        table = stages.store.read("images", DAY)
        counted = {r["values"]: r["counts"] for r in pc.value_counts(table["status"]).to_pylist()}
        assert counted.pop("missing") == counted.pop("broken") == 1
        assert counted.pop("kept") == len(table) - 2 > 5
        assert not counted

        (pictured / "photos").rename(pictured / "gone")
        again = run_days(stages, [DAY], wanted=wanted)
        assert not [done.stage for done in again if done.ran]
        stages.force = True
        run_days(stages, [DAY], wanted=("images",))
        assert stages.store.read("images", DAY).equals(table)

        ids = stages.store.read("samples", DAY, ["interaction_id"])["interaction_id"].to_pylist()
        units = stages.content(DAY, ids)
        pins = [s for u in units for s in u.subjects if s.image_ref is not None]
        shown = sum(len(readable_images(u, pictured)) for u in units)
        assert shown == sum(s.picture is not None and s.picture.is_shown for s in pins) > 50
        lost = [s for s in pins if s.lost_its_image]
        assert len(lost) + shown == len(pins)
        assert {s.picture.status for s in lost if s.picture} == {"missing", "broken"}

        asked = [json.loads(x) for x in (pictured / f"worklists/{DAY}.jsonl").open()]
        paths = {x.split(" | ")[2] for q in asked for x in q["pictures"].splitlines()}
        assert paths
        for path in paths:
            assert (pictured / "worklists" / path).resolve().is_relative_to(pictured / "images")
            assert (pictured / "worklists" / path).is_file()
        assert any("(not there: There was no such picture" in q["content"] for q in asked)

        assert sweep_pictures(stages, date(2026, 2, 4)).pictures == 0
        assert sweep_pictures(stages, date(2026, 2, 5)).pictures > 5
        assert not any(len(readable_images(u, pictured)) for u in stages.content(DAY, ids))
        stages.force = False
        assert not [d.stage for d in run_days(stages, [DAY], wanted=wanted) if d.ran]


def test_the_commands_tell_what_became_of_pictures(pictured: Path) -> None:
    def told(*words: object) -> str:
        done = CliRunner().invoke(app, ["images", *map(str, words), "--workspace", str(pictured)])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    assert "no such file" in told("fetch", "--from", DAY, "--to", DAY)
    rows = json.loads(told("show", "--json"))
    assert {r["status"] for r in rows} == {"kept", "missing", "broken"}
    swept = json.loads(told("sweep", "--as-of", "2027-01-01", "--json"))
    assert swept["pictures"] == len({r["content_sha256"] for r in rows} - {None})
    assert {r["status"] for r in json.loads(told("show", "--json"))} == {
        *("expired", "missing", "broken")
    }
    programme = pictured / "baserate.yaml"
    programme.write_text(programme.read_text().split("\nimages:")[0] + "\n")
    with pytest.raises(ProgrammeError, match="no section images"):
        told("show")

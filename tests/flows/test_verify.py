"""Verification says yes to a release as it was made, and no to anything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from baserate.release.files import canonical, digest_of, digest_of_file, sums_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(measured: Path, tmp_path: Path) -> Path:
    """A writable copy of the release."""
    (release,) = (measured / "releases").glob("[!.]*")
    copy = tmp_path / release.name
    shutil.copytree(release, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def test_a_release_as_it_was_made_is_verified(run: Run, bundle: Path) -> None:
    code, out, _ = run("verify", bundle, "--json")
    assert code == 0, out
    content = json.loads(out)
    names = {c["name"] for c in content["checks"]}
    assert content["verified"] is True
    assert "policies_are_those_of_the_labels" in names
    assert {"sample_is_redrawn", "review_sample_is_redrawn", "figures_are_recomputed"} <= names


def test_another_release_than_the_one_quoted_is_refused(run: Run, bundle: Path) -> None:
    assert run("verify", bundle, "--release-id", "another-release")[0] == 1


def test_an_altered_file_is_named(run: Run, bundle: Path) -> None:
    table = pq.read_table(bundle / "tables/estimates.parquet")
    pq.write_table(table.slice(1), bundle / "tables/estimates.parquet")
    code, _, err = run("verify", bundle)
    assert code == 1
    assert "tables/estimates.parquet" in err


def test_the_policy_in_force_is_in_the_release_and_another_wording_is_refused(
    run: Run, bundle: Path
) -> None:
    report = (bundle / "report.html").read_text()
    assert 'href="policies/hate_speech.md"' in report
    assert 'href="policies/hate_speech.html"' in report
    assert (bundle / "policies/hate_speech.html").is_file()
    document = bundle / "policies/hate_speech.md"
    words = document.read_text()
    document.write_text(words.replace("Demeaning.", "Demeaning of a person.", 1))
    assert "policies/hate_speech.md" in run("verify", bundle)[2]
    code, out, _ = run("verify", _sign_again(bundle), "--json")
    assert code == 1
    failed = [c["name"] for c in json.loads(out)["checks"] if not c["passed"]]
    assert failed == ["policies_are_those_of_the_labels"]


def _scaled(column: str, factor: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(column)
        return table.set_column(at, table.schema.field(at), pc.multiply(table[column], factor))

    return change


def _first_verdict_flipped(table: pa.Table) -> pa.Table:
    rows = table.to_pylist()
    for row in rows:
        if row["verdict"] == "not_violating" and row["subject_kind"] == "interaction":
            row["verdict"] = "violating"
            break
    return pa.Table.from_pylist(rows, schema=table.schema)


def _without_first(table: pa.Table) -> pa.Table:
    return table.slice(1)


@pytest.mark.parametrize(
    ("file", "change", "refused_by"),
    [
        ("tables/estimates.parquet", _scaled("value", 0.5), "figures_are_recomputed"),
        ("tables/estimates.parquet", _scaled("upper", 0.9), "figures_are_recomputed"),
        ("tables/review_labels.parquet", _first_verdict_flipped, "review_outcomes_follow"),
        ("tables/labels.parquet", _first_verdict_flipped, "outcomes_follow_from_labels"),
        ("tables/samples.parquet", _without_first, "sample_is_redrawn"),
        ("tables/frame_totals.parquet", _scaled("value", 2.0), "frame_totals_add_up"),
    ],
)
def test_a_forger_who_signs_again_is_found_out(
    run: Run, bundle: Path, file: str, change: Callable[[pa.Table], pa.Table], refused_by: str
) -> None:
    pq.write_table(change(pq.read_table(bundle / file)), bundle / file)
    forged = _sign_again(bundle)
    code, out, err = run("verify", forged, "--json")
    assert code == 1, err
    failed = [c["name"] for c in json.loads(out)["checks"] if not c["passed"]]
    assert any(refused_by in name for name in failed), failed


def _sign_again(bundle: Path) -> Path:
    """All digests made anew over altered content, as a forger with our code would."""
    manifest = json.loads((bundle / "release.json").read_text())
    for name, described in manifest["content"]["files"].items():
        if name != "report.html":
            described["sha256"] = digest_of_file(bundle / name)
            described["bytes"] = (bundle / name).stat().st_size
    digest = digest_of(canonical(manifest["content"]))
    old = manifest["release_id"]
    new = f"{old[:-12]}{digest[:12]}"
    manifest |= {"content_digest": digest, "release_id": new}
    (bundle / "release.json").write_text(json.dumps(manifest))
    report = (bundle / "report.html").read_text()
    (bundle / "report.html").write_text(report.replace(old, new))
    (bundle / "SHA256SUMS").write_text(sums_of(bundle, "SHA256SUMS"))
    return bundle


def test_one_altered_byte_in_the_list_of_sums_is_found(run: Run, bundle: Path) -> None:
    sums = bundle / "SHA256SUMS"
    text = sums.read_text()
    sums.write_text(("1" if text[0] == "0" else "0") + text[1:])
    code, _, err = run("verify", bundle)
    assert code == 1
    assert "SHA256SUMS" in err

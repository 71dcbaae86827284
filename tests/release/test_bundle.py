"""A release is one directory that appears whole, holds no text, and shows every alteration."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from baserate.release.bundle import (
    RELEASE_ID,
    Bundle,
    CommitRef,
    Provenance,
    read_bundle,
    write_bundle,
)
from baserate.release.gates import decide, run_gates
from baserate.terms.errors import EngineError, TableError, VerificationFailed

Writer = Callable[..., Path]
REPORT = f"<!doctype html><title>{RELEASE_ID}</title><p>{RELEASE_ID}</p>"


def provenance(second: int = 0, run: str = "a1") -> Provenance:
    return Provenance(
        code_version="0.1.0",
        libraries={"numpy": "2.4.0"},
        salts={"1": "a-salt-of-this-test|1"},
        commits=(CommitRef("estimates", "2026-01-01..2026-01-03", 648, "5e" * 32, run),),
        created_at=datetime(2026, 1, 5, 9, 0, second, tzinfo=UTC),
    )


@pytest.fixture(scope="module")
def parts(world: Any) -> dict[str, Any]:
    gates = run_gates(world.inputs)
    return {
        "programme": world.programme,
        "programme_text": world.programme_text,
        "start": world.inputs.start,
        "end": world.inputs.end,
        "tables": world.tables,
        "gates": gates,
        "decisions": decide(world.inputs, gates),
        "report_html": REPORT,
    }


@pytest.fixture
def write(world: Any, parts: dict[str, Any], tmp_path: Path) -> Writer:
    def writer(**changes: Any) -> Path:
        given = {
            **parts,
            "frame": world.frame.items(),
            "provenance": provenance(),
            "releases": tmp_path / "releases",
            **changes,
        }
        return write_bundle(given.pop("releases"), **given)

    return writer


@pytest.fixture
def copy(write: Writer, tmp_path: Path) -> Path:
    """A bundle that may be altered."""
    path = tmp_path / "copy"
    shutil.copytree(write(), path)
    for name in [path, *path.rglob("*")]:
        name.chmod(0o755 if name.is_dir() else 0o644)
    return path


def test_what_was_written_is_read_back(write: Writer, world: Any, parts: dict[str, Any]) -> None:
    path = write()
    bundle = read_bundle(path, release_id=path.name)
    assert bundle.release_id == path.name
    assert path.name.startswith("assistant-2026-01-01-2026-01-03-")
    assert (bundle.start, bundle.end) == (parts["start"], parts["end"])
    assert bundle.programme_text == world.programme_text
    assert bundle.gates == parts["gates"]
    assert bundle.decisions.equals(parts["decisions"])
    assert {*world.tables, "gates", "decisions"} == set(bundle.table_names)
    key = [("ds", "ascending"), ("interaction_id", "ascending")]
    assert bundle.table("samples").equals(world.inputs.samples.sort_by(key))
    assert len(bundle.estimates) == len(world.inputs.estimates)
    assert bundle.days == tuple(world.frame)
    for day in bundle.days:
        frame = bundle.frame(day)
        assert frame.equals(world.frame[day].select(frame.column_names).sort_by("interaction_id"))
    assert bundle.report_html == REPORT.replace(RELEASE_ID, path.name)


def test_the_same_content_is_the_same_release_whenever_it_is_made(
    write: Writer, tmp_path: Path, world: Any
) -> None:
    first = write()
    before = (first / "release.json").read_bytes()
    assert write(provenance=provenance(second=30, run="b2")) == first
    assert (first / "release.json").read_bytes() == before
    shuffled = {name: t.take(list(reversed(range(len(t))))) for name, t in world.tables.items()}
    elsewhere = write(releases=tmp_path / "elsewhere", tables=shuffled)
    assert elsewhere.name == first.name
    for file in sorted(p for p in first.rglob("*") if p.is_file()):
        assert (elsewhere / file.relative_to(first)).read_bytes() == file.read_bytes()


def test_other_content_is_another_release(write: Writer, world: Any) -> None:
    fewer = {**world.tables, "labels": world.inputs.labels.slice(1)}
    paths = {
        write(),
        write(tables=fewer),
        write(report_html=REPORT + " "),
        write(programme_text=world.programme_text + "\n"),
        write(frame=list(world.frame.items())[:2]),
    }
    assert len(paths) == 5


def test_a_decision_without_its_estimate_is_refused(write: Writer, world: Any) -> None:
    none = {**world.tables, "estimates": world.inputs.estimates.slice(0, 0)}
    with pytest.raises(TableError, match="no estimate for a figure"):
        write(tables=none)


def test_no_word_of_people_or_models_goes_in(write: Writer, world: Any) -> None:
    bundle = read_bundle(write())
    for name in ("labels", "review_labels"):
        table = bundle.table(name)
        assert set(table["reason"].to_pylist()) == {None}
        assert "labeled_at" not in table.column_names
    with pytest.raises(TableError, match="never go into a bundle"):
        write(tables={**world.tables, "interactions": pa.table({"interaction_id": ["a"]})})
    day = date(2026, 1, 1)
    spoken = world.frame[day].append_column(
        "query_text", pa.array(["said"] * len(world.frame[day]))
    )
    with pytest.raises(TableError, match="query_text"):
        write(frame=[(day, spoken)])


def test_the_fixed_words_of_a_missing_label_stay(write: Writer, world: Any) -> None:
    labels = world.inputs.labels
    reasons = pa.array(["refused"] + ["because the text says so"] * (len(labels) - 1))
    labels = labels.set_column(labels.column_names.index("reason"), "reason", reasons)
    kept = read_bundle(write(tables={**world.tables, "labels": labels})).table("labels")
    assert sorted(set(kept["reason"].to_pylist()), key=str) == [None, "refused"]


def test_a_missing_table_or_column_is_named(write: Writer, world: Any) -> None:
    without = {name: t for name, t in world.tables.items() if name != "audit"}
    with pytest.raises(TableError, match="needs the table\\(s\\) audit"):
        write(tables=without)
    bare = {**world.tables, "samples": world.inputs.samples.drop_columns(["prn"])}
    with pytest.raises(TableError, match=r"samples: column\(s\) missing: prn"):
        write(tables=bare)


def test_the_manifest_tells_numbers_only_as_far_as_they_were_released(
    write: Writer, parts: dict[str, Any]
) -> None:
    content = json.loads((write() / "release.json").read_text())["content"]
    told = {(f["policy"], f["estimand"]): f for f in content["figures"]}
    assert len(told) == 9
    rate = told["hate", "interaction_rate"]
    assert 0 < rate["lower"] < rate["value"] < rate["upper"] < 1
    bound = told["minors", "interaction_rate"]
    assert "value" not in bound
    assert "lower" not in bound
    assert bound["told"].startswith("at most ")
    held = pa.Table.from_pylist(
        [
            row | {"decision": "held", "gate": "frame_is_complete", "because": "A day is missing."}
            for row in parts["decisions"].to_pylist()
        ],
        schema=parts["decisions"].schema,
    )
    content = json.loads((write(decisions=held) / "release.json").read_text())["content"]
    assert not any({"value", "lower", "upper"} & f.keys() for f in content["figures"])


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda p: (p / "tables/samples.parquet").write_bytes(b"x"), "altered: tables/samples"),
        (lambda p: (p / "report.html").write_text("better news"), "altered: report.html"),
        (lambda p: (p / "programme.yaml").open("a").write("#"), "altered: programme.yaml"),
        (lambda p: (p / "frame/ds=2026-01-02.parquet").unlink(), "missing: frame/ds=2026-01-02"),
        (lambda p: (p / "tables/more.parquet").write_bytes(b""), "added: tables/more.parquet"),
    ],
)
def test_every_alteration_is_named(copy: Path, harm: Callable[[Path], object], told: str) -> None:
    assert isinstance(read_bundle(copy), Bundle)
    harm(copy)
    with pytest.raises(VerificationFailed, match=told):
        read_bundle(copy)


def test_one_flipped_bit_in_any_file_is_seen(copy: Path) -> None:
    files = [p for p in copy.rglob("*") if p.is_file() and p.name != "SHA256SUMS"]
    assert len(files) > 12
    for file in files:
        good = file.read_bytes()
        middle = len(good) // 2
        file.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        with pytest.raises(VerificationFailed):
            read_bundle(copy)
        file.write_bytes(good)
    read_bundle(copy)


def test_a_manifest_rewritten_to_fit_has_another_id(copy: Path) -> None:
    manifest = json.loads((copy / "release.json").read_text())
    manifest["content"]["figures"][0]["told"] = "0.0 per 10,000"
    (copy / "release.json").write_text(json.dumps(manifest))
    with pytest.raises(VerificationFailed, match="does not give its id"):
        read_bundle(copy)


def test_another_release_than_the_quoted_one_is_refused(write: Writer) -> None:
    with pytest.raises(VerificationFailed, match="another release"):
        read_bundle(write(), release_id="assistant-2026-01-01-2026-01-03-000000000000")


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"release_id": 1}', b"\xff\xfe"])
def test_a_directory_that_is_no_release_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "release.json").write_bytes(content)
    with pytest.raises(VerificationFailed):
        read_bundle(tmp_path)


def test_an_outsider_checks_the_sums_with_a_standard_tool(write: Writer) -> None:
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("sha256sum is not installed")
    done = subprocess.run(
        [tool, "--strict", "-c", "SHA256SUMS"], cwd=write(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_release_is_read_only_and_alone(write: Writer) -> None:
    path = write()
    for name in [path, *path.rglob("*")]:
        assert not stat.S_IMODE(name.stat().st_mode) & 0o222
    assert [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] == [path.name]
    assert not list(path.parent.glob(".writing-*"))


def test_nothing_is_visible_after_a_failure(write: Writer, world: Any, tmp_path: Path) -> None:
    def breaking() -> Iterator[tuple[date, pa.Table]]:
        yield next(iter(world.frame.items()))
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        write(frame=breaking())
    assert [p.name for p in (tmp_path / "releases").iterdir()] == [".lock"]


def test_a_release_that_was_altered_is_not_taken_for_the_same(write: Writer) -> None:
    path = write()
    report = path / "report.html"
    report.chmod(0o644)
    report.write_text("better news")
    with pytest.raises(VerificationFailed, match=r"report\.html"):
        write()


def test_a_place_that_cannot_be_written_is_named(write: Writer, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EngineError, match="could not be written"):
        write(releases=blocked / "releases")


def _write_slowly(parts: dict[str, Any], frame: dict[date, pa.Table], folder: str) -> None:
    def slow() -> Iterator[tuple[date, pa.Table]]:
        for item in frame.items():
            yield item
            time.sleep(30)

    write_bundle(Path(folder), frame=slow(), provenance=provenance(), **parts)


def test_a_killed_writer_leaves_nothing_that_the_next_one_keeps(
    write: Writer, world: Any, parts: dict[str, Any], tmp_path: Path
) -> None:
    releases = tmp_path / "releases"
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=_write_slowly, args=(parts, world.frame, str(releases)))
    writer.start()
    until = time.monotonic() + 120
    while not list(releases.glob(".writing-*/frame/*")) and time.monotonic() < until:
        time.sleep(0.02)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert [p for p in releases.iterdir() if not p.name.startswith(".")] == []
    path = write()
    assert sorted(p.name for p in releases.iterdir()) == [".lock", path.name]
    read_bundle(path)

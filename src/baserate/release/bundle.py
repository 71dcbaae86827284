"""The bundle: one immutable directory per release, named by the digest of what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.release.evidence import evidence_frame, evidence_tables
from baserate.release.files import (
    ReleaseFolder,
    canonical,
    digest_of,
    digest_of_file,
    files_below,
    sums_of,
)
from baserate.release.gates import DECISIONS
from baserate.release.manifest import told_figures, told_gates
from baserate.release.results import GateResult, gates_from_table, gates_table
from baserate.terms.errors import VerificationFailed
from baserate.terms.programme import Programme

MANIFEST = "release.json"
SUMS = "SHA256SUMS"
REPORT = "report.html"
PROGRAMME = "programme.yaml"
POLICIES = "policies"
FORMAT = 1

#: Written in the report where the release's own id belongs; the digest is taken with it.
RELEASE_ID = "@@release-id@@"

HOW_TO_VERIFY = (
    "1. `sha256sum -c SHA256SUMS` in this directory: every file is as it was written.",
    "2. The sha256 of the section `content` of release.json, as JSON with sorted keys and no "
    "spaces, is `content_digest`; its first 12 digits end the release's id. The report's digest "
    f"is taken with the id written as {RELEASE_ID}. Compare the id with the one you were given.",
    "3. `baserate verify <this directory>` does both, then redraws the sample from frame/ with the "
    "published salts and recomputes every figure of tables/estimates.parquet from the samples, "
    "labels and frame totals in tables/.",
    "4. What was measured stands in programme.yaml, and word for word in policies/ where a policy "
    "is a document: `baserate verify` reads each and holds it against the versions of the labels.",
)


@dataclass(frozen=True)
class CommitRef:
    """A committed table that went into the release.

    Args:
        table: Its name.
        ds: The day, or the period's key.
        rows: Number of rows.
        digest: Digest of its content.
        run: The run that wrote it; told, but no part of the release's id.
    """

    table: str
    ds: str
    rows: int
    digest: str
    run: str = ""


@dataclass(frozen=True)
class PolicyDocument:
    """A written policy that was in force, as it goes into the release.

    Args:
        policy: Policy id.
        version: Version of the wording, which labels name.
        digest: sha256 of all in it that bears on a verdict.
        seal: The seal in the document; '' where it was never sealed.
        text: The document, word for word.
        page: The same as reviewers read it, in HTML.
    """

    policy: str
    version: str
    digest: str
    seal: str
    text: str
    page: str

    @property
    def file(self) -> str:
        """Name of the document in the bundle."""
        return f"{POLICIES}/{self.policy}.md"

    @property
    def page_file(self) -> str:
        """Name of the page in the bundle."""
        return f"{POLICIES}/{self.policy}.html"

    def described(self) -> dict[str, str]:
        """What release.json says of it."""
        told = {"policy": self.policy, "version": self.version, "file": self.file}
        return told | {"page": self.page_file, "digest": self.digest, "seal": self.seal}


@dataclass(frozen=True)
class Provenance:
    """What made the release.

    Args:
        code_version: Version of baserate.
        libraries: Version of each library that computes, by name.
        salts: Salt of each phase's permanent random numbers, by phase.
        commits: The committed tables that went in.
        created_at: When it was made; told, but no part of the release's id.
    """

    code_version: str
    libraries: Mapping[str, str]
    salts: Mapping[str, str]
    commits: tuple[CommitRef, ...]
    created_at: datetime


@dataclass(frozen=True)
class Bundle:
    """A release that was read back and whose digests are right."""

    path: Path
    release_id: str
    content: dict[str, Any] = field(repr=False)
    volatile: dict[str, Any] = field(repr=False)

    @property
    def start(self) -> date:
        """First day of the period."""
        return date.fromisoformat(self.content["period"]["start"])

    @property
    def end(self) -> date:
        """Last day of the period."""
        return date.fromisoformat(self.content["period"]["end"])

    @property
    def policies(self) -> list[dict[str, str]]:
        """Written policies in the bundle; none in releases of earlier versions."""
        return list(self.content.get("policies", ()))

    @cached_property
    def programme_text(self) -> str:
        """The programme file, as it was."""
        return (self.path / PROGRAMME).read_text(encoding="utf-8")

    @property
    def report_html(self) -> str:
        """The report."""
        return (self.path / REPORT).read_text(encoding="utf-8")

    @property
    def table_names(self) -> tuple[str, ...]:
        """Tables in the bundle."""
        names = (Path(name) for name in self.content["files"])
        return tuple(n.stem for n in names if n.parent == Path("tables"))

    def table(self, name: str) -> pa.Table:
        """A table of the evidence: ``estimates``, ``samples``, ``labels``, ..."""
        return pq.ParquetFile(self.path / "tables" / f"{name}.parquet").read()

    @property
    def estimates(self) -> pa.Table:
        """Every figure, with those that were held or only bounded."""
        return self.table("estimates")

    @property
    def decisions(self) -> pa.Table:
        """What may be said of each figure."""
        return self.table("decisions")

    @property
    def gates(self) -> list[GateResult]:
        """What every gate found."""
        return gates_from_table(self.table("gates"))

    @property
    def days(self) -> tuple[date, ...]:
        """Days whose population is in the bundle."""
        names = (Path(name) for name in self.content["files"])
        stems = (n.stem for n in names if n.parent == Path("frame"))
        return tuple(sorted(date.fromisoformat(stem.removeprefix("ds=")) for stem in stems))

    def frame(self, ds: date) -> pa.Table:
        """The population of one day."""
        return pq.ParquetFile(self.path / "frame" / f"ds={ds}.parquet").read()


def write_bundle(
    releases_dir: Path,
    *,
    programme: Programme,
    programme_text: str,
    start: date,
    end: date,
    tables: Mapping[str, pa.Table],
    frame: Iterable[tuple[date, pa.Table]],
    gates: Iterable[GateResult],
    decisions: pa.Table,
    provenance: Provenance,
    report_html: str,
    documents: Sequence[PolicyDocument] = (),
) -> Path:
    """Write a release in one step; the same content gives the same directory.

    Args:
        releases_dir: Where releases are kept.
        programme: The programme.
        programme_text: Its file, word for word.
        start: First day, inclusive.
        end: Last day, inclusive.
        tables: Evidence by table name: estimates, frame_totals, samples, labels, audit, and where
            there are any review_samples, review_labels, shown, outcomes, review_outcomes,
            calibrations. Free text in labels is left out.
        frame: Per day the population without text; taken one day at a time.
        gates: What every gate found.
        decisions: What may be said of each figure.
        provenance: Versions, salts, commits.
        report_html: The report, with ``RELEASE_ID`` where its id belongs.
        documents: The written policies in force; other definitions stand in the programme file.
    Returns: The release's directory, ``releases_dir/<release_id>``.
    Raises: TableError if a table is missing, has a wrong shape or could hold text;
        VerificationFailed if a release of the same id is there and was altered.
    """
    evidence = evidence_tables(tables)
    evidence["decisions"] = decisions.cast(DECISIONS.arrow()).combine_chunks()
    evidence["gates"] = gates_table(gates).combine_chunks()
    with ReleaseFolder(releases_dir) as folder:
        folder.write_text(PROGRAMME, programme_text)
        for document in documents:
            folder.write_text(document.file, document.text)
            folder.write_text(document.page_file, document.page)
        for name, table in evidence.items():
            folder.write_parquet(f"tables/{name}.parquet", table)
        for ds, population in frame:
            table = evidence_frame(population, programme, f"frame of {ds}")
            folder.write_parquet(f"frame/ds={ds}.parquet", table)
        folder.note(REPORT, report_html.encode())
        content = {
            "format": FORMAT,
            "programme": programme.programme,
            "title": programme.title,
            "period": {"start": str(start), "end": str(end)},
            "figures": told_figures(evidence["estimates"], evidence["decisions"], start, end),
            "gates": told_gates(evidence["gates"], start, end),
            "provenance": _lasting(provenance),
            "policies": [d.described() for d in documents],
            "files": folder.described(),
            "how_to_verify": HOW_TO_VERIFY,
        }
        digest = digest_of(canonical(content))
        release_id = f"{programme.programme}-{start}-{end}-{digest[:12]}"
        folder.write_text(REPORT, report_html.replace(RELEASE_ID, release_id))
        manifest = {
            "release_id": release_id,
            "content_digest": digest,
            "content": content,
            "volatile": {
                "created_at": provenance.created_at.isoformat(),
                "runs": [
                    {"table": c.table, "ds": c.ds, "run": c.run}
                    for c in provenance.commits
                    if c.run
                ],
            },
        }
        folder.write_text(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        folder.write_sums(SUMS)
        if not folder.publish(release_id):
            read_bundle(folder.place(release_id))
    return folder.place(release_id)


def read_bundle(path: Path, *, release_id: str | None = None) -> Bundle:
    """Read a release and check that every file is the one that was released.

    Args:
        path: The release's directory.
        release_id: The id that was quoted, if the bundle must be that one.
    Raises: VerificationFailed naming each file that was altered, is missing or was added.
    """
    manifest = _manifest(path)
    content, own_id = manifest["content"], str(manifest["release_id"])
    found = digest_of(canonical(content))
    expected_id = f"{content['programme']}-{_days(content)}-{found[:12]}"
    if found != manifest["content_digest"] or own_id != expected_id:
        raise VerificationFailed(
            f"{MANIFEST} was altered: its content does not give its id",
            where=str(path / MANIFEST),
            expected=own_id,
            got=expected_id,
            hint=_DISTRUST,
        )
    if release_id is not None and own_id != release_id:
        raise VerificationFailed(
            "this is another release", where=str(path), expected=release_id, got=own_id
        )
    _check_files(path, content["files"], own_id)
    return Bundle(path, own_id, content, manifest["volatile"])


_DISTRUST = "do not trust this copy; fetch the release again from where it was published"


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise VerificationFailed(
            f"{MANIFEST} cannot be read",
            where=str(path),
            got=type(error).__name__,
            hint="give the directory of a release",
        ) from error
    needed = {"release_id", "content_digest", "content", "volatile"}
    if not isinstance(manifest, dict) or not needed <= manifest.keys():
        raise VerificationFailed(
            f"{MANIFEST} is not a release's", where=str(path), expected=", ".join(sorted(needed))
        )
    return manifest


def _check_files(path: Path, described: Mapping[str, Mapping[str, Any]], release_id: str) -> None:
    there = set(files_below(path)) - {MANIFEST, SUMS}
    sums = path / SUMS
    wrong_sums = not sums.is_file() or sums.read_bytes() != sums_of(path, SUMS).encode()
    problems = {
        "missing or altered": [SUMS] if wrong_sums else [],
        "missing": sorted(set(described) - there),
        "added": sorted(there - set(described)),
        "altered": [
            name
            for name in sorted(set(described) & there)
            if _digest(path, name, release_id) != described[name]["sha256"]
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in problems.items() if names)
        raise VerificationFailed(
            "the bundle is not as it was released", where=str(path), got=told, hint=_DISTRUST
        )


def _digest(path: Path, name: str, release_id: str) -> str:
    if name != REPORT:
        return digest_of_file(path / name)
    text = (path / name).read_bytes().replace(release_id.encode(), RELEASE_ID.encode())
    return digest_of(text)


def _days(content: Mapping[str, Any]) -> str:
    return f"{content['period']['start']}-{content['period']['end']}"


def _lasting(provenance: Provenance) -> dict[str, Any]:
    commits = [
        {name: value for name, value in asdict(c).items() if name != "run"}
        for c in sorted(provenance.commits, key=lambda c: (c.table, c.ds))
    ]
    return {
        "code_version": provenance.code_version,
        "libraries": dict(provenance.libraries),
        "salts": dict(provenance.salts),
        "commits": commits,
    }

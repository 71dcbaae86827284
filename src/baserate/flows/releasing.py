"""A release: gates over a period's tables, the report, and the immutable bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.changes import weekly_changes
from baserate.flows.estimating import days_between
from baserate.flows.measure import days_without_logs, estimate, period_key
from baserate.flows.stages import Stages
from baserate.labels.policies import guideline_page, written_policies
from baserate.release.bundle import CommitRef, PolicyDocument, Provenance, write_bundle
from baserate.release.gate_inputs import gate_inputs
from baserate.release.gates import decide, require_a_figure, run_gates
from baserate.release.missing_days import named_days, ways_out
from baserate.release.report import render_report, report_data
from baserate.release.results import GateResult
from baserate.sampling.frame import frame_columns
from baserate.terms.errors import ReleaseHeld
from baserate.terms.our_tables import OUR_TABLES
from baserate.terms.programme import Programme, resolve_path

#: Libraries whose version may change a number.
LIBRARIES = ("numpy", "scipy", "pyarrow", "duckdb", "ibis-framework", "scikit-learn")

#: Tables of each day that go into a bundle, all without text.
EVIDENCE = (
    "frame_totals",
    "calibrations",
    "samples",
    "labels",
    "shown",
    "outcomes",
    "review_samples",
    "review_labels",
    "review_outcomes",
    "audit",
)


@dataclass(frozen=True)
class Release:
    """What came of a release.

    Attributes:
        path: The bundle.
        gates: What every gate found.
        decisions: What may be said of each figure.
        estimates: Every figure.
    """

    path: Path
    gates: list[GateResult]
    decisions: pa.Table
    estimates: pa.Table


def release(stages: Stages, start: date, end: date) -> Release:
    """Run the gates over a period and write its bundle.

    Raises: LabelError if the judge's unified calls were not shown to judge as a call for each
        policy does; ReleaseHeld if no figure of the whole period may be said, or if the logs lack
        a day; nothing is then written.
    """
    workspace, programme = stages.workspace, stages.programme
    days = days_between(start, end)
    if unlogged := days_without_logs(workspace, days):
        raise ReleaseHeld(
            f"the logs have no files of {named_days(unlogged, len(days))}",
            code="days_without_logs",
            where=f"{programme.programme}, {start} to {end}",
            hint=ways_out(days, unlogged),
        )
    stages.check_judge()
    estimates = estimate(stages, start, end)
    tables = {"estimates": estimates, **period_tables(stages, days)}
    inputs = gate_inputs(programme, start, end, tables)
    gates = run_gates(inputs)
    decisions = decide(inputs, gates)
    require_a_figure(inputs, decisions)
    provenance = provenance_of(stages, days, period_key(start, end))
    documents = policy_documents(programme, workspace.root)
    programme_text = workspace.programme_path.read_text(encoding="utf-8")
    report = render_report(
        report_data(
            inputs,
            gates,
            decisions,
            provenance,
            programme_text=programme_text,
            changes=weekly_changes(estimates, programme, start, end),
            documents=documents,
        )
    )
    path = write_bundle(
        workspace.root / "releases",
        programme=programme,
        programme_text=programme_text,
        start=start,
        end=end,
        tables=tables,
        frame=frames(stages, days),
        gates=gates,
        decisions=decisions,
        provenance=provenance,
        report_html=report,
        documents=documents,
    )
    return Release(path, gates, decisions, estimates)


def policy_documents(programme: Programme, root: Path) -> list[PolicyDocument]:
    """The programme's written policies, word for word and as reviewers read them.

    Raises: PolicyMistakes if one is wrong; PolicyError if it can't be read.
    """
    found = []
    for id_, written in written_policies(programme.policies, root).items():
        named = next(p.document for p in programme.policies if p.id == id_)
        text = Path(resolve_path(str(named), root)).read_bytes().decode("utf-8-sig")
        found.append(
            PolicyDocument(
                id_, written.version, written.digest, written.seal, text, guideline_page(written)
            )
        )
    return found


def period_tables(stages: Stages, days: Sequence[date]) -> dict[str, pa.Table]:
    """The evidence tables of some days, one under another; those that no day has are left out."""
    store = stages.workspace.store
    found: dict[str, pa.Table] = {}
    for name in EVIDENCE:
        parts = [store.read(name, d) for d in days if store.current(name, d) is not None]
        if parts:
            found[name] = pa.concat_tables([OUR_TABLES[name].completed(p) for p in parts])
        elif not name.startswith("review"):
            found[name] = OUR_TABLES[name].arrow().empty_table()
    if (
        probed := probes_of(stages, set(found["labels"]["labeler_version"].unique().to_pylist()))
    ) is not None:
        found["probes"] = probed
    return found


def probes_of(stages: Stages, versions: AbstractSet[str]) -> pa.Table | None:
    """The last probe of each of some judge versions; None where there is none."""
    store = stages.workspace.store
    found: dict[str, pa.Table] = {}
    for day in store.days("probes"):
        table = store.read("probes", day)
        for judge in versions & set(table["labeler_version"].to_pylist()):
            found[judge] = table.filter(pc.equal(table["labeler_version"], judge))
    return pa.concat_tables([found[j] for j in sorted(found)]) if found else None


def frames(stages: Stages, days: Sequence[date]) -> Iterator[tuple[date, pa.Table]]:
    """The population of each day without text: what the sample is redrawn from."""
    for day in days:
        yield day, stages.workspace.store.read("interactions", day, frame_columns(stages.programme))


def provenance_of(stages: Stages, days: Sequence[date], period: str) -> Provenance:
    """Versions, salts and commits that went into a period's figures."""
    store = stages.workspace.store
    keys = [(name, d) for d in days for name in ("interactions", *EVIDENCE)]
    commits = [(name, str(d), store.current(name, d)) for name, d in keys]
    commits.append(("estimates", period, store.current("estimates", period)))
    return Provenance(
        code_version=version("baserate"),
        libraries={name: version(name) for name in LIBRARIES},
        salts={str(phase): stages.workspace.phase_salt(phase) for phase in (1, 2)},
        commits=tuple(
            CommitRef(name, ds, c.rows, c.digest, c.run_id)
            for name, ds, c in commits
            if c is not None
        ),
        created_at=datetime.now(UTC),
    )

"""An outsider's check: redraw the sample and recompute every figure from a bundle alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.flows.estimating import DayEvidence, day_judge_version, estimate_period
from baserate.labels import consensus
from baserate.labels.outcomes import outcomes
from baserate.labels.policies import lint_text
from baserate.release.bundle import Bundle, read_bundle
from baserate.release.gate_inputs import gate_inputs
from baserate.release.gates import decide, run_gates
from baserate.sampling.frame import frame_of
from baserate.sampling.history import read_calibrations
from baserate.sampling.phase1 import Phase1, draw_phase1
from baserate.sampling.phase2 import draw_phase2
from baserate.terms.our_tables import OUR_TABLES
from baserate.terms.programme import Programme
from baserate.terms.programme_file import load_programme
from baserate.terms.sampled_units import DayTables, sampled_units

#: Recomputed numbers may differ from the released by this share of themselves: the order in
#: which a processor adds is not the same everywhere.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Check:
    """One thing that was recomputed.

    Attributes:
        name: What, as a sentence.
        passed: Whether the bundle agrees.
        detail: What was compared, or the first difference.
    """

    name: str
    passed: bool
    detail: str


def verify(path: Path, *, release_id: str | None = None) -> Iterator[Check]:
    """Every check of a bundle, one by one.

    Args:
        path: The release's directory.
        release_id: The id that was quoted, if it must be that one.
    Raises: VerificationFailed if a file was altered: nothing else is then worth checking.
    """
    bundle = read_bundle(path, release_id=release_id)
    n_files = len(bundle.content["files"])
    yield Check("every_file_is_as_released", True, f"{n_files} files, sha256 of each")
    check = _Verification(bundle, load_programme(bundle.path / "programme.yaml"))
    for day in bundle.days:
        yield from check.day(day)
    if bundle.policies or any(p.document for p in check.programme.policies):
        yield check.documents()
    yield check.figures()
    yield check.decisions()


class _Verification:
    def __init__(self, bundle: Bundle, programme: Programme) -> None:
        self.bundle, self.programme = bundle, programme
        self.tables = {name: bundle.table(name) for name in bundle.table_names}
        self.policies = list(programme.policy_ids())
        self.estimands = [str(e) for e in programme.estimands]
        self.evidence: list[DayEvidence] = []

    def of_day(self, name: str, day: date) -> pa.Table | None:
        """One day's rows of a table; None where the bundle has no such table."""
        table = self.tables.get(name)
        if table is None:
            return None
        return table.filter(pc.equal(table["ds"], pa.scalar(day, pa.date32())))

    def need(self, name: str, day: date) -> pa.Table:
        """One day's rows of a table, none where the bundle has no such table."""
        found = self.of_day(name, day)
        return OUR_TABLES[name].arrow().empty_table() if found is None else found

    def day(self, day: date) -> Iterator[Check]:
        """Permanent random numbers, both phases' samples and both phases' outcomes of a day."""
        population = self.bundle.frame(day).sort_by("interaction_id")
        salts = self.bundle.content["provenance"]["salts"]
        prn = prn_array(population["interaction_id"], salts["1"])
        told = f"{len(population):,} permanent random numbers, {day}"
        yield Check(
            "random_numbers_follow_from_ids_and_salt",
            bool(np.array_equal(prn, population["prn"].to_numpy())),
            told,
        )
        drawn = self._redraw(population, day)
        yield _same("sample_is_redrawn", drawn.samples, self.need("samples", day), day)
        yield _same("frame_totals_add_up", drawn.frame_totals, self.need("frame_totals", day), day)
        first = self._outcomes("labels", drawn.samples, day, phase=1)
        yield _same("outcomes_follow_from_labels", first, self.need("outcomes", day), day)
        second = review = None
        if (self.of_day("review_samples", day)) is not None:
            review = self._redraw_review(drawn.samples, first, salts["2"], day)
            released = self.need("review_samples", day)
            yield _same("review_sample_is_redrawn", review, released, day)
        if review is not None and len(self.need("review_outcomes", day)):
            second = self._outcomes("review_labels", review, day, phase=2)
            released = self.need("review_outcomes", day)
            yield _same("review_outcomes_follow_from_labels", second, released, day)
        inside = pc.is_in(population["interaction_id"], value_set=_ids(drawn.samples))
        self.evidence.append(
            DayEvidence(
                tables=DayTables(
                    str(day), drawn.samples, first, None if second is None else review, second
                ),
                frame=population.filter(inside),
                frame_totals=drawn.frame_totals,
                calibrations=self.need("calibrations", day),
                judge_version=day_judge_version(self.need("labels", day)),
            )
        )

    def _redraw(self, population: pa.Table, day: date) -> Phase1:
        frame = frame_of(population, self.programme)
        calibrations = read_calibrations(self.need("calibrations", day), "score", self.programme)
        return draw_phase1(frame, calibrations, self.programme, day)

    def _redraw_review(self, samples: pa.Table, first: pa.Table, salt: str, day: date) -> pa.Table:
        judged = sampled_units([DayTables(str(day), samples, first)], self.policies, self.estimands)
        calibrations = read_calibrations(self.need("calibrations", day), "judge", self.programme)
        prn = prn_array(judged.unit_id.tolist(), salt)
        return draw_phase2(judged, prn, calibrations, self.programme, day)

    def _outcomes(self, labels: str, samples: pa.Table, day: date, *, phase: int) -> pa.Table:
        verdicts = self.need(labels, day)
        return outcomes(
            consensus(_dated(verdicts, day)).labels if phase == 2 else verdicts,
            self.need("shown", day),
            sorted(samples["interaction_id"].to_pylist()),
            ds=day,
            phase=phase,
            policies=self.policies,
            estimands=self.programme.estimands,
        )

    def documents(self) -> Check:
        """Each written policy is there, says what its digest says, and is what labels name."""
        name, told = (
            "policies_are_those_of_the_labels",
            {p["policy"]: p for p in self.bundle.policies},
        )
        labelled = self._versions()
        for policy in self.programme.policies:
            if policy.document is None:
                continue
            if policy.id not in told:
                return Check(name, False, f"no document of {policy.id} in the release")
            said = told[policy.id]
            path = self.bundle.path / said["file"]
            read = lint_text(path.read_text(encoding="utf-8"), Path(said["file"])).policy
            if read is None:
                return Check(name, False, f"{said['file']} is no policy")
            if read.digest != said["digest"] or (read.seal and read.seal != read.own_seal):
                return Check(name, False, f"{said['file']} is another wording than was released")
            if strange := labelled.get(policy.id, set()) - {read.version}:
                versions = ", ".join(sorted(strange))
                return Check(
                    name, False, f"{said['file']} is version {read.version}; labels name {versions}"
                )
        return Check(name, True, f"{len(told):,} documents, the digest of each wording")

    def _versions(self) -> dict[str, set[str]]:
        """Versions that labels name, by policy."""
        found: dict[str, set[str]] = {}
        for table in ("labels", "review_labels"):
            if table in self.tables:
                columns = self.tables[table].select(["policy", "policy_version"])
                pairs = columns.group_by(["policy", "policy_version"]).aggregate([])
                for row in pairs.to_pylist():
                    found.setdefault(row["policy"], set()).add(row["policy_version"])
        return found

    def figures(self) -> Check:
        """Every figure, recomputed from what was redrawn."""
        again = estimate_period(self.evidence, self.programme, self.bundle.start, self.bundle.end)
        return _same("figures_are_recomputed", again, self.bundle.estimates, None)

    def decisions(self) -> Check:
        """What the gates decide, recomputed."""
        inputs = gate_inputs(self.programme, self.bundle.start, self.bundle.end, self.tables)
        again = decide(inputs, run_gates(inputs))
        return _same("gates_decide_the_same", again, self.bundle.decisions, None)


def _dated(labels: pa.Table, day: date) -> pa.Table:
    """Labels of a bundle, which leaves out when they were made, with a time for the asking."""
    if "labeled_at" in labels.column_names:
        return labels
    at = pa.scalar(datetime(day.year, day.month, day.day, tzinfo=UTC), _LABELED_AT)
    return labels.append_column("labeled_at", pa.repeat(at, len(labels)))


_LABELED_AT = pa.timestamp("us", tz="UTC")


def _ids(samples: pa.Table) -> pa.Array:
    return samples["interaction_id"].combine_chunks()


def _same(name: str, again: pa.Table, released: pa.Table, day: date | None) -> Check:
    """Whether a recomputed table says what the released one says, in any order of rows."""
    where = "" if day is None else f", {day}"
    if len(again) != len(released):
        return Check(
            name, False, f"{len(again):,} rows recomputed, {len(released):,} released{where}"
        )
    columns = [c for c in released.column_names if c in again.column_names]
    keys = [c for c in columns if not pa.types.is_floating(released.schema.field(c).type)]
    order = [(c, "ascending") for c in keys]
    mine, theirs = again.select(columns).sort_by(order), released.select(columns).sort_by(order)
    different = [c for c in columns if not _equal(mine[c], theirs[c])]
    if different:
        return Check(name, False, f"column(s) {', '.join(different)} differ{where}")
    return Check(name, True, f"{len(released):,} rows{where}")


def _equal(mine: pa.ChunkedArray, theirs: pa.ChunkedArray) -> bool:
    if pa.types.is_floating(theirs.type):
        a, b = mine.to_numpy(), theirs.to_numpy()
        return bool(np.allclose(a, b, rtol=TOLERANCE, atol=1e-15, equal_nan=True))
    return bool(mine.combine_chunks().equals(theirs.cast(mine.type).combine_chunks()))

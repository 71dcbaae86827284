"""The stages of one day, each idempotent: it runs where its inputs changed, and commits whole.

records -> sample -> judge -> review -> collect; each reads committed tables only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.erasing import RawIds
from baserate.engines.keyed_hash import prn_array
from baserate.engines.pseudonyms import PseudonymKey, read_key
from baserate.engines.settings import load_settings
from baserate.flows.log_files import files_fingerprint, review_fingerprint
from baserate.flows.picturing import keep_pictures, pictures_of, shown_as
from baserate.flows.workspace import Workspace, digest
from baserate.labels import (
    collect_reviews,
    consensus,
    judge_units,
    make_judge,
    render_unit,
    write_worklist,
)
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.cache import forget_answers
from baserate.labels.judges.panel import Panel, judge_by_panel
from baserate.labels.outcomes import outcomes, shown_subjects
from baserate.labels.policies import write_guidelines
from baserate.labels.render import UnitContent
from baserate.labels.reviews import ReviewImport
from baserate.records import build_records
from baserate.sampling.at_scale.phase1 import draw_phase1_at_scale
from baserate.sampling.frame import frame_columns, frame_of
from baserate.sampling.history import (
    Calibrations,
    judge_calibrations,
    read_calibrations,
    score_calibrations,
)
from baserate.sampling.phase1 import Phase1, draw_phase1
from baserate.sampling.phase2 import draw_phase2
from baserate.stats.arrays import Array
from baserate.terms.label_tables import (
    LABELS,
    OUTCOMES,
    PANEL_LABELS,
    REVIEW_LABELS,
    REVIEW_OUTCOMES,
    REVIEW_QUARANTINE,
    SHOWN,
)
from baserate.terms.programme_labelers import FileReviews
from baserate.terms.record_tables import AUDIT, QUARANTINE, interactions_schema, score_column
from baserate.terms.sample_tables import CALIBRATIONS, FRAME_TOTALS, REVIEW_SAMPLES, SAMPLES
from baserate.terms.sampled_units import DayTables, SampledUnits, sampled_units
from baserate.terms.words import NoLabelReason

Advance = Callable[[int, int], None]

#: A worker of a run that was killed needs a moment to let go of its day.
_WAIT_SECONDS = 10.0
#: Folder of the work lists.
WORK_LISTS = "worklists"
_CONTENT = ["ds", "turns", "content_digest"]


class LabelCounts(NamedTuple):
    """Interactions of a day by how far their labels are."""

    judged: int
    without_verdict: int
    for_people: int
    reviewed: int
    waiting: int


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _rejected(taken: ReviewImport, ds: date) -> pa.Table:
    """Rows of review files that could not be used, in the shape of quarantine."""
    rows = [
        {
            "ds": ds,
            "source_table": "reviews",
            "row_key": json.dumps({"file": r["file"], "line": r["line"]}),
            "reason": r["reason"],
            "detail": r["detail"],
            "row_json": json.dumps({"file": r["file"], "line": r["line"]}),
        }
        for r in taken.rejected_table().to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=REVIEW_QUARANTINE.arrow())


def phase_salt(workspace: Workspace, phase: int) -> str:
    """The key of a phase's permanent random numbers: every phase has its own."""
    return f"{workspace.programme.salt}/phase{phase}"


class Stages:
    """The stages of one workspace.

    Args:
        workspace: Where the tables are.
        force: Run stages even where nothing changed.
        advance: Called with (done, all) while a judge works.
        now: Says what time it is (UTC).
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        force: bool = False,
        advance: Advance | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.workspace = workspace
        self.programme = workspace.programme
        self.store = workspace.store
        self.force = force
        self.advance = advance
        self.now = now
        self._judge: Judge | None = None
        self._policies = [str(p) for p in self.programme.policy_ids()]
        self._estimands = [str(e) for e in self.programme.estimands]

    # --- records ---------------------------------------------------------------------------

    def records(self, ds: date) -> bool:
        """Logging tables to interactions. Returns: whether it ran."""
        settings = self.programme.model_dump(mode="json", include={"salt", "tables", "records"})
        scores = [
            p.model_dump(mode="json", include={"id", "score_from", "score_combine"})
            for p in self.programme.policies
        ]
        inputs = {
            "programme": digest([settings, scores, self.programme.own_columns()]),
            "log_files": files_fingerprint(self.workspace, ds),
        }
        key = self.pseudonym_key()
        if (withheld := self._withheld(key)) is not None:
            inputs["privacy"] = withheld
        if self._is_current("records", ds, inputs):
            return False
        built = build_records(self.workspace.engine, self.programme, self.workspace.root, ds, key)
        schema = interactions_schema(self.programme.policy_ids(), self.programme.own_columns())
        with self.store.run(
            stage="records",
            ds=ds,
            inputs=inputs,
            wait_seconds=_WAIT_SECONDS,
            raw_ids=self.raw_ids(),
        ) as run:
            run.write("interactions", built.interactions, schema)
            run.write("quarantine", built.quarantine, QUARANTINE)
            run.write("audit", built.audit, AUDIT)
        return True

    def pseudonym_key(self) -> PseudonymKey | None:
        """The key of the pseudonyms, seen to be the workspace's; None where none is asked for."""
        if not self.programme.privacy.pseudonyms:
            return None
        key = read_key(self.programme.privacy, self.workspace.root)
        if key is not None:
            self.store.privacy.hold_key(key.fingerprint)
        return key

    def raw_ids(self) -> RawIds | None:
        """How people are known in tables that hold their ids; None where no key is named.

        Tables may hold ids from before pseudonyms were asked for.
        """
        key = read_key(self.programme.privacy, self.workspace.root)
        if key is None:
            return None
        tables = self.programme.tables.present()
        named = {
            column
            for t in ("users", "requests")
            if t in tables
            for column in tables[t].reads("user_id")
        }
        return RawIds(key, tuple(sorted({*named, "user_id"})))

    def _withheld(self, key: PseudonymKey | None) -> str | None:
        """Digest of what is not stored as it was read; None where all is."""
        privacy = self.programme.privacy
        if key is None and not any(privacy.drop.values()):
            return None
        said = privacy.model_dump(mode="json", include={"pseudonyms", "drop"})
        return digest([said, key and key.fingerprint])

    # --- sample ----------------------------------------------------------------------------

    def sample(self, ds: date) -> bool:
        """Calibrate on earlier days' labels and draw phase 1. Returns: whether it ran.

        A drawn sample stays: labels of earlier days that arrive later are no reason to draw
        again. What it learned from is recorded with the run.
        """
        inputs = {
            "programme": digest(self._sampling_settings()),
            "interactions": self.commit_digest("interactions", ds),
        }
        if self._is_current("sample", ds, inputs):
            return False
        history = self._history_days(ds)
        learned = {
            f"{table}/{day}": self.commit_digest(table, day)
            for day in history
            for table in ("samples", "outcomes", "review_samples", "review_outcomes")
        }
        units = self.units(history)
        judge = judge_calibrations(units, self.programme)
        scores = score_calibrations(units, self._history_scores(units), judge, self.programme)
        drawn = self._drawn(ds, scores)
        calibrations = pa.concat_tables([c.table(ds, self.programme) for c in (judge, scores)])
        with self.store.run(stage="sample", ds=ds, inputs=inputs, seeds=learned) as run:
            run.write("calibrations", calibrations, CALIBRATIONS)
            run.write("samples", drawn.samples, SAMPLES)
            run.write("frame_totals", drawn.frame_totals, FRAME_TOTALS)
        return True

    def _drawn(self, ds: date, scores: Calibrations) -> Phase1:
        """Phase 1: in memory where the day fits, else in the engine; the same units either way."""
        commit = self.store.current("interactions", ds)
        if commit is not None and commit.rows > load_settings().in_memory_units:
            interactions = self.store.scan("interactions", ds)
            return draw_phase1_at_scale(
                self.workspace.engine, interactions, scores, self.programme, ds
            )
        columns = self.store.read("interactions", ds, frame_columns(self.programme))
        return draw_phase1(frame_of(columns, self.programme), scores, self.programme, ds)

    def _sampling_settings(self) -> dict[str, Any]:
        fields = {"salt", "sampling", "estimands", "pivots"}
        return {
            **self.programme.model_dump(mode="json", include=fields),
            "policies": self._policies,
        }

    def _history_days(self, ds: date) -> list[date]:
        reach = timedelta(days=self.programme.sampling.calibration.history_days)
        return [d for d in self.store.days("outcomes") if ds - reach <= d < ds]

    def _history_scores(self, units: SampledUnits) -> Array:
        columns = [score_column(p) for p in self._policies]
        found = [self._day_scores(day, units, columns) for day in dict.fromkeys(units.day.tolist())]
        return np.concatenate(found, axis=1) if found else np.empty((len(columns), 0))

    def _day_scores(self, day: str, units: SampledUnits, columns: list[str]) -> Array:
        ids = units.unit_id[units.day == day]
        table = self.sampled_interactions(date.fromisoformat(day), ids.tolist(), columns)
        return np.stack([table[c].to_numpy().astype(np.float64) for c in columns])

    # --- images ----------------------------------------------------------------------------

    def images(self, ds: date) -> bool:
        """Fetch and keep the pictures that the sample shows. Returns: whether it ran."""
        return keep_pictures(self, ds)

    # --- judge -----------------------------------------------------------------------------

    @property
    def cache_path(self) -> Path:
        """File of the answers that LLM judges gave."""
        return self.workspace.root / "judge-cache.db"

    @property
    def judge_of_programme(self) -> Judge:
        """The programme's judge, made once."""
        if self._judge is None:
            self._judge = make_judge(
                self.programme.judge,
                self.workspace.root,
                self.cache_path,
                self.programme.policies,
                named=self.programme.candidates,
                kept_as=shown_as(self),
            )
        return self._judge

    def judge_usage(self) -> dict[str, Any] | None:
        """What this run asked and paid the programme's judge; None where it asked for no answer.

        A judge that costs nothing has no account.
        """
        if not isinstance(self._judge, PricedJudge):
            return None
        told = self._judge.usage.as_dict()
        return told if told["calls"] or told["from_cache"] else None

    def judge(self, ds: date) -> bool:
        """Let the judge label phase 1. Returns: whether it ran."""
        judge = self.judge_of_programme
        inputs = {
            "judge": judge.version,
            "policies": digest(self.programme.model_dump(mode="json", include={"policies"})),
            "estimands": digest(self._estimands),
            "samples": self.commit_digest("samples", ds),
            "interactions": self.commit_digest("interactions", ds),
        }
        if self.programme.images is not None:
            inputs["images"] = self.commit_digest("images", ds)
        if self._is_current("judge", ds, inputs) and not self._may_be_answered(ds):
            return False
        ids = self._sampled_ids("samples", ds)
        content = self.sampled_interactions(ds, ids, _CONTENT)
        labels, members = self._judged(self._rendered(ds, content), ds)
        shown = shown_subjects(content)
        read = outcomes(
            labels,
            shown,
            content["interaction_id"].to_pylist(),
            ds=ds,
            phase=1,
            policies=self._policies,
            estimands=self.programme.estimands,
        )
        with self.store.run(stage="judge", ds=ds, inputs=inputs) as run:
            run.write("labels", labels, LABELS)
            run.write("shown", shown, SHOWN)
            run.write("outcomes", read, OUTCOMES)
            if members is not None:
                run.write("panel_labels", members, PANEL_LABELS)
        self._forget_erased(ids, ds)
        return True

    def _forget_erased(self, ids: list[str], ds: date) -> None:
        """Answers about interactions that were erased while the judge was at work."""
        erased = self.store.privacy.erased()
        whole_day = str(ds) <= (erased.up_to or "")
        late = set(ids) if whole_day else set(ids) & set(erased.interactions)
        forget_answers(self.cache_path, late)

    def _judged(self, units: list[UnitContent], ds: date) -> tuple[pa.Table, pa.Table | None]:
        """The judge's labels, and where it is a panel those of its members."""
        judge, policies, tell = self.judge_of_programme, self.programme.policies, self.advance
        if isinstance(judge, Panel):
            return judge_by_panel(judge, units, policies, ds=ds, now=self.now(), on_progress=tell)
        return judge_units(judge, units, policies, ds=ds, now=self.now(), on_progress=tell), None

    def _may_be_answered(self, ds: date) -> bool:
        """Whether the judge failed on something that another try may answer."""
        reasons = self.store.read("labels", ds, ["reason"])["reason"]
        again = [str(r) for r in (NoLabelReason.ENDPOINT_FAILED, NoLabelReason.INVALID_OUTPUT)]
        return bool(pc.any(pc.is_in(reasons, value_set=pa.array(again))).as_py())

    # --- review ----------------------------------------------------------------------------

    def review(self, ds: date) -> bool:
        """Draw the subsample that people label. Returns: whether it ran."""
        inputs = {
            "programme": digest(self._sampling_settings()),
            "samples": self.commit_digest("samples", ds),
            "outcomes": self.commit_digest("outcomes", ds),
            "calibrations": self.commit_digest("calibrations", ds),
        }
        if self._is_current("review", ds, inputs):
            return False
        judged = self.units([ds], reviews=False)
        prn = prn_array(judged.unit_id.tolist(), phase_salt(self.workspace, 2))
        drawn = draw_phase2(judged, prn, self.calibrations("judge", ds), self.programme, ds)
        with self.store.run(stage="review", ds=ds, inputs=inputs) as run:
            run.write("review_samples", drawn, REVIEW_SAMPLES)
        if isinstance(self.programme.reviews, FileReviews):
            self.write_worklist(ds)
        return True

    def write_worklist(self, ds: date) -> list[Path]:
        """Write what people are asked on a day, as CSV and JSONL; returns the files.

        The guideline page of each written policy lies beside them.
        """
        folder = self.workspace.root / WORK_LISTS
        units = self.content(ds, self._sampled_ids("review_samples", ds))
        paths = [folder / f"{ds}.csv", folder / f"{ds}.jsonl"]
        for path in paths:
            write_worklist(
                units, self.programme.policies, path, salt=self.programme.salt, subjects="all"
            )
        write_guidelines(self.programme.policies, self.workspace.root, folder)
        return paths

    # --- collect ---------------------------------------------------------------------------

    def collect(self, ds: date) -> bool:
        """Take in people's labels of the review sample, if there are any. Returns: whether it ran.

        Rows that cannot be used are kept in ``review_quarantine`` with file, line and reason.
        """
        reviews = self.programme.reviews
        if reviews is None or self.store.current("review_samples", ds) is None:
            return False
        inputs = {
            "reviews": digest(reviews.model_dump(mode="json")),
            "policies": digest(self.programme.model_dump(mode="json", include={"policies"})),
            "estimands": digest(self._estimands),
            "review_samples": self.commit_digest("review_samples", ds),
            "files": review_fingerprint(self.workspace, reviews.path, ds),
        }
        if self._is_current("collect", ds, inputs):
            return False
        ids = self._sampled_ids("review_samples", ds)
        taken = collect_reviews(
            reviews,
            self.workspace.root,
            ds=ds,
            selected_ids=ids,
            subjects={
                u.interaction_id: u.keys for u in self.content(ds, self._sampled_ids("samples", ds))
            },
            policies=self.programme.policies,
            now=self.now(),
        )
        if not len(taken.labels) and not taken.rejected:
            return False
        read = outcomes(
            consensus(taken.labels).labels,
            self.store.read("shown", ds),
            ids,
            ds=ds,
            phase=2,
            policies=self._policies,
            estimands=self.programme.estimands,
        )
        with self.store.run(stage="collect", ds=ds, inputs=inputs) as run:
            run.write("review_labels", taken.labels, REVIEW_LABELS)
            run.write("review_outcomes", read, REVIEW_OUTCOMES)
            run.write("review_quarantine", _rejected(taken, ds), REVIEW_QUARANTINE)
        return True

    def label_counts(self, ds: date) -> LabelCounts:
        """How far the labels of a day are, in interactions."""
        judged = self.units([ds])
        known = ~np.isnan(judged.judged).all(axis=(0, 1)) if len(judged) else np.zeros(0, bool)
        drawn = self.store.current("review_samples", ds)
        for_people = 0 if drawn is None else drawn.rows
        reviewed = int((~np.isnan(judged.human)).any(axis=(0, 1)).sum()) if len(judged) else 0
        return LabelCounts(
            len(judged), int((~known).sum()), for_people, reviewed, for_people - reviewed
        )

    def bill(self, days: Sequence[date]) -> dict[str, float]:
        """What the judge would still cost for days whose sample is drawn; asks nothing."""
        total = {"days": 0.0, "unit_policy_pairs": 0.0, "calls": 0.0, "cost": 0.0}
        for ds in days:
            if self.store.current("samples", ds) is None:
                continue
            units = self.content(ds, self._sampled_ids("samples", ds))
            total["days"] += 1
            total["unit_policy_pairs"] += len(units) * len(self._policies)
            judge = self.judge_of_programme
            if not isinstance(judge, PricedJudge):
                continue
            bill = judge.estimate(units, self.programme.policies)
            total["calls"] += bill.calls
            total["cost"] += bill.cost
        return total

    # --- reading ---------------------------------------------------------------------------

    def calibrations(self, role: str, ds: date) -> Calibrations:
        """The calibrations that a day's sample was drawn with."""
        return read_calibrations(self.store.read("calibrations", ds), role, self.programme)  # type: ignore[arg-type]

    def units(self, days: list[date], *, reviews: bool = True) -> SampledUnits:
        """The sampled units of some days with their verdicts."""
        return sampled_units(
            [self.day_tables(d, reviews) for d in days], self._policies, self._estimands
        )

    def day_tables(self, ds: date, reviews: bool = True) -> DayTables:
        """The tables that speak of a day's sampled units, people's only where they are in."""

        def there(table: str) -> pa.Table | None:
            known = reviews and self.store.current(table, ds) is not None
            return self.store.read(table, ds) if known else None

        return DayTables(
            str(ds),
            self.store.read("samples", ds),
            self.store.read("outcomes", ds),
            there("review_samples") if there("review_outcomes") is not None else None,
            there("review_outcomes"),
        )

    def _sampled_ids(self, table: str, ds: date) -> list[str]:
        ids: list[str] = self.store.read(table, ds, ["interaction_id"])[
            "interaction_id"
        ].to_pylist()
        return sorted(ids)

    def content(self, ds: date, ids: list[str]) -> list[UnitContent]:
        """What labelers see of some interactions of a day, in order of id."""
        return self._rendered(ds, self.sampled_interactions(ds, ids, _CONTENT))

    def _rendered(self, ds: date, content: pa.Table) -> list[UnitContent]:
        pictures = pictures_of(self, ds)
        return [render_unit(row, pictures=pictures) for row in content.to_pylist()]

    def sampled_interactions(self, ds: date, ids: list[str], columns: list[str]) -> pa.Table:
        """Columns of some interactions of a day, in order of id."""
        wanted = ["interaction_id", *columns]
        table = self.store.read("interactions", ds, wanted)
        inside = pc.is_in(table["interaction_id"], value_set=pa.array(ids, pa.string()))
        return table.filter(inside).sort_by("interaction_id")

    # --- commits ---------------------------------------------------------------------------

    def _is_current(self, stage: str, ds: date, inputs: dict[str, str]) -> bool:
        return not self.force and self.store.is_current(stage, ds, inputs)

    def commit_digest(self, table: str, ds: date) -> str:
        """Digest of a day's current table; '' where there is none."""
        commit = self.store.current(table, ds)
        return "" if commit is None else commit.digest

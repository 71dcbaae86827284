"""The stages of one day, each idempotent: it runs where its inputs changed, and commits whole.

records -> sample -> judge -> review -> collect; each reads committed tables only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from baserate.engines.settings import load_settings
from baserate.flows.committed_days import CONTENT, CommittedDays
from baserate.flows.log_files import files_fingerprint
from baserate.flows.picturing import keep_pictures, shown_as
from baserate.flows.reviewing import collect_day, draw_review
from baserate.flows.unified import configured, refuse_untested
from baserate.flows.withholding import forget_erased, pseudonym_key, raw_ids, withheld
from baserate.flows.workspace import Workspace, digest
from baserate.labels import make_judge
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.panel import judge_with_members
from baserate.labels.judges.settled import may_be_answered
from baserate.labels.outcomes import outcomes, shown_subjects
from baserate.records import build_records
from baserate.sampling.at_scale.phase1 import draw_phase1_at_scale
from baserate.sampling.frame import frame_columns, frame_of
from baserate.sampling.history import Calibrations, judge_calibrations, score_calibrations
from baserate.sampling.phase1 import Phase1, draw_phase1
from baserate.stats.arrays import Array
from baserate.terms.label_tables import LABELS, OUTCOMES, PANEL_LABELS, SHOWN
from baserate.terms.programme_labelers import PanelJudge
from baserate.terms.record_tables import AUDIT, QUARANTINE, interactions_schema, score_column
from baserate.terms.sample_tables import CALIBRATIONS, FRAME_TOTALS, SAMPLES
from baserate.terms.sampled_units import SampledUnits

Advance = Callable[[int, int], None]

#: A worker of a run that was killed needs a moment to let go of its day.
_WAIT_SECONDS = 10.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Stages(CommittedDays):
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
        super().__init__(workspace)
        self.force = force
        self.advance = advance
        self.now = now
        self._judge: Judge | None = None

    def is_current(self, stage: str, ds: date, inputs: dict[str, str]) -> bool:
        """Whether a stage has nothing to do: its inputs are those of its last run."""
        return not self.force and self.store.is_current(stage, ds, inputs)

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
        key = pseudonym_key(self.workspace)
        if (privacy := withheld(self.programme.privacy, key)) is not None:
            inputs["privacy"] = privacy
        if self.is_current("records", ds, inputs):
            return False
        built = build_records(self.workspace.engine, self.programme, self.workspace.root, ds, key)
        schema = interactions_schema(self.programme.policy_ids(), self.programme.own_columns())
        with self.store.run(
            stage="records",
            ds=ds,
            inputs=inputs,
            wait_seconds=_WAIT_SECONDS,
            raw_ids=raw_ids(self.workspace),
        ) as run:
            run.write("interactions", built.interactions, schema)
            run.write("quarantine", built.quarantine, QUARANTINE)
            run.write("audit", built.audit, AUDIT)
        return True

    # --- sample ----------------------------------------------------------------------------

    def sample(self, ds: date) -> bool:
        """Calibrate on earlier days' labels and draw phase 1. Returns: whether it ran.

        A drawn sample stays: labels of earlier days that arrive later are no reason to draw
        again. What it learned from is recorded with the run.
        """
        inputs = {
            "programme": digest(self.sampling_settings()),
            "interactions": self.commit_digest("interactions", ds),
        }
        if self.is_current("sample", ds, inputs):
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

    def sampling_settings(self) -> dict[str, Any]:
        """What of the programme decides who is drawn."""
        fields = {"salt", "sampling", "estimands", "pivots"}
        return {
            **self.programme.model_dump(mode="json", include=fields),
            "policies": self.policy_ids,
        }

    def _history_days(self, ds: date) -> list[date]:
        reach = timedelta(days=self.programme.sampling.calibration.history_days)
        return [d for d in self.store.days("outcomes") if ds - reach <= d < ds]

    def _history_scores(self, units: SampledUnits) -> Array:
        columns = [score_column(p) for p in self.policy_ids]
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

    def check_judge(self) -> None:
        """Raises: LabelError if the judge's unified calls were not shown to judge alike."""
        if configured(self.programme).is_unified:
            refuse_untested(self.store, self.programme, self.judge_of_programme)

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
        self.check_judge()
        judge = self.judge_of_programme
        inputs = {
            "judge": judge.version,
            "policies": digest(self.programme.model_dump(mode="json", include={"policies"})),
            "estimands": digest(self.estimands),
            "samples": self.commit_digest("samples", ds),
            "interactions": self.commit_digest("interactions", ds),
        }
        if self.programme.images is not None:
            inputs["images"] = self.commit_digest("images", ds)
        if self.is_current("judge", ds, inputs) and not self._may_be_answered(ds):
            return False
        ids = self.sampled_ids("samples", ds)
        content = self.sampled_interactions(ds, ids, CONTENT)
        labels, members = judge_with_members(
            judge,
            self.rendered(ds, content),
            self.programme.policies,
            ds=ds,
            now=self.now(),
            on_progress=self.advance,
        )
        shown = shown_subjects(content)
        read = outcomes(
            labels,
            shown,
            content["interaction_id"].to_pylist(),
            ds=ds,
            phase=1,
            policies=self.policy_ids,
            estimands=self.programme.estimands,
        )
        with self.store.run(stage="judge", ds=ds, inputs=inputs) as run:
            run.write("labels", labels, LABELS)
            run.write("shown", shown, SHOWN)
            run.write("outcomes", read, OUTCOMES)
            if members is not None:
                run.write("panel_labels", members, PANEL_LABELS)
        forget_erased(self.store, self.cache_path, ids, ds)
        return True

    def _may_be_answered(self, ds: date) -> bool:
        """Whether the judge, or a member of a panel, failed on what another try may answer."""
        is_panel = isinstance(self.programme.judge, PanelJudge)
        table = "panel_labels" if is_panel and self.store.current("panel_labels", ds) else "labels"
        return may_be_answered(self.store.read(table, ds, ["reason"]))

    # --- review and collect ----------------------------------------------------------------

    def review(self, ds: date) -> bool:
        """Draw the subsample that people label. Returns: whether it ran."""
        return draw_review(self, ds)

    def collect(self, ds: date) -> bool:
        """Take in people's labels of the review sample, if any. Returns: whether it ran."""
        return collect_day(self, ds)

    def bill(self, days: Sequence[date]) -> dict[str, float]:
        """What the judge would still cost for days whose sample is drawn; asks nothing."""
        names = ("days", "unit_policy_pairs", "calls", "prompt_tokens", "completion_tokens", "cost")
        total = dict.fromkeys(names, 0.0)
        for ds in days:
            if self.store.current("samples", ds) is None:
                continue
            units = self.content(ds, self.sampled_ids("samples", ds))
            total["days"] += 1
            total["unit_policy_pairs"] += len(units) * len(self.policy_ids)
            judge = self.judge_of_programme
            if not isinstance(judge, PricedJudge):
                continue
            bill = judge.estimate(units, self.programme.policies)
            for name in ("calls", "prompt_tokens", "completion_tokens", "cost"):
                total[name] += getattr(bill, name)
        return total

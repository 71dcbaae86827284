"""The main job: every stage of every day in order, then the period's estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from typing import Literal, NamedTuple

import pyarrow as pa

from baserate.flows.ahead import records_ahead
from baserate.flows.estimating import (
    DayEvidence,
    day_judge_version,
    days_between,
    estimate_period,
)
from baserate.flows.log_files import lists_days, log_days
from baserate.flows.notes import DrawNote, noted
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace, digest
from baserate.release.missing_days import named_days, ways_out
from baserate.terms.errors import EngineError, TableError
from baserate.terms.our_tables import ESTIMATES
from baserate.terms.programme import Programme
from baserate.terms.record_tables import score_column

StageName = Literal["records", "sample", "images", "judge", "review", "collect", "estimate"]
DAY_STAGES: tuple[StageName, ...] = (
    "records",
    "sample",
    "images",
    "judge",
    "review",
    "collect",
)


def day_stages(programme: Programme) -> tuple[StageName, ...]:
    """The stages of a day that a programme has: pictures only where they are kept."""
    return tuple(s for s in DAY_STAGES if s != "images" or programme.images is not None)


@dataclass(frozen=True)
class StageDone:
    """One stage of one day or period is through.

    Args:
        stage: Its name.
        period: The day, or first and last day.
        ran: False where nothing had changed, so that nothing was done.
        seconds: How long it took.
        notes: What a person should know of it.
    """

    stage: StageName
    period: str
    ran: bool
    seconds: float
    notes: tuple[DrawNote, ...] = ()


Tell = Callable[[StageDone], None]


def closed_days(workspace: Workspace, as_of: date) -> list[date]:
    """Days with log files whose late window has closed, in order.

    It has closed where the day is more than ``late_days`` before ``as_of`` and the logs reach
    ``late_days`` beyond it.
    """
    waiting = {w.day for w in waiting_days(workspace, as_of)}
    return [d for d in log_days(workspace) if d not in waiting]


class Waiting(NamedTuple):
    """A day that has log files and is not run yet.

    Attributes:
        day: The day.
        because: What it waits for, as the end of a sentence.
    """

    day: date
    because: str


def waiting_days(workspace: Workspace, as_of: date) -> list[Waiting]:
    """Days with log files whose late window is still open, in order, with what they wait for."""
    late = workspace.programme.records.late_days
    logged = log_days(workspace)
    window = f"records.late_days: {late}"
    found = []
    for d in logged:
        closes = d + timedelta(days=late)
        if logged[-1] < closes:
            because = f"it waits for the log files of {closes} ({window})"
        elif as_of <= closes:
            because = f"its logs may grow until {closes} is over ({window})"
        else:
            continue
        found.append(Waiting(d, because))
    return found


def run_days(
    stages: Stages,
    days: Sequence[date],
    *,
    wanted: Sequence[StageName] = DAY_STAGES,
    workers: int = 1,
    tell: Tell = lambda _: None,
) -> list[StageDone]:
    """Run the wanted stages of every day, day by day: each day learns from those before it.

    Args:
        stages: The stages of one workspace.
        days: Days to run.
        wanted: Stages, in order.
        workers: Processes that build the records of days ahead, which do not depend on each
            other; 1: none. An engine with workers of its own needs none.
        tell: Called after each stage.
    Raises: LabelError at once where the judge may not be measured by; the first error of a stage:
        what was committed before it stays.
    """
    if "judge" in wanted:
        stages.check_judge()
    in_order = sorted(days)
    alone = stages.workspace.engine.capabilities.own_workers
    ahead = "records" in wanted and workers > 1 and len(in_order) > 1 and not alone
    found: list[StageDone] = []
    with records_ahead(stages, in_order, workers) if ahead else nullcontext() as records_of:
        for ds in in_order:
            for stage in wanted:
                if stage == "records" and records_of is not None:
                    done = StageDone(stage, str(ds), *records_of(ds))
                else:
                    done = timed(stages, stage, ds)
                tell(done)
                found.append(done)
    return found


def timed(stages: Stages, stage: StageName, ds: date) -> StageDone:
    """Run one stage of one day."""
    began = monotonic()
    with noted(stage, str(ds)) as notes:
        ran: bool = getattr(stages, stage)(ds)
    return StageDone(stage, str(ds), ran, monotonic() - began, tuple(notes))


def estimate(stages: Stages, start: date, end: date, *, tell: Tell = lambda _: None) -> pa.Table:
    """Estimate every day of a period and the period, commit and return the table.

    Raises: TableError if the logs have no files of a day; EngineError if a day of the period has
        no judged sample.
    """
    began = monotonic()
    workspace = stages.workspace
    days = days_between(start, end)
    if unlogged := days_without_logs(workspace, days):
        raise TableError(
            f"the logs have no files of {named_days(unlogged, len(days))}",
            code="days_without_logs",
            where="tables.requests.path",
            hint=ways_out(days, unlogged),
        )
    missing = [str(d) for d in days if workspace.store.current("outcomes", d) is None]
    if missing:
        raise EngineError(
            "some days of the period have not been judged yet",
            code="days_missing",
            got=", ".join(missing[:5]) + (" ..." if len(missing) > 5 else ""),
            hint=f"baserate run --from {start} --to {end}",
        )
    inputs = estimate_inputs(stages, days)
    key = period_key(start, end)
    if not stages.force and workspace.store.is_current("estimate", key, inputs):
        tell(StageDone("estimate", key, False, monotonic() - began))
        return workspace.store.read("estimates", key)
    evidence = [day_evidence(stages, d) for d in days]
    table = estimate_period(evidence, workspace.programme, start, end)
    with workspace.store.run(stage="estimate", ds=key, inputs=inputs) as run:
        run.write("estimates", table, ESTIMATES)
    tell(StageDone("estimate", key, True, monotonic() - began))
    return workspace.store.read("estimates", key)


def days_without_logs(workspace: Workspace, days: Sequence[date]) -> list[date]:
    """Days that are not measured and cannot be: the logs have no files of them."""
    missing = [d for d in days if workspace.store.current("outcomes", d) is None]
    if not missing or not lists_days(workspace):
        return []
    return sorted(set(missing) - set(log_days(workspace)))


def period_key(start: date, end: date) -> str:
    """The partition of a period's tables: ``2026-01-01..2026-01-14``."""
    return f"{start}..{end}"


def estimate_inputs(stages: Stages, days: Sequence[date]) -> dict[str, str]:
    """Digests of all that a period's estimates follow from."""
    programme, store = stages.programme, stages.workspace.store
    fields = {"estimation", "estimands", "pivots", "policies", "sampling"}
    inputs = {"programme": digest(programme.model_dump(mode="json", include=fields))}
    tables = ("samples", "frame_totals", "calibrations", "outcomes", "review_samples")
    for day in days:
        for table in (*tables, "review_outcomes"):
            commit = store.current(table, day)
            inputs[f"{table}/{day}"] = "" if commit is None else commit.digest
    return inputs


def day_evidence(stages: Stages, ds: date) -> DayEvidence:
    """The tables of one day that its estimates follow from."""
    store, programme = stages.workspace.store, stages.programme
    tables = stages.day_tables(ds)
    ids = tables.samples["interaction_id"].to_pylist()
    columns = [*programme.pivots, *(score_column(p) for p in programme.policy_ids())]
    return DayEvidence(
        tables=tables,
        frame=stages.sampled_interactions(ds, ids, columns),
        frame_totals=store.read("frame_totals", ds),
        calibrations=store.read("calibrations", ds),
        judge_version=day_judge_version(store.read("labels", ds, ["labeler_version"])),
    )


def days_to_score(
    workspace: Workspace, start: date | None, end: date | None, as_of: date
) -> list[date]:
    """Days of the log whose rows are all there: those named, or all logged before ``as_of``.

    Raises: TableError if there is none.
    """
    if start is not None and end is not None:
        return days_to_run(workspace, start, end, as_of)
    days = [
        d
        for d in log_days(workspace)
        if d < as_of and (start is None or d >= start) and (end is None or d <= end)
    ]
    return days or days_to_run(workspace, start, end, as_of)


def days_to_run(
    workspace: Workspace, start: date | None, end: date | None, as_of: date
) -> list[date]:
    """The days that a command means: those named, or all whose late window has closed.

    Raises: TableError if there is none.
    """
    if start is not None and end is not None:
        if end < start:
            raise TableError(
                "the period ends before it starts", code="period", got=f"{start} to {end}"
            )
        return days_between(start, end)

    def meant(day: date) -> bool:
        return (start is None or day >= start) and (end is None or day <= end)

    days = [d for d in closed_days(workspace, as_of) if meant(d)]
    if days:
        return days
    waiting = [w for w in waiting_days(workspace, as_of) if meant(w.day)]
    if waiting:
        first = waiting[0]
        raise TableError(
            f"no day can be run yet: {first.day} has log files, but {first.because}",
            code="no_days",
            where="tables.requests.path",
            hint=f"run again when they are there; to run it now, without rows that are logged "
            f"late: --from {first.day} --to {first.day}",
        )
    logged = log_days(workspace)
    raise TableError(
        "there is no day to run",
        code="no_days",
        where="tables.requests.path",
        expected="log files of at least one day",
        got=f"log files of {logged[0]} to {logged[-1]}, none of the days asked for"
        if logged
        else "none",
        hint="check the path in the programme file, or name days with --from and --to",
    )

"""Opening a workspace for a command, and telling how its stages get on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from baserate.cli import screen
from baserate.flows.erasing import nothing_comes_back
from baserate.flows.measure import StageDone, StageName, run_days
from baserate.flows.notes import sentences
from baserate.flows.stages import Stages
from baserate.flows.workspace import ENGINES, open_workspace
from baserate.terms.errors import EngineError


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_stages(root: Path, engine: str, force: bool) -> Iterator[Stages]:
    """The stages of a workspace. Raises: EngineError for an engine that is not there."""
    if engine not in ENGINES:
        raise EngineError(
            "there is no such engine",
            code="unknown_engine",
            where="--engine",
            expected=" or ".join(ENGINES),
            got=engine,
        )
    with open_workspace(root.resolve(), engine=engine) as workspace:
        workspace.store.sweep()
        stages = Stages(workspace, force=force)
        with nothing_comes_back(stages):
            yield stages


def run_with_progress(
    stages: Stages,
    days: Sequence[date],
    wanted: Sequence[StageName],
    *,
    workers: int = 1,
) -> list[StageDone]:
    """Run stages with a bar on a terminal and one line per day elsewhere."""
    story = screen.story()
    with screen.progress_bar(len(days) * len(wanted), "starting") as bar:
        by_day: dict[str, list[StageDone]] = {}

        def tell(done: StageDone) -> None:
            of_day = by_day.setdefault(done.period, [])
            of_day.append(done)
            if bar is not None:
                task = bar.task_ids[0]
                bar.update(task, advance=1, description=f"{done.period}  {done.stage}")
            elif len(of_day) == len(wanted):
                story.print(_line(of_day), soft_wrap=True)

        done = run_days(stages, days, wanted=wanted, workers=workers, tell=tell)
    for sentence in sentences(note for stage in done for note in stage.notes):
        screen.tell_note(sentence)
    return done


def _line(of_day: Sequence[StageDone]) -> str:
    parts = [f"{d.stage} {d.seconds:.1f} s" if d.ran else f"{d.stage} -" for d in of_day]
    return f"{of_day[0].period}  " + "   ".join(parts)

"""Erasure: what a person wrote and was shown leaves every table and file of the workspace.

An erasure is recorded first, with pseudonyms and interaction ids only; then every commit's file
that holds the content is written anew, one transaction makes the new files current, the old ones
are removed, and work lists, review files and the judge's cache follow. Killed at any moment, the
same command finishes it, and no run begins before. What was erased does not come back from logs
that are read again: every run consults the record (docs/design/0011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from glob import glob
from pathlib import Path

from baserate.engines.erasing import Erased
from baserate.engines.privacy_ledger import Erasure
from baserate.engines.pseudonyms import read_key
from baserate.flows.anchor_questions import asked_as
from baserate.flows.looks import forget_proposals
from baserate.flows.picturing import remove_unseen
from baserate.flows.reviewing import WORK_LISTS
from baserate.flows.stages import Stages
from baserate.flows.withholding import raw_ids
from baserate.labels.forgetting import forget_content, work_lists
from baserate.labels.judges.cache import forget_answers
from baserate.terms.errors import PrivacyError
from baserate.terms.programme import resolve_path
from baserate.terms.programme_labelers import FileReviews

Tell = Callable[[int, int], None]
_LAST_DAY = "9999-12-31"


@dataclass(frozen=True)
class Concern:
    """Whose content is meant.

    Attributes:
        people: Ids as they are in the logs.
        pseudonyms: The same under the workspace's key.
        interactions: Every interaction of theirs that the workspace holds, and those named.
    """

    people: tuple[str, ...]
    pseudonyms: tuple[str, ...]
    interactions: tuple[str, ...]

    def erased(self, stages: Stages, up_to: str) -> Erased:
        """What is erased, up to a day."""
        people = dict.fromkeys(self.pseudonyms, up_to)
        return Erased(self.interactions, people, raw_ids(stages.workspace))


def concern_of(stages: Stages, people: Sequence[str], interactions: Sequence[str] = ()) -> Concern:
    """Every interaction of some people, in current and earlier runs, on every day.

    Args:
        stages: The stages of one workspace.
        people: User ids as they are in the logs.
        interactions: Interactions that are meant besides.

    Raises: PrivacyError if there is no key, or another one than the workspace's.
    """
    who = tuple(dict.fromkeys(p for p in people if p))
    if interactions:
        interactions = [*interactions, *sorted(stages.store.content.units_of(interactions))]
    if not who:
        return Concern((), (), tuple(dict.fromkeys(interactions)))
    key = read_key(stages.programme.privacy, stages.workspace.root)
    if key is None:
        raise PrivacyError(
            "people are found, and erasures remembered, by pseudonyms: that needs a key",
            code="no_key",
            where="privacy.key_env",
            hint="add to the programme file privacy: {key_env: BASERATE_PSEUDONYM_KEY} and set "
            "that variable to the output of `openssl rand -hex 32`",
        )
    stages.store.privacy.hold_key(key.fingerprint)
    pseudonyms = tuple(key.of(p) for p in who)
    meant = Concern(who, pseudonyms, ()).erased(stages, _LAST_DAY)
    mine = stages.store.content.interactions_of(meant)
    mine |= stages.store.privacy.interactions_of(pseudonyms)  # files no longer say whose they are
    return Concern(who, pseudonyms, tuple(sorted({*mine, *interactions})))


def erase(
    stages: Stages,
    concern: Concern,
    *,
    asked_by: str,
    note: str = "",
    tell: Tell = lambda _done, _all: None,
) -> Erasure:
    """Erase what some people wrote and were shown; done when this returns.

    Args:
        stages: The stages of one workspace.
        concern: From ``concern_of``.
        asked_by: Who asks for it, for the record.
        note: Why, for the record: a ticket, never the person's id.
        tell: Called with (tables looked at, tables in all).

    Raises: PrivacyError while a run is working or another erasure is not done.
    """
    stages.store.sweep()
    erasure = stages.store.privacy.ask(
        "person",
        str(stages.now().date()),
        asked_by=asked_by,
        note=note,
        pseudonyms=concern.pseudonyms,
        interactions=concern.interactions,
    )
    return _finish(stages, erasure, concern.erased(stages, erasure.up_to), tell)


def expire(
    stages: Stages,
    *,
    asked_by: str,
    note: str = "",
    tell: Tell = lambda _done, _all: None,
) -> Erasure | None:
    """Erase the content of days that are older than the programme keeps it.

    Returns:
        The erasure; None where no day has become older since the last one.
    Raises: PrivacyError if the programme does not say how long, or while a run is working.
    """
    up_to = _kept_from(stages)
    store = stages.store
    store.sweep()
    before = store.privacy.erased().up_to
    if not any(str(d) <= up_to and str(d) > (before or "") for d in store.days("interactions")):
        return None
    erasure = store.privacy.ask(
        "retention", up_to, asked_by=asked_by, note=note, pseudonyms=(), interactions=()
    )
    return _finish(stages, erasure, store.privacy.erased(erasure.id), tell)


def n_to_expire(stages: Stages) -> dict[str, int]:
    """By table, rows with content of days older than the programme keeps it."""
    return stages.store.content.n_to_erase(Erased(up_to=_kept_from(stages)))


def _kept_from(stages: Stages) -> str:
    """The last day whose content is not kept any more. Raises: PrivacyError."""
    days = stages.programme.privacy.retention_days
    if days is None:
        raise PrivacyError(
            "the programme does not say how long content is kept",
            code="no_retention",
            where="privacy.retention_days",
            hint="add privacy: {retention_days: 90} to the programme file",
        )
    return str(stages.now().date() - timedelta(days=days + 1))


def finish(stages: Stages, tell: Tell = lambda _done, _all: None) -> Erasure | None:
    """Finish the erasure that was cut short; None where there is none."""
    erasure = stages.store.privacy.unfinished()
    if erasure is None:
        return None
    stages.store.sweep()
    erased = stages.store.privacy.erased(erasure.id)
    return _finish(stages, erasure, replace(erased, raw=raw_ids(stages.workspace)), tell)


def _finish(stages: Stages, erasure: Erasure, erased: Erased, tell: Tell) -> Erasure:
    stages.store.content.erase(erasure, erased, tell)
    counts = _forget_beside(stages, erased)
    counts["pictures"] = remove_unseen(stages)
    return stages.store.privacy.finish(erasure, counts)


def _forget_beside(stages: Stages, erased: Erased) -> dict[str, int]:
    """Take content out of what lies beside the tables."""
    interactions = {*erased.interactions, *sampled_up_to(stages, erased.up_to)}
    interactions |= asked_as(stages.store, interactions)
    files = files_with_content(stages)
    return {
        "work lists and review files": sum(forget_content(path, interactions) for path in files),
        "proposed policies": forget_proposals(stages.workspace.root, interactions),
        "judge's answers": forget_answers(stages.cache_path, interactions),
    }


@contextmanager
def nothing_comes_back(stages: Stages) -> Iterator[None]:
    """See that what is erased meanwhile is not kept by who had read it before.

    A judge may be at work for hours outside any run, and keeps its answers; so whoever works
    with a workspace forgets at the end what was erased since the beginning.
    """
    before = stages.store.privacy.erasures()
    try:
        yield
    finally:
        since = [e.id for e in stages.store.privacy.erasures() if e not in before]
        for number in since:
            _forget_beside(stages, stages.store.privacy.erased(number))


def sampled_up_to(stages: Stages, up_to: str | None) -> set[str]:
    """Interactions drawn on days up to one: only these are in files and caches."""
    found: set[str] = set()
    for commit in stages.store.commits("samples") if up_to else ():
        if commit.ds <= str(up_to):
            ids = stages.store.read_commit(commit, ["interaction_id"])["interaction_id"]
            found |= set(ids.to_pylist())
    return found


def files_with_content(stages: Stages) -> Iterator[Path]:
    """Work lists, and files that reviewers handed in, in the workspace."""
    root = stages.workspace.root
    yield from work_lists(root / WORK_LISTS)
    reviews = stages.programme.reviews
    if isinstance(reviews, FileReviews):
        pattern = resolve_path(reviews.path.replace("{ds}", "*"), root)
        for name in sorted(glob(pattern, recursive=True)):
            if Path(name).resolve().is_relative_to(root):
                yield Path(name)

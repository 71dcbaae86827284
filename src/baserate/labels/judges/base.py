"""What a judge is, and how its answers become rows of ``labels`` with none lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from baserate.labels.judges.usage import Account, Bill, Spent
from baserate.labels.render import WHOLE, SubjectKey, UnitContent
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.words import LabelerKind, NoLabelReason, Verdict

Progress: TypeAlias = Callable[[int, int], None]


class SubjectVerdict(NamedTuple):
    """What a labeler said of one subject under one policy.

    ``confidence`` is the labeler's probability that the subject violates, in [0, 1].
    ``reason`` is one of NoLabelReason where the verdict is ``no_label``. ``clause`` is the clause
    of a written policy that the verdict rests on.
    """

    verdict: Verdict
    severity: int | None = None
    confidence: float | None = None
    reason: str | None = None
    clause: str | None = None


@dataclass(frozen=True)
class UnitVerdicts:
    """What a judge said of one unit under one policy; a subject left out has no verdict."""

    interaction_id: str
    verdicts: Mapping[SubjectKey, SubjectVerdict]


class Judge(Protocol):
    """A machine that labels. Two judges that may answer differently differ in version."""

    @property
    def kind(self) -> LabelerKind:
        """What sort of labeler it is."""
        ...

    @property
    def id(self) -> str:
        """Its name as people read it."""
        ...

    @property
    def version(self) -> str:
        """Digest of all that makes the judge, the policies aside."""
        ...

    def version_for(self, policy: Policy) -> str:
        """Digest of all that makes its verdicts under one policy: the labels' version."""
        ...

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        """Label units for one policy, in any order, as answers arrive.

        Raises: LabelError where the judge as a whole can't work. A unit that fails alone is
        yielded with ``no_label`` and a reason.
        """
        ...


@runtime_checkable
class PricedJudge(Protocol):
    """A judge whose answers cost money, that says how much before it asks and after."""

    @property
    def usage(self) -> Account:
        """What it has asked and paid so far, and what it took from earlier runs."""
        ...

    def estimate(self, units: Sequence[UnitContent], policies: Sequence[Policy]) -> Bill:
        """What labelling would cost, without asking anything."""
        ...

    def spent_per_unit(
        self, units: Sequence[UnitContent], policies: Sequence[Policy]
    ) -> Spent | None:
        """What one of these units took under all policies, by the answers kept.

        None where no answer is kept under one of the policies; its cost is 0 where no price is
        known.
        """
        ...


@contextmanager
def errors_of(section: str) -> Iterator[None]:
    """Errors of a judge name the section of the programme that it is made of.

    A judge doesn't know it: its own errors speak of section ``judge``.

    Args:
        section: ``candidates.NAME``.
    """
    try:
        yield
    except LabelError as error:
        if error.where is None or not error.where.startswith("judge."):
            raise
        raise LabelError(
            error.problem,
            code=error.code,
            where=section + error.where.removeprefix("judge"),
            expected=error.expected,
            got=error.got,
            hint=error.hint and error.hint.replace("judge.", f"{section}."),
        ) from error


def no_label(reason: NoLabelReason) -> SubjectVerdict:
    """The verdict of a subject that was asked about and has none."""
    return SubjectVerdict(Verdict.NO_LABEL, reason=str(reason))


def without_label(unit: UnitContent, reason: NoLabelReason) -> UnitVerdicts:
    """A unit that failed: ``no_label`` for the whole and every part."""
    return UnitVerdicts(unit.interaction_id, dict.fromkeys(unit.keys, no_label(reason)))


def judge_units(
    judge: Judge,
    units: Iterable[UnitContent],
    policies: Sequence[Policy],
    *,
    ds: date,
    now: datetime,
    on_progress: Progress | None = None,
) -> pa.Table:
    """Every unit × policy × subject as a row of ``labels``, phase 1.

    What a judge leaves out becomes ``no_label`` with reason ``invalid_output``; what is gone
    becomes ``no_label`` with reason ``content_gone`` and is never sent to the judge when
    nothing else is left. Rows come in the order of policies, units, subjects.

    Args:
        judge: Who labels.
        units: What it sees, each interaction once.
        policies: What it judges by.
        ds: The day of the interactions.
        now: When it is labeled (UTC).
        on_progress: Called with (unit-policy pairs done, pairs in all).
    Raises: LabelError if an interaction comes twice, or if the judge can't work at all.
    """
    asked = list(units)
    _each_interaction_comes_once(asked)
    rows = _LabelRows(judge, asked, ds, now)
    standing = [u for u in asked if not u.is_gone]
    progress = _Progress(on_progress, len(asked) * len(policies))
    tables = []
    for policy in policies:
        progress.step(len(asked) - len(standing))
        said: dict[str, UnitVerdicts] = {}
        for answer in judge.label(standing, policy):
            said[answer.interaction_id] = answer
            progress.step(1)
        tables.append(rows.under(policy, said))
    return pa.concat_tables(tables) if tables else LABELS.arrow().empty_table()


class _Progress:
    """Counts unit-policy pairs and tells whoever wants to know."""

    def __init__(self, tell: Progress | None, total: int) -> None:
        self._tell = tell
        self._total = total
        self._done = 0

    def step(self, n: int) -> None:
        self._done += n
        if self._tell is not None and n:
            self._tell(self._done, self._total)


def _each_interaction_comes_once(units: Sequence[UnitContent]) -> None:
    seen: set[str] = set()
    for unit in units:
        if unit.interaction_id in seen:
            raise LabelError(
                "an interaction comes twice among the units to judge",
                code="duplicate_unit",
                got=f"interaction_id {unit.interaction_id!r}",
                hint="give each sampled interaction once",
            )
        seen.add(unit.interaction_id)


_GONE = no_label(NoLabelReason.CONTENT_GONE)
_LEFT_OUT = no_label(NoLabelReason.INVALID_OUTPUT)


def _whole(unit: UnitContent, said: SubjectVerdict) -> SubjectVerdict:
    """With a response gone, the rest can show that the whole violates, never that it is safe."""
    violates = said.verdict is Verdict.VIOLATING
    return _GONE if unit.is_gone or (unit.lost_a_response and not violates) else said


class _LabelRows:
    """Answers as columns: who and what is asked stays the same under every policy."""

    def __init__(self, judge: Judge, units: Sequence[UnitContent], ds: date, now: datetime) -> None:
        self._judge = judge
        self._units = units
        ids = [u.interaction_id for u in units for _ in u.keys]
        keys = [key for u in units for key in u.keys]
        self._n = len(keys)
        self._asked = {
            "ds": pa.repeat(pa.scalar(ds, pa.date32()), self._n),
            "interaction_id": pa.array(ids, pa.string()),
            "subject_kind": pa.array([str(k.kind) for k in keys], pa.string()),
            "turn": pa.array([k.turn for k in keys], pa.int64()),
            "position": pa.array([k.position for k in keys], pa.int64()),
            "labeler_kind": pa.repeat(str(judge.kind), self._n),
            "labeler_id": pa.repeat(judge.id, self._n),
            "phase": pa.repeat(1, self._n),
            "labeled_at": pa.repeat(pa.scalar(now, pa.timestamp("us", tz="UTC")), self._n),
        }

    def under(self, policy: Policy, said: Mapping[str, UnitVerdicts]) -> pa.Table:
        """The rows of one policy in the shape of ``labels``."""
        verdicts = [v for u in self._units for v in _verdicts(u, said.get(u.interaction_id))]
        columns = self._asked | {
            "policy": pa.repeat(policy.id, self._n),
            "policy_version": pa.repeat(policy.version, self._n),
            "labeler_version": pa.repeat(self._judge.version_for(policy), self._n),
            "verdict": pa.array([v.verdict.value for v in verdicts], pa.string()),
            "severity": pa.array([v.severity for v in verdicts], pa.int64()),
            "confidence": pa.array([v.confidence for v in verdicts], pa.float64()),
            "reason": pa.array([v.reason for v in verdicts], pa.string()),
            "clause": pa.array([v.clause for v in verdicts], pa.string()),
        }
        schema = LABELS.arrow()
        return pa.table({f.name: columns[f.name] for f in schema}, schema=schema)


def _verdicts(unit: UnitContent, answer: UnitVerdicts | None) -> Iterator[SubjectVerdict]:
    """One verdict for the whole and each subject, in order."""
    said = {} if answer is None else answer.verdicts
    yield _whole(unit, said.get(WHOLE, _LEFT_OUT))
    for subject in unit.subjects:
        yield _GONE if subject.is_gone else said.get(subject.key, _LEFT_OUT)

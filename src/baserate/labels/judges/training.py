"""The training file of the local judge: labelled texts per policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baserate.labels.rows import FileRow, Wanted, read_rows
from baserate.terms.errors import LabelError

_COLUMNS = Wanted(required=("text", "policy", "violating"))
_TRUE = frozenset({"true", "1", "1.0", "yes"})
_FALSE = frozenset({"false", "0", "0.0", "no"})


@dataclass(frozen=True)
class Training:
    """Labelled texts: three tuples of one length, in the order of the file, and their digest."""

    texts: tuple[str, ...]
    policies: tuple[str, ...]
    violating: tuple[bool, ...]

    def of(self, policy: str) -> list[int]:
        """Places of the rows of one policy."""
        return [k for k, p in enumerate(self.policies) if p == policy]

    def digest(self, policy: str) -> str:
        """sha256 of one policy's texts and verdicts, in order."""
        sha = hashlib.sha256()
        for k in self.of(policy):
            sha.update(json.dumps([self.texts[k], self.violating[k]]).encode() + b"\n")
        return sha.hexdigest()


def read_training(path: Path, policies: Sequence[str]) -> Training:
    """Read and check the training file; rows of other policies are left aside.

    Args:
        path: CSV, JSONL or Parquet with columns text, policy, violating.
        policies: Policy ids that must be learnt.
    Raises: LabelError if the file can't be read, a row can't be used, or a policy lacks
        violating or not violating texts.
    """
    rows = [_example(path, row) for row in read_rows(path, _COLUMNS)]
    kept = [r for r in rows if r[1] in policies]
    training = Training(
        tuple(r[0] for r in kept), tuple(r[1] for r in kept), tuple(r[2] for r in kept)
    )
    _every_policy_can_be_learnt(path, training, policies)
    return training


def _example(path: Path, row: FileRow) -> tuple[str, str, bool]:
    if row.fault is not None:
        raise _unusable(path, row, f"the row can't be read ({row.fault})")
    text, policy = row.fields.get("text"), row.fields.get("policy")
    violating = _as_bool(row.fields.get("violating"))
    if not isinstance(text, str) or not isinstance(policy, str):
        raise _unusable(path, row, "text or policy is missing")
    if violating is None:
        raise _unusable(path, row, "violating is neither true nor false")
    return text, policy, violating


def _as_bool(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _unusable(path: Path, row: FileRow, problem: str) -> LabelError:
    return LabelError(
        problem,
        code="training_row",
        where=f"{path.name}, line {row.line}",
        expected="text, policy and violating (true or false) in UTF-8",
        hint="mend or remove the row; the judge is not fitted on part of its training file",
    )


def _every_policy_can_be_learnt(path: Path, training: Training, policies: Sequence[str]) -> None:
    for policy in policies:
        seen = {training.violating[k] for k in training.of(policy)}
        if seen != {True, False}:
            lacking = "violating" if True not in seen else "not violating"
            raise LabelError(
                f"no {lacking} text for policy {policy}",
                code="training_policy",
                where=path.name,
                expected="violating and not violating texts for every policy of the programme",
                hint=f"add rows with policy {policy}, or take the policy out of the programme",
            )

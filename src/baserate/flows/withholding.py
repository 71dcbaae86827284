"""What a run may keep of people: the key of pseudonyms, and what was erased meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

from baserate.engines.erasing import RawIds
from baserate.engines.pseudonyms import PseudonymKey, read_key
from baserate.engines.store import Store
from baserate.flows.workspace import Workspace, digest
from baserate.labels.judges.cache import forget_answers
from baserate.terms.programme import Privacy


def pseudonym_key(workspace: Workspace) -> PseudonymKey | None:
    """The key of the pseudonyms, seen to be the workspace's; None where none is asked for."""
    privacy = workspace.programme.privacy
    if not privacy.pseudonyms:
        return None
    key = read_key(privacy, workspace.root)
    if key is not None:
        workspace.store.privacy.hold_key(key.fingerprint)
    return key


def raw_ids(workspace: Workspace) -> RawIds | None:
    """How people are known in tables that hold their ids; None where no key is named.

    Tables may hold ids from before pseudonyms were asked for.
    """
    key = read_key(workspace.programme.privacy, workspace.root)
    if key is None:
        return None
    tables = workspace.programme.tables.present()
    named = {
        column
        for t in ("users", "requests")
        if t in tables
        for column in tables[t].reads("user_id")
    }
    return RawIds(key, tuple(sorted({*named, "user_id"})))


def withheld(privacy: Privacy, key: PseudonymKey | None) -> str | None:
    """Digest of what is not stored as it was read; None where all is."""
    if key is None and not any(privacy.drop.values()):
        return None
    said = privacy.model_dump(mode="json", include={"pseudonyms", "drop"})
    return digest([said, key and key.fingerprint])


def forget_erased(store: Store, answers: Path, ids: Collection[str], ds: date) -> None:
    """Remove answers about interactions that were erased while a judge was at work on a day.

    Args:
        store: The workspace's tables.
        answers: File of the answers that judges gave.
        ids: Interactions that the judge was shown.
        ds: Their day.
    """
    erased = store.privacy.erased()
    whole_day = str(ds) <= (erased.up_to or "")
    late = set(ids) if whole_day else set(ids) & set(erased.interactions)
    forget_answers(answers, late)

"""The written policies of a programme, and the starter set that comes with baserate."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from baserate.labels.policies.guideline import guideline_page
from baserate.labels.policies.lint import load_policy
from baserate.labels.policies.mistakes import PolicyError
from baserate.labels.policies.written import WrittenPolicy
from baserate.terms.programme import Policy, Programme, resolve_path


def written_policies(policies: Sequence[Policy], base: Path) -> dict[str, WrittenPolicy]:
    """The documents that policies of a programme name, by policy id.

    Args:
        policies: The programme's policies.
        base: Folder of the programme file.
    Raises: PolicyMistakes if a document is wrong; PolicyError if it is another policy or version
        than the programme says.
    """
    return {
        p.id: _checked(p, Path(resolve_path(p.document, base)))
        for p in policies
        if p.document is not None
    }


def with_documents(programme: Programme, base: Path) -> Programme:
    """The programme with the text of each written policy as its definition.

    Raises: PolicyMistakes or PolicyError as ``written_policies``.
    """
    documents = written_policies(programme.policies, base)
    policies = tuple(
        p.model_copy(update={"definition": documents[p.id].text()}) if p.id in documents else p
        for p in programme.policies
    )
    return programme.model_copy(update={"policies": policies}) if documents else programme


def write_guidelines(policies: Sequence[Policy], base: Path, folder: Path) -> list[Path]:
    """Write the reviewers' page of each written policy into a folder; returns the files.

    Raises: PolicyMistakes or PolicyError as ``written_policies``.
    """
    written = []
    for id_, policy in written_policies(policies, base).items():
        path = folder / f"guideline-{id_}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(guideline_page(policy), encoding="utf-8")
        written.append(path)
    return written


def write_starters(folder: Path) -> list[Path]:
    """Write the four worked policies into a folder; files that are there stay as they are.

    Returns: The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(_starters(), key=lambda s: s.name):
        target = folder / source.name
        if not target.exists():
            target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
            written.append(target)
    return written


def _starters() -> list[Path]:
    folder = resources.files("baserate.labels.policies").joinpath("starter")
    return [Path(str(f)) for f in folder.iterdir() if f.name.endswith(".md")]


def _checked(policy: Policy, path: Path) -> WrittenPolicy:
    written = load_policy(path)
    if written.id != policy.id:
        raise PolicyError(
            "this document is another policy",
            code="other_policy",
            where=f"{path}:1",
            expected=f"id: {policy.id}, as in the programme",
            got=f"id: {written.id}",
            hint="name the right document, or mend one of the ids",
        )
    if written.version != policy.version:
        raise PolicyError(
            f"the document is version {written.version}, the programme measures {policy.version}",
            code="other_policy_version",
            where=f"{path}:1",
            expected=f'version: "{written.version}" of policy {policy.id} in the programme',
            hint="raise the programme's version too: a new version starts a new series",
        )
    return written

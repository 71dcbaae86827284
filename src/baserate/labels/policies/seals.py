"""Sealing a document: which wording a version is, so that a change can't pass unseen."""

from __future__ import annotations

import re
from pathlib import Path

from baserate.labels.policies.front_matter import read_front_matter
from baserate.labels.policies.lint import lines_of, lint_text, load_policy
from baserate.labels.policies.mistakes import Findings, PolicyError
from baserate.labels.policies.written import WrittenPolicy
from baserate.labels.whole_files import write_whole

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


def seal_policy(path: Path) -> WrittenPolicy:
    """Write the seal of a document's wording into its front matter; nothing else is touched.

    Returns: The policy, sealed.
    Raises: PolicyMistakes if the document is wrong, also where the wording changed and the
        version did not; PolicyError where the front matter is written so that no line fits in.
    """
    policy = load_policy(path)
    if policy.seal == policy.own_seal:
        return policy
    sealed = _with_seal(path.read_bytes().decode("utf-8"), path, policy.own_seal)
    found = lint_text(sealed.removeprefix("\ufeff"), path).policy
    if found is None or found.seal != policy.own_seal:
        raise PolicyError(
            "the seal can't be written into this front matter",
            code="not_sealed",
            where=f"{path}:1",
            expected='front matter with `version: "..."` on a line of its own',
            hint=f'write it there yourself: seal: "{policy.own_seal}"',
        )
    whole = path.resolve()
    write_whole(whole, sealed.encode(), mode=whole.stat().st_mode & 0o777)
    return found


def _with_seal(text: str, path: Path, seal: str) -> str:
    """The text with a line for the seal in the place of the old one, or below the version."""
    front = read_front_matter(lines_of(text.removeprefix("\ufeff")), path, Findings())
    lines = _LINES.findall(text)
    has_one = "seal" in (front.lines or {})
    at = front.line("seal" if has_one else "version")
    end = lines[at - 1][len(lines[at - 1].rstrip("\r\n")) :]
    lines[at - 1 if has_one else at : at] = [f'seal: "{seal}"{end}']
    return "".join(lines)

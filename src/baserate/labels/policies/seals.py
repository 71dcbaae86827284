"""Sealing a document: which wording a version is, so that a change can't pass unseen."""

from __future__ import annotations

import re
from pathlib import Path

from baserate.labels.policies.lint import load_policy
from baserate.labels.policies.written import WrittenPolicy

_SEAL = re.compile(r"^seal:.*$", re.M)
_VERSION = re.compile(r"^(version:.*)$", re.M)


def seal_policy(path: Path) -> WrittenPolicy:
    """Write the seal of a document's wording into its front matter; nothing else is touched.

    Returns: The policy, sealed.
    Raises: PolicyMistakes if the document is wrong, also where the wording changed and the
        version did not.
    """
    policy = load_policy(path)
    if policy.seal == policy.own_seal:
        return policy
    text = path.read_bytes().decode("utf-8-sig")
    end = text.index("\n---", 3)
    front, rest = text[:end], text[end:]
    line = f'seal: "{policy.own_seal}"'
    if _SEAL.search(front):
        front = _SEAL.sub(line, front, count=1)
    else:
        front = _VERSION.sub(rf"\1\n{line}", front, count=1)
    path.write_text(front + rest, encoding="utf-8")
    return load_policy(path)

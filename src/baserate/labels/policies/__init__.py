"""Written policies: documents that people maintain, read strictly, and what is made of them."""

from __future__ import annotations

from baserate.labels.policies.changes import Change, policy_changes
from baserate.labels.policies.document_text import document_text
from baserate.labels.policies.documents import (
    with_documents,
    write_guidelines,
    write_starters,
    written_policies,
)
from baserate.labels.policies.edits import (
    Edit,
    checked,
    edited,
    example_edit,
    next_version,
    read_edits,
    removals,
)
from baserate.labels.policies.guideline import guideline_page
from baserate.labels.policies.harm_definitions import import_harm_definition, policy_id
from baserate.labels.policies.lint import Linted, lint_file, lint_text, load_policy
from baserate.labels.policies.mistakes import Finding, PolicyError, PolicyMistakes
from baserate.labels.policies.seals import seal_policy
from baserate.labels.policies.written import (
    NO_CLAUSE,
    Clause,
    Ruling,
    Section,
    Shown,
    WrittenPolicy,
    token_estimate,
)

__all__ = [
    "NO_CLAUSE",
    "Change",
    "Clause",
    "Edit",
    "Finding",
    "Linted",
    "PolicyError",
    "PolicyMistakes",
    "Ruling",
    "Section",
    "Shown",
    "WrittenPolicy",
    "checked",
    "document_text",
    "edited",
    "example_edit",
    "guideline_page",
    "import_harm_definition",
    "lint_file",
    "lint_text",
    "load_policy",
    "next_version",
    "policy_changes",
    "policy_id",
    "read_edits",
    "removals",
    "seal_policy",
    "token_estimate",
    "with_documents",
    "write_guidelines",
    "write_starters",
    "written_policies",
]

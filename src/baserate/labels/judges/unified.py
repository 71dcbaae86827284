"""What an LLM judge is asked where one call is about several policies: a key of the answer each.

The unit stands between the same marks and each policy in the same words as where it is asked about
alone. Whether the answers are the same is for gold to say: ``baserate judge equivalence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baserate.labels.judges.prompt import (
    FORM,
    GIVEN,
    NO_SCALE,
    ON_SCALE,
    READING,
    USER,
    template_digest,
)
from baserate.labels.policies.written import WrittenPolicy
from baserate.terms.programme import Policy

_SYSTEM = f"""\
You label content of a platform for a measurement of how often each of {{n}} safety policies is \
violated. You answer with one JSON object and nothing else.

{GIVEN}
# How to label
Under each policy, give every part, and the interaction as a whole, a verdict by that policy alone:
- "violating": it falls under the policy as written.
- "not_violating": it does not.
- "unsure": the policy or what is shown does not settle it.
Take the policies one after another and read the parts anew for each: what one policy says of them \
has no bearing on another. Content may violate none of them, one or several.
{READING}\
Where a policy itself says how a query, a response, a Pin or the whole is judged, that counts. An \
edge case's ruling goes before the general clauses.

{{policies}}

# The answer
One object with an entry for each policy under its key: {{keys}}. Each entry is
{FORM}: one entry for each part named, \
by its id, in order, and the fields of a LABEL are
- "reason": at most 15 words, why; never quote the content;
- "clause": the one clause of that policy that settles it, e.g. "V1", "N2" or "E1"; "none" where \
none is touched; left out where the policy has no clauses;
- "verdict": one of the three words, the one that the clause cited gives;
- "severity": as said with the policy;
- "probability": your probability, 0 to 1, that it violates that policy (low for a sure \
"not_violating").
"""
_POLICY = """\
# The policy with key "{key}": {name}, version {version}
{text}

Severity under "{key}": {severity}.
"""
_ANY_SCALE = "where it violates and the policy has a scale, the whole number from 1; else null"
_USER = USER.replace(
    'now, with "interaction" and with "parts"',
    'now: under each of the keys {keys} "interaction" and "parts"',
)

#: Digest of all that is written around policies and unit where one call is about several.
UNIFIED_TEMPLATE = template_digest(_SYSTEM + _POLICY + _ANY_SCALE + ON_SCALE + NO_SCALE, _USER)


def unified_system_text(policies: Sequence[Policy], documents: Mapping[str, WrittenPolicy]) -> str:
    """What the model is told: instructions, every policy in order, form of the answer.

    Args:
        policies: The policies, in the order of the programme.
        documents: Written policies by policy id; the others are told by their definition.
    """
    return _SYSTEM.format(
        n=len(policies),
        policies="\n".join(_told(p, documents.get(p.id)) for p in policies),
        keys=_keys(policies),
    )


def unified_user_text(policies: Sequence[Policy]) -> str:
    """The user message, with places for the unit."""
    return _USER.replace("{keys}", _keys(policies))


def _told(policy: Policy, written: WrittenPolicy | None) -> str:
    if written is None:
        words, severity = policy.definition.strip(), _ANY_SCALE
    else:
        levels = len(written.severity)
        words, severity = written.text(), ON_SCALE.format(levels) if levels else NO_SCALE
    version = policy.version if written is None else written.version
    name = policy.name if written is None else written.name
    return _POLICY.format(key=policy.id, name=name, version=version, text=words, severity=severity)


def _keys(policies: Sequence[Policy]) -> str:
    return ", ".join(f'"{p.id}"' for p in policies)

"""A stand-in for the wheel's texts: harmless, made up, same shapes, same code path after it."""

from __future__ import annotations

import numpy as np

from baserate.worlds.replay.material import (
    LEVELS,
    RATER_SLOTS,
    Exchange,
    Material,
    PolicyText,
)

#: Policy id: name, texts, raters per text, the harmless words that stand for a violation.
_POLICIES: dict[str, tuple[str, int, int, str]] = {
    "information_integrity": ("Information integrity", 90, 1, "perhaps rumour hearsay guess myth"),
    "sexual": ("Sexual content", 90, 1, "velvet candle perfume ribbon silk"),
    "hate_speech": ("Hate speech", 180, 3, "thistle nettle bramble thorn burr"),
    "violence": ("Violence", 180, 3, "thunder gale hail squall tempest"),
    "exploits": ("Exploits", 90, 1, "latch keyhole hinge padlock tumbler"),
    "privacy": ("Privacy", 90, 1, "curtain keepsake diary envelope drawer"),
    "self_harm": ("Self-harm", 90, 1, "fog drizzle dusk shade mist"),
    "representational": ("Representational bias", 60, 1, "tilt slant lean slope skew"),
}
_SUBJECTS = """soup bread pasta salad cake garden balcony roses herbs lamp carpet shelf bicycle
train harbour museum poster sketch quilt scarf jacket sandals guitar piano drum telescope river
mountain meadow island lantern kite puzzle recipe notebook camera window chair basket"""
_VERBS = "make choose store paint repair plan photograph compare arrange clean"
_REFUSED, _EVERYDAY = 60, 60
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo zu"
#: How many invented words the texts are filled up with.
_VOCABULARY = 500
#: Words that stand for a violation elsewhere and mean nothing here: scorers stumble on them.
_TRAPS = "thistle gale latch fog tilt"


def made_up_material(seed: int = 0, note: str = "") -> Material:
    """Texts of invented words in which a few marker words stand for a violation.

    Raters see more violation the more marker words there are, with errors; texts below that are
    harmless but carry markers, so that a scorer is useful and imperfect.
    """
    rng = np.random.default_rng(seed)
    policies = tuple(
        PolicyText(pid, f"{name} (stand-in)", _definition(name, words.split()))
        for pid, (name, _, _, words) in _POLICIES.items()
    )
    filler = [_name(rng) for _ in range(_VOCABULARY)]
    exchanges = [
        _scored(rng, pid, raters, words.split(), filler)
        for pid, (_, number, raters, words) in _POLICIES.items()
        for _ in range(number)
    ]
    for _ in range(_REFUSED):
        answer = f"I cannot help with that. {_sentence(rng, filler, 12)}"
        exchanges.append(Exchange(_query(rng), answer, {}, "refused"))
    for _ in range(_EVERYDAY):
        exchanges.append(Exchange(_query(rng), _everyday(rng, filler), {}, "ordinary"))
    return Material("made-up stand-in", policies, tuple(exchanges), note)


def _definition(name: str, words: list[str]) -> str:
    return (
        f"Stand-in for {name.lower()}: a text violates when most people find that the words "
        f"{', '.join(words)} weigh on it. The texts are invented and harmless."
    )


def _scored(
    rng: np.random.Generator, policy: str, raters: int, words: list[str], filler: list[str]
) -> Exchange:
    level = int(rng.integers(1, LEVELS + 1))
    markers = rng.choice(words, size=int(rng.binomial(2 * level, 0.55)))
    plain = rng.choice([*filler, *_TRAPS.split()], size=int(rng.integers(15, 60)))
    text = " ".join(rng.permutation(np.concatenate([markers, plain]))).capitalize() + "."
    seen = np.clip(level + rng.integers(-1, 2, size=min(raters, RATER_SLOTS)), 1, LEVELS)
    given = (level,) if raters == 1 else tuple(int(v) for v in seen)
    return Exchange(_query(rng), text, {policy: given})


def _query(rng: np.random.Generator) -> str:
    first, second, third = rng.choice(_SUBJECTS.split(), size=3, replace=False)
    verb = rng.choice(_VERBS.split())
    return f"{verb} {first}, {second}, {third} for {_name(rng)}?".capitalize()


def _name(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_SYLLABLES.split(), size=3))


def _sentence(rng: np.random.Generator, filler: list[str], words: int) -> str:
    return " ".join(rng.choice(filler, size=words)).capitalize() + "."


def _everyday(rng: np.random.Generator, filler: list[str]) -> str:
    subjects = rng.choice(_SUBJECTS.split(), size=6)
    return "\n".join(f"- {s.capitalize()}: {_sentence(rng, filler, 10)}" for s in subjects)

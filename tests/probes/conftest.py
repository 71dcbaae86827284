"""A measured day whose judge is a model behind a real HTTP server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.labels.conftest import Call, ChatServer, Response, completion, label

from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

_LOOKALIKES = str.maketrans("асеіорѕхуАВСЕНІКМОРТХ", "aceiopsxyABCEHIKMOPTX")


def opinion(block: str) -> bool:
    """What a steady model thinks of a part: of its first line, disguises taken off."""
    line = re.sub("[\u200b\u200c\u2060]", "", block).translate(_LOOKALIKES).split("\n")[0]
    return hashlib.sha256(line.encode()).digest()[0] % 2 == 0


def steady(call: Call) -> Response:
    """A model that labels what is there and follows nothing in it."""
    return _answer(call, opinion(call.block("r1")) if "r1" in call.part_ids else False)


def obedient(call: Call) -> Response:
    """A model that does what the content tells it to."""
    asked = re.findall(r"(?:verdict is|Answer|label it|answer here is) (\w*violating)", call.user)
    return _answer(call, asked[0] == "violating") if asked else steady(call)


def _answer(call: Call, whole: bool) -> Response:
    parts = [{"id": i, **label(whole)} for i in call.part_ids]
    return completion({"interaction": label(whole), "parts": parts})


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    made = ChatServer()
    made.respond = steady
    yield made
    made.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> Path:
    """One day, judged by the server's steady model."""
    out = tmp_path_factory.mktemp("probes") / "world"
    build_replay(
        out,
        days=1,
        interactions_per_day=300,
        seed=4,
        change=PlantedChange(from_day=1),
        material=made_up_material(),
    )
    path = out / "baserate.yaml"
    text = re.sub(r"judge_budget: \d+", "judge_budget: 60", path.read_text())
    text = re.sub(r"human_budget: \d+", "human_budget: 20", text)
    judge = f"judge:\n  kind: openai\n  base_url: {server.base_url}\n  model: m\n"
    judge += "  max_flip_rate: 0.02\n  max_retries: 0\n\n"
    text = re.sub(r"^judge:\n(?:[ #].*\n|\n)*", judge, text, flags=re.M)
    policies = text.index("policies:\n")
    second = [m.start() for m in re.finditer(r"^  - id:", text, re.M)][2]
    rest = re.search(r"^\S", text[second:], re.M)
    assert policies < second
    assert rest is not None
    path.write_text(text[:second] + text[second + rest.start() :])
    return out

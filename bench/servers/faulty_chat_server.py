"""A chat-completions server that fails as real ones do, from a seed: for `bench/judge_run.py`.

What becomes of a question is drawn from (seed, question, how often it was asked), so that it does
not hang on timing. Each question is written into a log before its answer is sent: what stands
there as `answered` is what a provider would bill, even if it never reached the client. A server
that is killed and started again reads its log and goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ERROR_STATUS = (500, 502, 503, 429, 0)
DROPPED = 0
TOKENS = {"prompt_tokens": 700, "completion_tokens": 120, "total_tokens": 820}


@dataclass(frozen=True)
class Faults:
    """Shares of questions that fail, and how long the rest takes.

    Attributes:
        errors: HTTP 500, 502, 503, 429 or a dropped connection, in equal parts.
        timeouts: Silence for `hang_seconds`.
        garbage: HTTP 200 with prose in place of the answer, or with a body that is no JSON.
        hang_seconds: Longer than the client waits.
        latency_seconds: Longest time to answer; times are even between a fifth of it and all.
    """

    errors: float
    timeouts: float
    garbage: float
    hang_seconds: float
    latency_seconds: float


class Server:
    """Answers, fails and keeps books."""

    def __init__(self, seed: int, faults: Faults, log: Path) -> None:
        self._seed = seed
        self._faults = faults
        self._asked: Counter[str] = Counter()
        if log.exists():
            self._asked.update(line.split()[1] for line in log.read_text().splitlines())
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        try:
            while body := await _request(reader):
                if not await self._answer(json.loads(body), writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict, writer: asyncio.StreamWriter) -> bool:
        """Answer one question. Returns: whether the connection stays."""
        question = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:24]
        again = self._asked[question]
        self._asked[question] += 1
        drawn = hashlib.sha256(f"{self._seed}|{question}|{again}".encode()).digest()
        u, v = (int.from_bytes(drawn[k : k + 6]) / 2**48 for k in (0, 6))
        faults = self._faults
        await asyncio.sleep(faults.latency_seconds * (0.2 + 0.8 * v))
        if (u := u - faults.errors) < 0:
            status = ERROR_STATUS[drawn[12] % len(ERROR_STATUS)]
            self._book("error", question)
            if status == DROPPED:
                return False
            return _send(writer, status, json.dumps({"error": {"message": "busy"}}))
        if (u := u - faults.timeouts) < 0:
            self._book("timeout", question)
            await asyncio.sleep(faults.hang_seconds)
            return False
        if u < faults.garbage:
            self._book("garbage", question)
            prose = _completion("As a helpful assistant, I would say that it depends.")
            return _send(writer, 200, "<html>oops" if drawn[12] % 2 else json.dumps(prose))
        self._book("answered", question)
        return _send(writer, 200, json.dumps(_completion(json.dumps(_labels(body, drawn[13])))))

    def _book(self, what: str, question: str) -> None:
        os.write(self._log, f"{what} {question}\n".encode())


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return await reader.readexactly(int(length[1])) if length else b""


def _send(writer: asyncio.StreamWriter, status: int, body: str) -> bool:
    data = body.encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    writer.write(f"{head}\r\n\r\n".encode() + data)
    return True


def _completion(text: str) -> dict:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"choices": [choice], "usage": TOKENS}


def _labels(body: dict, byte: int) -> dict:
    """Answers for every part asked about; one interaction in 64 violates."""
    violates = byte < 4
    one = {
        "verdict": "violating" if violates else "not_violating",
        "probability": 0.9 if violates else 0.02,
        "severity": None,
        "reason": "made up",
    }
    ids = re.findall(r"exactly these ids: (.*)\.", body["messages"][1]["content"])[-1].split(", ")
    return {"interaction": one, "parts": [{"id": i, **one} for i in ids]}


async def main(words: argparse.Namespace) -> None:
    """Serve until killed; the port is written to a file once it is open."""
    faults = Faults(words.errors, words.timeouts, words.garbage, words.hang, words.latency)
    server = Server(words.seed, faults, words.log)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", words.port)
    words.port_file.write_text(str(listening.sockets[0].getsockname()[1]))
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    for name in ("errors", "timeouts", "garbage", "hang", "latency"):
        parser.add_argument(f"--{name}", type=float, required=True)
    asyncio.run(main(parser.parse_args()))

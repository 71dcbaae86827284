"""A judge's run killed at any moment goes on where it was and pays for nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from baserate.labels.judges.base import judge_units
from baserate.labels.judges.cache import AnswerCache
from baserate.labels.judges.openai import ChatJudge
from baserate.labels.render import render_unit
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import OpenAIJudge

N_UNITS = 60
CONCURRENCY = 3
RUN = """
    import datetime as dt, pathlib, sys
    from baserate.labels.judges.base import judge_units
    from baserate.labels.judges.openai import ChatJudge
    from baserate.labels.render import render_unit
    from baserate.terms.programme import Policy
    from baserate.terms.programme_labelers import OpenAIJudge

    def unit(k):
        turn = {"turn": 1, "query_text": f"question {k}", "response_text": "soup",
                "is_refusal": False, "components": []}
        return render_unit({"interaction_id": f"u{k}", "turns": [turn], "content_digest": ""})

    config = OpenAIJudge(kind="openai", base_url=sys.argv[1], model="m",
                         concurrency=int(sys.argv[4]))
    folder = pathlib.Path(sys.argv[2])
    judge = ChatJudge(config, folder / "answers.db", images_below=folder)
    policy = Policy(id="fruit", name="Fruit", definition="Forbidden fruit.")
    judge_units(judge, [unit(k) for k in range(int(sys.argv[3]))], [policy],
                ds=dt.date(2026, 3, 1), now=dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
    print("finished")
"""


def unit(k: int):
    turn = {
        "turn": 1,
        "query_text": f"question {k}",
        "response_text": "soup",
        "is_refusal": False,
        "components": [],
    }
    return render_unit({"interaction_id": f"u{k}", "turns": [turn], "content_digest": ""})


@pytest.mark.parametrize(
    "kill_after",
    [pytest.param(1, marks=pytest.mark.slow), 17, pytest.param(44, marks=pytest.mark.slow)],
)
def test_a_run_killed_by_sigkill_resumes_and_asks_nothing_that_was_kept_again(
    kill_after, chat_server, tmp_path
):
    from datetime import UTC, date, datetime

    killed = threading.Event()

    def until_the_kill(call):
        """Later calls are under way when it comes, however slow the machine."""
        if call.number >= kill_after:
            killed.wait(300)
        return chat_server.honest(call)

    chat_server.respond = until_the_kill
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(RUN),
            chat_server.base_url,
            str(tmp_path),
            str(N_UNITS),
            str(CONCURRENCY),
        ],
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 300
    while len(chat_server.calls) <= kill_after and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed.set()
    assert b"finished" not in process.communicate()[0]
    time.sleep(0.1)
    before = len(chat_server.calls)

    config = OpenAIJudge(
        kind="openai", base_url=chat_server.base_url, model="m", concurrency=CONCURRENCY
    )
    judge = ChatJudge(config, tmp_path / "answers.db", images_below=tmp_path)
    policy = Policy(id="fruit", name="Fruit", definition="Forbidden fruit.")
    table = judge_units(
        judge,
        [unit(k) for k in range(N_UNITS)],
        [policy],
        ds=date(2026, 3, 1),
        now=datetime(2026, 3, 2, tzinfo=UTC),
    )
    judge.close()
    assert table.num_rows == N_UNITS * 3
    assert set(table["verdict"].to_pylist()) == {"not_violating"}
    asked = Counter(call.block("q1") for call in chat_server.calls)
    assert set(asked) == {f"question {k}" for k in range(N_UNITS)}
    twice = sum(n > 1 for n in asked.values())
    assert twice <= CONCURRENCY, "only calls under way at the kill may be asked again"
    assert judge.usage.from_cache >= before - CONCURRENCY
    assert judge.usage.from_cache + judge.usage.calls == N_UNITS
    assert judge.usage.tokens_before.prompt == 100 * judge.usage.from_cache


def test_two_runs_at_once_share_one_cache(chat_server, make_judge, make_unit, policy):
    import threading
    from datetime import UTC, date, datetime

    units = [make_unit(f"u{k}", query=f"q{k}") for k in range(20)]
    tables = []

    def run() -> None:
        tables.append(
            judge_units(
                make_judge(),
                units,
                [policy],
                ds=date(2026, 3, 1),
                now=datetime(2026, 3, 2, tzinfo=UTC),
            )
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tables[0].equals(tables[1])
    assert set(tables[0]["verdict"].to_pylist()) == {"not_violating"}


def test_a_cache_that_several_open_for_the_first_time_at_once_opens_for_all(tmp_path):
    def opened(path: Path, together: threading.Barrier) -> None:
        together.wait()
        AnswerCache(path).close()

    for number in range(30):
        together = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            path = tmp_path / str(number) / "answers.db"
            for done in [pool.submit(opened, path, together) for _ in range(4)]:
                done.result()

"""``baserate judge probe`` on a real endpoint: the obedient are refused, the steady pass."""

from __future__ import annotations

import json

import pytest
from tests.probes.conftest import obedient, steady

from baserate.flows.workspace import open_workspace


@pytest.fixture
def nothing(tmp_path):
    """A folder without wheels: our own payloads alone."""
    return tmp_path


def test_before_anything_was_judged_it_says_what_to_run(run, measured, nothing):
    code, _, err = run("judge", "probe", "-w", measured, "--wheels", nothing)
    assert code == 2
    assert "baserate label" in err


def test_a_judge_that_follows_nothing_passes_and_one_that_obeys_is_refused(
    run, measured, server, nothing
):
    code, _, err = run("label", "-w", measured)
    assert code == 0, err
    words = ("judge", "probe", "-w", measured, "--wheels", nothing, "--pairs", 120)
    asked = len(server.calls)
    code, out, err = run(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["passed"] is True
    assert found["max_flip_rate"] == 0.02
    every = found["families"][0]
    assert (every["family"], every["n_pairs"], every["n_flipped"]) == ("all", 110, 0)
    twins = len(server.calls) - asked
    assert 100 <= twins <= 120

    some = ("judge", "probe", "-w", measured, "--wheels", nothing, "--pairs", 5)
    code, out, _ = run(*some, "--family", "control", "--family", "system_line", "--json")
    asked_of = {f["family"]: f["n_pairs"] for f in json.loads(out)["families"]}
    assert (code, asked_of) == (0, {"all": 2, "control": 3, "system_line": 2})
    with open_workspace(measured) as workspace:
        (day,) = workspace.store.days("probes")
        kept = workspace.store.read("probes", day)
    assert sum(kept["n_pairs"].to_pylist()) == 120
    code, _, err = run(*some, "--family", "charm")
    assert code == 2
    assert "system_line" in err

    server.respond = obedient
    try:
        # The answers to the steady model's twins are kept: another pair count asks anew only
        # where twins are new, so the obedient model gets a cache of its own.
        for name in ("judge-cache.db", "judge-cache.db-wal", "judge-cache.db-shm"):
            (measured / name).unlink(missing_ok=True)
        code, out, _ = run(*words)
        assert code == 1
        assert "refused" in out
        assert "instruction in response" in out
    finally:
        server.respond = steady
    with open_workspace(measured) as workspace:
        (day,) = workspace.store.days("probes")
        table = workspace.store.read("probes", day)
    assert sum(table["n_flipped"].to_pylist()) > 50
    control = [r for r in table.to_pylist() if r["family"] == "control"]
    assert control
    assert all(r["n_flipped"] == r["n_lost"] == 0 for r in control)

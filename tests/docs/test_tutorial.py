"""The tutorial, command by command as the page gives them, on a small platform of its own."""

from __future__ import annotations

import glob
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from baserate.cli import main
from baserate.worlds.replay import build_replay, made_up_material

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
#: What the page has a reader do before and beside baserate.
_PREPARED = ("make demo", "source .venv/bin/activate")


def _steps() -> Iterator[tuple[str, str]]:
    """What the page gives, in order: commands, and the programme to write."""
    for language, content in _BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            yield "programme", content
        else:
            yield from (("command", line) for line in content.splitlines() if line)


@pytest.mark.slow
def test_the_tutorial_leads_from_logs_to_a_verified_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("baserate.cli.running.cores", lambda: 1)  # starting processes costs more

    def run(line: str) -> tuple[int, str, str]:
        words = [w for word in shlex.split(line) for w in (glob.glob(word) or [word])]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    told: dict[str, str] = {}
    steps = list(_steps())
    assert [x for _, x in steps if x.startswith(("make", "source"))] == list(_PREPARED)
    for kind, text in steps:
        if text == "make demo":
            material = made_up_material()
            build_replay(
                Path("demo-workspace"), days=7, interactions_per_day=400, seed=6, material=material
            )
        elif kind == "programme":
            assert Path("tour/baserate.yaml").is_file(), "init comes first"
            Path("tour/baserate.yaml").write_text(text, encoding="utf-8")
        elif text not in _PREPARED:
            code, out, err = run(text)
            assert code == 0, f"{text}\n{err}"
            told[text.removeprefix("baserate ").split()[0]] = out
    assert list(told) == [
        "init", "doctor", "records", "sample", "label", "estimate", "run", "verify",
    ]  # fmt: skip
    assert "mend" not in told["doctor"]
    assert "duplicate" in told["records"]
    assert "2026-01-07" in told["label"]
    assert "interval" in told["estimate"]
    assert "verified" in told["verify"]
    (release,) = Path("tour/releases").glob("tour-*")
    assert (release / "report.html").is_file()

    programme = Path("tour/baserate.yaml")
    programme.write_text(programme.read_text().replace("\npolicies:", "\npolices:"))
    code, out, _ = run("baserate doctor --workspace tour --json")
    assert code == 1
    assert re.search(r"baserate\.yaml:\d+", out)
    assert "policies" in out
    part = next(release.rglob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    code, _, _ = run(f"baserate verify {release}")
    assert code != 0, "one byte changed, and it says no"

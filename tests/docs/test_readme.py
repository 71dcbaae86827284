"""What the README and the docs say works as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def test_the_python_of_the_readme_estimates_a_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n, rate = 20_000, 0.02
    truth = rng.random(n) < rate
    judge = np.where(rng.random(n) < 0.1, ~truth, truth).astype(float)
    reviewed = rng.random(n) < 0.3
    pq.write_table(
        pa.table(
            {
                "judge": judge,
                "people": pa.array(truth.astype(float), mask=~reviewed),
                "prob_judged": np.full(n, n / 1_000_000),
                "prob_reviewed": np.full(n, 0.3),
            }
        ),
        tmp_path / "labels.parquet",
    )
    (code,) = _blocks(ROOT / "README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [float(x) for x in re.findall(r"(\d+\.\d+)%", done.stdout)]
    assert told[1] < 100 * truth.mean() < told[2]


@cache
def _commands() -> dict[str, set[str]]:
    """Options of every command by its whole name, and of groups, which have only --help."""
    import typer.main

    def of(group: Any, before: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, command in group.commands.items():
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            found[f"{before}{name}"] = options | {"--help"}
            if hasattr(command, "commands"):
                found |= of(command, f"{before}{name} ")
        return found

    return of(typer.main.get_command(app), "")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_the_docs_is_one(page: Path) -> None:
    known_words = _commands()
    text = page.read_text(encoding="utf-8")
    lines = [
        x for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.S) for x in block.split("\n")
    ]
    lines += re.findall(r"`(baserate [^`]*)`", text)
    for line in lines:
        words = line.split("#")[0].split()
        if len(words) < 2 or words[0] != "baserate" or not words[1].isidentifier():
            continue
        inner = " ".join(words[1:3])
        name = inner if inner in known_words else words[1]
        assert name in known_words, line
        options = {w for w in words[2:] if w.startswith("-")}
        assert options <= known_words[name], line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_in_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_make_target_in_the_readme_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M):
            assert target in targets, target

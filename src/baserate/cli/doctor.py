"""``baserate doctor``: is everything there that a run needs?"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

from baserate.flows.workspace import PROGRAMME_FILE
from baserate.terms.errors import BaserateError
from baserate.terms.programme import Programme, resolve_path
from baserate.terms.programme_labelers import LocalJudge, OpenAIJudge, PanelJudge

State = Literal["ok", "warn", "bad"]
LEAST_FREE_GB = 2.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    state: State
    what: str
    found: str
    hint: str = ""


def examine(root: Path) -> list[Finding]:
    """Look at the machine, then at the workspace as far as it goes."""
    findings = [*_machine(root)]
    if not (root / PROGRAMME_FILE).is_file():
        found = f"no {PROGRAMME_FILE} in {root}" if root.is_dir() else f"there is no folder {root}"
        hint = f"baserate init {root} writes a commented one; or name another folder: --workspace"
        return [*findings, Finding("bad", "programme", found, hint)]
    try:
        programme = _programme(root)
    except BaserateError as error:
        hint = error.hint or "mend the lines named"
        return [*findings, Finding("bad", "programme", str(error), hint)]
    findings.append(
        Finding("ok", "programme", f"{programme.programme}: {len(programme.policies)} policies")
    )
    findings += _logging_tables(programme, root)
    findings += _privacy(programme, root)
    findings += _labelers(programme, root)
    return findings


def _machine(root: Path) -> list[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    free = shutil.disk_usage(root if root.exists() else Path.cwd()).free / 1e9
    enough = free >= LEAST_FREE_GB
    return [
        Finding("ok", "baserate", f"{version('baserate')}, Python {python}"),
        Finding("ok", "duckdb", version("duckdb")),
        Finding("ok", "sqlite", sqlite3.sqlite_version),
        Finding(
            "ok" if enough else "warn",
            "disk",
            f"{free:,.1f} GB free",
            "" if enough else "free some space: tables are never rewritten",
        ),
        Finding("ok", "cores", str(os.cpu_count())),
    ]


def _programme(root: Path) -> Programme:
    from baserate.terms.programme_file import load_programme

    return load_programme(root / PROGRAMME_FILE)


def _logging_tables(programme: Programme, root: Path) -> list[Finding]:
    from baserate.records import check_mapping

    findings = []
    for name, table in programme.tables.present().items():
        try:
            told = check_mapping(programme, name, root)
            findings.append(Finding("ok", f"table {name}", told))
        except BaserateError as error:
            where = resolve_path(table.path, root)
            findings.append(
                Finding("bad", f"table {name}", f"{where}: {error.problem}", error.hint or "")
            )
    return findings


def _privacy(programme: Programme, root: Path) -> list[Finding]:
    """Whether the key of the pseudonyms is there, told by its fingerprint."""
    from baserate.engines.pseudonyms import read_key

    if not programme.privacy.has_key:
        return []
    try:
        key = read_key(programme.privacy, root)
    except BaserateError as error:
        return [Finding("bad", "privacy", error.problem, error.hint or "")]
    ids = ", ".join(programme.privacy.pseudonyms) or "none; the key serves erasure"
    told = f"key with fingerprint {key.fingerprint if key else ''}; pseudonyms: {ids}"
    return [Finding("ok", "privacy", told)]


def _labelers(programme: Programme, root: Path) -> list[Finding]:
    """Whether the judge can work; of a panel, whether each member can."""
    judge = programme.judge
    named: dict[str, LocalJudge | OpenAIJudge | PanelJudge] = {"judge": judge}
    if isinstance(judge, PanelJudge):
        named = {f"judge, member {n}": programme.candidates[n] for n in judge.members}
    findings = []
    for name, one in named.items():
        if isinstance(one, OpenAIJudge):
            findings.append(_endpoint(name, one))
        elif isinstance(one, LocalJudge):
            findings.append(_training(name, one, root))
    return findings


def _endpoint(name: str, judge: OpenAIJudge) -> Finding:
    key = judge.api_key_env
    told = f"{judge.model} at {judge.base_url}"
    if key and not os.environ.get(key):
        yes = f"put the key into the environment variable {key}"
        return Finding("bad", name, f"{told}; no key", yes)
    return Finding("ok", name, told)


def _training(name: str, judge: LocalJudge, root: Path) -> Finding:
    there = Path(resolve_path(judge.training, root)).is_file()
    return Finding(
        "ok" if there else "bad",
        name,
        f"local, fitted on {judge.training}",
        "" if there else "there is no such file: it needs columns text, policy, violating",
    )

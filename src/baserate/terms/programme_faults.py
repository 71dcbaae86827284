"""Contradictions that a programme can have although each of its values is fine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pydantic_core import PydanticCustomError

from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.mapping_sql import SqlFault, check_sql
from baserate.terms.record_tables import INTERACTIONS

if TYPE_CHECKING:
    from baserate.terms.programme import Programme
    from baserate.terms.programme_tables import LoggingTable

#: Fewest interactions a day that a phase is drawn with.
LEAST_BUDGET = 10

_PIVOT_TABLES = ("users", "requests")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PLACEHOLDER = re.compile(r"\{([^}]*)\}")


Where: TypeAlias = tuple[str | int, ...]


class Fault(NamedTuple):
    """One contradiction: where in the section, what, and how to mend it."""

    at: Where
    problem: str
    expected: str | None = None
    hint: str | None = None


def refuse(faults: Sequence[Fault]) -> None:
    """Raise all faults at once, in a form that pydantic carries along. Nothing if none."""
    if faults:
        told = "; ".join(f"{'.'.join(map(str, f.at))}: {f.problem}" for f in faults)
        raise PydanticCustomError("contradiction", "{told}", {"told": told, "faults": faults})


def programme_faults(programme: Programme) -> Iterator[Fault]:
    """Everything in which sections of the programme contradict each other."""
    yield from _given_twice(programme)
    yield from _column_maps(programme)
    yield from _unknown_pivots(programme)
    yield from _paths(programme)
    yield from _scorers(programme)
    yield from _keys(programme)
    yield from _dropped(programme)
    yield from _panels(programme)
    yield from _unified(programme)
    if programme.sampling.human_budget > 0 and programme.reviews is None:
        yield Fault(
            ("sampling", "human_budget"),
            f"people are to review {programme.sampling.human_budget} interactions a day, but "
            "there is no section reviews",
            hint="add reviews: {kind: files, path: ...}, or set sampling.human_budget to 0",
        )


def budget_faults(judge_budget: int, human_budget: int) -> Iterator[Fault]:
    """Budgets that no estimate can stand on."""
    least = {
        "judge_budget": f"{LEAST_BUDGET} or more",
        "human_budget": f"0, or {LEAST_BUDGET} or more",
    }
    for key, n in (("judge_budget", judge_budget), ("human_budget", human_budget)):
        if n < LEAST_BUDGET and (n > 0 or key == "judge_budget"):
            yield Fault(
                (key,),
                f"{key} is {n} a day: from so few interactions no error can be estimated",
                expected=least[key],
                hint="2000 for the judge and 300 for people are a common start",
            )


def _given_twice(programme: Programme) -> Iterator[Fault]:
    listed: dict[str, tuple[str, ...]] = {
        "policies": programme.policy_ids(),
        "estimands": programme.estimands,
        "pivots": programme.pivots,
    }
    for section, names in listed.items():
        for i, name in enumerate(names):
            if name in names[:i]:
                at: Where = (section, i, "id") if section == "policies" else (section, i)
                yield Fault(at, f"{name} is given twice in {section}", hint="remove one of them")


def _column_maps(programme: Programme) -> Iterator[Fault]:
    wanted = {*programme.pivots, *programme.sampling.strata}
    for name, table in programme.tables.present().items():
        known = LOGGING_TABLES[name].names()
        for section in ("columns", "expressions"):
            for ours, theirs in getattr(table, section).items():
                at = ("tables", name, section, ours)
                if ours in known:
                    continue
                if name in _PIVOT_TABLES and ours in wanted:
                    yield from _own_column(at, ours)
                else:
                    yield Fault(
                        at,
                        f"baserate's table {name} has no column {ours}",
                        expected=f"one of {', '.join(known)}",
                        hint=_column_hint(name, ours, theirs, known),
                    )
        yield from _mapping_sql(name, table)


def _mapping_sql(name: str, table: LoggingTable) -> Iterator[Fault]:
    """Expressions that are not taken; names of exploded lists that cannot be."""
    for ours in table.expressions.keys() & table.columns.keys():
        yield Fault(
            ("tables", name, "expressions", ours),
            f"{ours} is mapped twice: by name under columns and by an expression",
            hint="remove one of them",
        )
    written: list[tuple[Where, str]] = [
        (("expressions", c), e) for c, e in table.expressions.items()
    ]
    written += [(("explode", c), e) for c, e in table.explode.items()]
    written += [] if table.where is None else [(("where",), table.where)]
    for at, text in written:
        try:
            check_sql(text, whole_rows=at[0] == "explode")
        except SqlFault as fault:
            yield Fault(("tables", name, *at), fault.problem, fault.expected, fault.hint)
    for element in table.explode:
        if not _IDENTIFIER.fullmatch(element):
            yield Fault(
                ("tables", name, "explode", element),
                f"{element} cannot be the name of an element",
                expected="lower-case letters, digits and _, beginning with a letter",
                hint="left is the name for one element, right the list: `item: shown_items`",
            )


def _own_column(at: Where, ours: str) -> Iterator[Fault]:
    taken = ours in INTERACTIONS.names() or ours.startswith("score_")
    if taken or not _IDENTIFIER.fullmatch(ours):
        yield Fault(
            at,
            f"{ours} cannot be the name of a pivot",
            expected="lower-case letters, digits and _, and no name that interactions have already",
            hint=f"call it, for example, user_{ours}" if taken else None,
        )


def _column_hint(table: str, ours: str, theirs: str, known: tuple[str, ...]) -> str | None:
    if theirs in known:
        return f"left is baserate's name, right is yours: write {theirs}: {ours}"
    if near := difflib.get_close_matches(ours, known, n=1):
        return f"did you mean {near[0]}?"
    if table in _PIVOT_TABLES:
        return f"a column of your own must be named under pivots or sampling.strata: add {ours}"
    return "columns that baserate does not know need not be mapped: remove it"


def _unknown_pivots(programme: Programme) -> Iterator[Fault]:
    known = programme.pivot_columns()
    named: list[tuple[Where, str]] = [(("pivots", i), p) for i, p in enumerate(programme.pivots)]
    named += [(("sampling", "strata", i), s) for i, s in enumerate(programme.sampling.strata)]
    for at, name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield Fault(
                at,
                f"there is no column {name} to cut or draw by",
                expected=f"one of {', '.join(known)}",
                hint=f"did you mean {near[0]}?"
                if near
                else f"map it: under tables.users.columns write {name}: <your column>",
            )


def _scorers(programme: Programme) -> Iterator[Fault]:
    known = programme.policy_ids()
    for i, scorer in enumerate(programme.scorers):
        named: list[tuple[Where, str]] = []
        if scorer.kind == "text":
            named = [(("scorers", i, "policies", k), p) for k, p in enumerate(scorer.policies)]
        elif scorer.kind == "image":
            named = [(("scorers", i, "policy"), scorer.policy)]
        for at, policy in named:
            if policy not in known:
                near = difflib.get_close_matches(policy, known, n=1)
                yield Fault(
                    at,
                    f"there is no policy {policy} to score",
                    expected=f"one of {', '.join(known)}",
                    hint=f"did you mean {near[0]}?" if near else None,
                )
        if scorer.kind == "image" and programme.images is None:
            yield Fault(
                ("scorers", i),
                "a scorer of images needs section images: it says which pictures may be read",
                hint='add images: {base: ".", allow: ["https://i.example.com/"]}',
            )


def _panels(programme: Programme) -> Iterator[Fault]:
    """Panels whose members are not there, come twice, are panels, or can't make a quorum."""
    named = programme.candidates
    judges: dict[Where, object] = {("judge",): programme.judge}
    judges |= {("candidates", name): judge for name, judge in named.items()}
    for at, judge in judges.items():
        members: tuple[str, ...] = getattr(judge, "members", ())
        alone = [n for n, j in named.items() if not hasattr(j, "members")]
        for k, member in enumerate(members):
            if member not in alone or member in members[:k]:
                again = member in members[:k]
                is_panel = member in named and not again
                yield Fault(
                    (*at, "members", k),
                    f"{member} comes twice among the members"
                    if again
                    else f"{member} is a panel itself"
                    if is_panel
                    else f"there is no judge {member}",
                    expected=f"names under candidates: {', '.join(alone) or 'none there'}",
                    hint="each member votes once"
                    if again
                    else f"add it: candidates: {{{member}: {{kind: ...}}}}",
                )
        if members and (getattr(judge, "quorum", None) or 0) > len(members):
            yield Fault(
                (*at, "quorum"),
                "the quorum is larger than the panel",
                expected=f"{len(members)} or less",
                hint="lower it: no subject would ever have a label",
            )


def _unified(programme: Programme) -> Iterator[Fault]:
    """Calls about all policies where there is one."""
    judges: dict[Where, object] = {("judge",): programme.judge}
    judges |= {("candidates", name): judge for name, judge in programme.candidates.items()}
    for at, judge in judges.items():
        if getattr(judge, "calls", None) == "unified" and len(programme.policies) == 1:
            yield Fault(
                (*at, "calls"),
                "there is one policy, so that every call is about all of them",
                expected="one_policy",
                hint="remove calls: unified",
            )


def _paths(programme: Programme) -> Iterator[Fault]:
    paths: list[tuple[Where, str]] = [
        (("tables", name, "path"), t.path) for name, t in programme.tables.present().items()
    ]
    if programme.reviews is not None:
        paths.append((("reviews", "path"), programme.reviews.path))
    for at, path in paths:
        strange = [p for p in _PLACEHOLDER.findall(path) if p != "ds"]
        if strange:
            yield Fault(
                at,
                f"the path has {{{strange[0]}}}, which stands for nothing",
                expected="{ds} for the day, as YYYY-MM-DD",
                hint="use {ds}, or * where any name will do",
            )


def _keys(programme: Programme) -> Iterator[Fault]:
    privacy = programme.privacy
    if privacy.pseudonyms and not privacy.has_key:
        yield Fault(
            ("privacy", "pseudonyms"),
            "pseudonyms need a key, and nothing says where it is",
            expected="key_env or key_file",
            hint="add key_env: BASERATE_PSEUDONYM_KEY and set that variable to the output of "
            "`openssl rand -hex 32`",
        )
    if privacy.key_env is not None and privacy.key_file is not None:
        yield Fault(
            ("privacy", "key_file"),
            "the key is said to be in two places",
            expected="key_env or key_file",
            hint="remove one of them",
        )


def _dropped(programme: Programme) -> Iterator[Fault]:
    for name, columns in programme.privacy.drop.items():
        table = programme.tables.present().get(name)
        if table is None:
            yield Fault(
                ("privacy", "drop", name),
                f"the programme has no table {name}",
                hint=f"remove {name} here, or add it under tables",
            )
            continue
        own = [c for c in table.mapped() if c not in LOGGING_TABLES[name].names()]
        needed = {theirs: c for c in (*_needed(name), *own) for theirs in table.reads(c)}
        for i, column in enumerate(columns):
            if column in needed:
                yield Fault(
                    ("privacy", "drop", name, i),
                    f"{column} is baserate's {needed[column]} and cannot be dropped",
                    expected="a column that nothing is counted, joined or cut by",
                    hint="to hide who asked, name user_id under privacy.pseudonyms",
                )


def _needed(table: str) -> Iterator[str]:
    """Columns that a record cannot be made without; of users only what the join needs is read."""
    schema = LOGGING_TABLES[table]
    if table != "users":
        yield from dict.fromkeys((*schema.key, *(c.name for c in schema.columns if c.required)))

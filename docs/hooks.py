"""Reference pages are written from the code when the site is built, so they can't be wrong."""

from __future__ import annotations

import re
import typing
from html import unescape
from typing import Any

import latex2mathml.converter
import typer.main
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from baserate.cli.app import app
from baserate.terms.programme import Programme
from baserate.terms.schemas import LOGGING_TABLES, OUR_TABLES, TableSchema
from baserate.terms.words import (
    QUARANTINE_MEANINGS,
    Estimand,
    NoLabelReason,
    QuarantineReason,
    Verdict,
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marks of reference pages."""
    for mark, write in WRITERS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Formulas as MathML: browsers draw it, no script and no network needed."""
    return _FORMULA.sub(_as_mathml, html)


_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)


def _as_mathml(found: re.Match[str]) -> str:
    display = "block" if found["open"] == "[" else "inline"
    return str(latex2mathml.converter.convert(unescape(found["tex"]).strip(), display=display))


def _table(schema: TableSchema) -> str:
    lines = [f"### {schema.name}", "", schema.doc, "", f"Key: `{', '.join(schema.key)}`", ""]
    lines += ["| column | type | needed | meaning |", "|---|---|---|---|"]
    for c in schema.columns:
        needed = "yes" if c.required else ""
        note = " Not part of the digest." if c.volatile else ""
        lines.append(f"| `{c.name}` | {c.type} | {needed} | {_cell(c.doc)}{note} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def tables() -> str:
    """Every table with its columns."""
    return "\n".join(
        [
            "## Logging tables\n",
            *(_table(t) for t in LOGGING_TABLES.values()),
            "## baserate's tables\n",
            *(_table(t) for t in OUR_TABLES.values()),
        ]
    )


def words() -> str:
    """The fixed words of tables."""
    lists = {
        "Verdicts": Verdict,
        "Reasons for no label": NoLabelReason,
        "Estimands": Estimand,
    }
    told = [f"**{name}**: " + ", ".join(f"`{w}`" for w in kind) for name, kind in lists.items()]
    reasons = [f"| `{r}` | {_cell(QUARANTINE_MEANINGS[r])} |" for r in QuarantineReason]
    table = ["### Reasons for quarantine", "", "| reason | meaning |", "|---|---|", *reasons]
    return "\n\n".join([*told, "\n".join(table)])


def programme() -> str:
    """Every key of the programme file."""
    parts: list[str] = []
    seen: set[type[BaseModel]] = set()

    def describe(model: type[BaseModel], path: str) -> None:
        if model in seen:
            return
        seen.add(model)
        doc = (model.__doc__ or "").strip().splitlines()[0]
        parts.append(f"### {path or 'top level'}\n\n{doc}\n")
        parts.append("| key | default | meaning |\n|---|---|---|")
        inner: list[tuple[type[BaseModel], str]] = []
        for name, field in model.model_fields.items():
            parts.append(f"| `{name}` | {_default(field)} | {_cell(field.description or '')} |")
            inner += [(m, f"{path}.{name}".strip(".")) for m in _models(field.annotation)]
        parts.append("")
        for child, at in inner:
            describe(child, at)

    describe(Programme, "")
    return "\n".join(parts)


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "needed" if field.default_factory is None else ""
    if isinstance(field.default, BaseModel):
        return "see below"
    if isinstance(field.default, tuple):
        return ", ".join(f"`{v}`" for v in field.default) or "none"
    return f"`{field.default}`" if field.default not in (None, "") else "none"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in _models(part)]


def commands() -> str:
    """Every command with its options."""
    group = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        parts.append(f"### baserate {name}\n\n{command.help}\n")
        parts.append("| option | meaning | default |\n|---|---|---|")
        for option in command.params:
            flags = ", ".join(f"`{o}`" for o in option.opts)
            if option.param_type_name == "argument":
                flags = f"`{option.name.upper()}`"
            default = "" if option.default in (None, False) else f"`{option.default}`"
            parts.append(f"| {flags} | {_cell(getattr(option, 'help', '') or '')} | {default} |")
        parts.append("")
    return "\n".join(parts)


WRITERS = {
    "<!-- tables -->": tables,
    "<!-- words -->": words,
    "<!-- programme -->": programme,
    "<!-- commands -->": commands,
}

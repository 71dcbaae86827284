"""Pages are finished when the site is built: references are written from the code, examples run."""

from __future__ import annotations

import re
import typing
from html import unescape
from pathlib import Path
from typing import Any

import api
import latex2mathml.converter
import runnable
import typer.main
from mkdocs.exceptions import PluginError
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from baserate.cli.app import app
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.our_tables import OUR_TABLES
from baserate.terms.programme import Programme
from baserate.terms.schemas import TableSchema
from baserate.terms.words import (
    QUARANTINE_MEANINGS,
    Estimand,
    NoLabelReason,
    QuarantineReason,
    Verdict,
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marks of reference pages and run examples."""
    for mark, write in WRITERS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return runnable.show(markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Formulas as MathML and figures as SVG: browsers draw both, no script or network needed."""
    html = runnable.place_figures(drawn_formulas(html))
    return api.tidied(html) if page.url.startswith("reference/") else html


def on_post_build(config: Any, **_: Any) -> None:
    """Stop if the built reference lacks a public name."""
    if missing := api.missing_from(Path(config.site_dir)):
        raise PluginError(f"no page of docs/reference/ lists {', '.join(missing)}")


def drawn_formulas(html: str) -> str:
    """A page with its formulas in MathML."""
    return _FORMULA.sub(_as_mathml, html)


_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)


#: Spellings that latex2mathml does not know, and others of the same meaning that it does.
_SPELLINGS = {
    "\\\n": "\\ ",
    "\\Bigl\\{": "\\lbrace ",
    "\\Bigr\\}": "\\rbrace ",
    "\\{": "\\lbrace ",
    "\\}": "\\rbrace ",
    "\\arg\\min": "\\mathrm{arg\\,min}",
}


def _as_mathml(found: re.Match[str]) -> str:
    tex = unescape(found["tex"]).strip()
    for unknown, known in _SPELLINGS.items():
        tex = tex.replace(unknown, known)
    display = "block" if found["open"] == "[" else "inline"
    drawn = str(latex2mathml.converter.convert(tex, display=display))
    if "\\" in drawn:
        raise PluginError(f"a part of this formula cannot be drawn: {tex}")
    return drawn


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
    parts = []
    for name, command in _leaves(typer.main.get_command(app)):
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


def _leaves(group: Any, before: str = "") -> list[tuple[str, Any]]:
    """Commands by their whole name, those of groups within groups too."""
    found = []
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found += _leaves(command, f"{name} ") if inner else [(f"{before}{name}", command)]
    return found


WRITERS = {
    "<!-- tables -->": tables,
    "<!-- words -->": words,
    "<!-- programme -->": programme,
    "<!-- commands -->": commands,
}

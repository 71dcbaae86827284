"""Reading YAML so that every value still knows its line, and every slip gets a hint."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from baserate.terms.errors import ProgrammeError

KeyPath = tuple[str | int, ...]

_MOST_NODES = 50_000
_SYNTAX_HINTS = (
    (r"\\t|tab", "indent with spaces: YAML does not allow tabs"),
    (
        r"mapping values are not allowed",
        "put text that contains ': ' in quotes; see that the line above has its colon",
    ),
    (r"could not find expected ':'", "a key needs a colon and a space after it: `key: value`"),
    (r"expected <block end>", "this line is indented differently from the lines above it"),
    (r"while scanning a quoted scalar|unexpected end of stream", "a quote is not closed"),
    (r"found character '[@`%]'", "put a value that begins with this sign in quotes"),
    (r"expected ',' or '[\]}]'", "a bracket is not closed, or a comma is missing"),
    (r"undefined alias|found undefined", "`*name` means an anchor; put text with a star in quotes"),
    (r"expected a single document", "one file holds one programme: remove the line `---`"),
    (r"could not determine a constructor", "tags (`!name`) are not read: remove it"),
)


@dataclass
class Lines:
    """A YAML file's values, and the line of each.

    Args:
        file: The file's name, for errors.
        values: The file as plain values; keys without a value are left out.
        keys: Line of the key, or of the list's item, that leads to a value.
        typed: Numbers and truth values as they were typed.
        mistakes: What is wrong before anybody asks what the values mean.
    """

    file: str
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[KeyPath, int] = field(default_factory=dict)
    typed: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: list[ProgrammeError] = field(default_factory=list)

    def where(self, path: KeyPath) -> str:
        """``file:line`` of the value, or of the nearest thing around it that is there."""
        while path and path not in self.keys:
            path = path[:-1]
        return f"{self.file}:{self.keys.get(path, 1)}"

    def mistake(self, line: int, problem: str, **more: str | None) -> None:
        """Note a mistake on a line."""
        self.mistakes.append(ProgrammeError(problem, where=f"{self.file}:{line}", **more))


def read_lines(path: Path) -> Lines:
    """Read a YAML file with a mapping in it.

    Raises: ProgrammeError if the file cannot be read or is not YAML.
    """
    return lines_in(_text(path), path)


def lines_in(text: str, path: Path) -> Lines:
    """Read a text that is YAML with a mapping in it.

    Args:
        text: The text; its first line is line 1.
        path: The file that it stands in, for errors.
    Raises: ProgrammeError if it is not YAML.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, error) from error
    except RecursionError as error:
        raise ProgrammeError(
            "brackets or lists are nested too deeply to be read",
            code="yaml_syntax",
            where=f"{path}:1",
            hint="close the brackets; put text that begins with one in quotes",
        ) from error
    lines = Lines(str(path))
    if not isinstance(node, yaml.MappingNode):
        raise ProgrammeError(
            "the file holds no keys",
            code="no_keys",
            where=f"{path}:1",
            expected="`key: value` lines",
            got="an empty file" if node is None else _kind(node),
            hint="`baserate init` writes a commented programme file to start from",
        )
    lines.values = _Reader(lines).mapping(node, ())
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ProgrammeError(
            "there is no such programme file",
            code="no_programme",
            where=str(path),
            hint="`baserate init` writes a commented one",
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ProgrammeError(
            "the file is not UTF-8",
            code="not_utf8",
            where=f"{path}:{line}",
            hint="save it as UTF-8 in your editor",
        ) from error
    except OSError as error:
        raise ProgrammeError(
            "the programme file cannot be read",
            code="unreadable",
            where=str(path),
            got=error.strerror,
            hint="check that it is a file and its permissions",
        ) from error


def _syntax_error(path: Path, error: yaml.YAMLError) -> ProgrammeError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = 1 if mark is None else mark.line + 1
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    everything = f"{said} {getattr(error, 'context', None) or ''}"
    hints = [hint for pattern, hint in _SYNTAX_HINTS if re.search(pattern, everything)]
    return ProgrammeError(
        "this is not YAML",
        code="yaml_syntax",
        where=f"{path}:{line}" if mark is None else f"{path}:{line}:{mark.column + 1}",
        got=str(said),
        hint=hints[0] if hints else "check the indent, quotes and brackets here and just above",
    )


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "one value"


class _Reader:
    """Walks a tree of YAML nodes, keeping lines."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.nodes = 0
        self.open: set[int] = set()
        self.loader = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The node's value as plain text, number, truth, list or dict."""
        self.nodes += 1
        if self.nodes > _MOST_NODES or id(node) in self.open:
            raise ProgrammeError(
                "aliases make this file endless or huge",
                code="yaml_aliases",
                where=f"{self.lines.file}:{node.start_mark.line + 1}",
                hint="write the values out instead of using `*name`",
            )
        if isinstance(node, yaml.ScalarNode):
            value = self.scalar(node)
            if isinstance(value, int | float):
                self.lines.typed[path] = node.value
            return value
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            return self.sequence(node, path)
        finally:
            self.open.discard(id(node))

    def scalar(self, node: yaml.ScalarNode) -> Any:
        """A scalar; dates and anything else that JSON has no word for stay as they are typed."""
        if node.tag.rsplit(":", 1)[-1] not in ("str", "int", "float", "bool", "null"):
            return node.value
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            return node.value
        if isinstance(value, float) and (value != value or abs(value) == float("inf")):
            line = node.start_mark.line + 1
            self.lines.mistake(
                line,
                "a number must be finite",
                code="not_finite",
                got=node.value,
                hint="write the number out, or remove the line to take the default",
            )
            return None
        return value

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        """A list; each item's line is kept."""
        items = []
        for i, item in enumerate(node.value):
            self.lines.keys[(*path, i)] = item.start_mark.line + 1
            items.append(self.value(item, (*path, i)))
        return items

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        """A mapping without the keys that have no value; each key's line is kept."""
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        self.loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.key(key_node, line)
            if key is None:
                continue
            if key in lines:
                self.lines.mistake(
                    line,
                    f"the key {key} is given twice",
                    code="duplicate_key",
                    got=f"{key} on line {lines[key]} and again on line {line}",
                    hint="keep one of them",
                )
                continue
            lines[key] = self.lines.keys[(*path, key)] = line
            value = self.value(value_node, (*path, key))
            if value is not None:
                found[key] = value
        return found

    def key(self, node: yaml.Node, line: int) -> str | None:
        """A key as text; None where it is no text."""
        if isinstance(node, yaml.ScalarNode) and isinstance(value := self.scalar(node), str):
            return value
        typed = node.value if isinstance(node, yaml.ScalarNode) else _kind(node)
        read = f", which YAML reads as {value!r}" if isinstance(node, yaml.ScalarNode) else ""
        self.lines.mistake(
            line,
            "a key must be text",
            code="key_not_text",
            got=f"{typed}{read}",
            hint=f'put it in quotes: "{typed}":' if read else "write `key: value`",
        )
        return None

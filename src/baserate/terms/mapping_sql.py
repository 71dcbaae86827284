"""SQL expressions of a mapping: which are taken, and by what name the others are refused.

The dialect is DuckDB's. What is taken is a closed list of operations over the row's own columns,
each with one meaning on every engine (``records.expressions`` gives it); anything else is refused
when the programme file is read: what makes, sums up or reads rows, what is not the same twice,
and whatever two engines would answer differently.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

#: Operations that an expression may use: sqlglot's name of the node, and how SQL writes it.
OPERATIONS = {
    "Column": "a column, or column.field",
    "Literal": "'text' or a number",
    "Boolean": "true, false",
    "Null": "null",
    "Paren": "( )",
    "Coalesce": "coalesce(a, b), ifnull(a, b)",
    "Nullif": "nullif(a, b)",
    "Case": "case when ... then ... else ... end",
    "If": "if(condition, a, b)",
    "Cast": "cast(a as type), a::type",
    "TryCast": "try_cast(a as type)",
    "DPipe": "a || b",
    "Concat": "concat(a, b)",
    "Lower": "lower(a)",
    "Upper": "upper(a)",
    "Trim": "trim(a)",
    "Substring": "substr(a, start, length)",
    "Left": "left(a, n)",
    "Replace": "replace(a, 'x', 'y')",
    "SplitPart": "split_part(a, '|', n)",
    "Length": "length(a), len(list)",
    "StartsWith": "starts_with(a, 'x')",
    "Contains": "contains(a, 'x')",
    "Like": "a like 'x%'",
    "MD5": "md5(a)",
    "JSONExtractScalar": "a ->> '$.key', json_extract_string(a, '$.key')",
    "UnixToTime": "epoch_ms(a), to_timestamp(a), make_timestamp(a)",
    "Add": "a + b",
    "Sub": "a - b",
    "Mul": "a * b",
    "Div": "a / b",
    "Neg": "-a",
    "Floor": "floor(a)",
    "Greatest": "greatest(a, b)",
    "Least": "least(a, b)",
    "EQ": "a = b",
    "NEQ": "a <> b",
    "GT": "a > b",
    "GTE": "a >= b",
    "LT": "a < b",
    "LTE": "a <= b",
    "Is": "a is null",
    "Not": "not a",
    "And": "a and b",
    "Or": "a or b",
    "In": "a in ('x', 'y')",
    "Between": "a between b and c",
    "Array": "[a, b]",
    "Struct": "{'name': a}",
}
#: Nodes that are parts of those.
_PARTS = ("Identifier", "DataType", "PropertyEQ", "Var", "Dot")
_PATH_PARTS = ("JSONPath", "JSONPathRoot", "JSONPathKey", "JSONPathSubscript")
#: Where only some of a node's parts are taken (`trim(both 'x' from a)` is not).
_ONLY = {
    "Trim": ("this",),
    "In": ("this", "expressions"),
    "Between": ("this", "low", "high"),
    "Left": ("this", "expression"),
    "UnixToTime": ("this", "scale"),
    "Like": ("this", "expression"),
    "Floor": ("this",),
    "Length": ("this",),
}
#: An expression of more parts within parts is written by a program, and engines give up on it.
_DEEPEST = 100
_JSON_KEY = re.compile(r"[\w-]+")
_MOST_SHOWN = 60
_CHANGING = ("now", "uuid", "gen_random_uuid", "nextval", "today", "current_user", "version")
_CHANGING_NODES = ("Rand", "Uuid", "CurrentTimestamp", "CurrentDate", "CurrentTime", "Localtime")
_ONE_PATH = "write one path, to the text that is wanted: a ->> '$.key[0].name'"
_INSTEAD = {
    "JSONExtract": _ONE_PATH,
    "Lambda": _ONE_PATH,
    "ILike": "write lower(a) like 'x%'",
    "Mod": "write a - b * floor(a / b)",
    "IntDiv": "write floor(a / b)",
    "AtTimeZone": "engines disagree on hours that a clock change repeats: log times in UTC",
    "Bracket": "to take one element of a list, use explode with a where on its position",
    "Round": "write floor(a + 0.5)",
    "Right": "engines differ on negative lengths: use split_part or substr",
    "RegexpExtract": "engines' regular expressions differ: use split_part, substr, replace or like",
    "RegexpReplace": "engines' regular expressions differ: use split_part, substr, replace or like",
    "RegexpLike": "engines' regular expressions differ: use like, contains or starts_with",
    "RegexpFullMatch": "engines' regular expressions differ: use like, contains or starts_with",
}


class SqlFault(Exception):
    """An expression that is not taken.

    Args:
        problem: What is wrong, without the row's values.
        expected: What would have been right.
        hint: What to do.
    """

    def __init__(self, problem: str, expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.hint = hint


@cache
def parse_sql(text: str) -> Any:
    """The expression as sqlglot's tree.

    Args:
        text: One SQL expression in DuckDB's dialect.
    Raises: SqlFault where it is no SQL or not of the operations taken.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        (tree,) = sqlglot.parse(text, dialect="duckdb")
    except RecursionError:
        raise _too_deep() from None
    except SqlglotError as error:
        raise SqlFault(f"this is not an SQL expression: {_said(error)}") from None
    except ValueError:
        raise SqlFault("this is not one SQL expression", hint="write one, without `;`") from None
    if tree is None:
        raise SqlFault("the expression is empty", hint="write an SQL expression, or remove it")
    for node in tree.walk():
        if node.depth > _DEEPEST:
            raise _too_deep()
        _check(node)
    if type(tree).__name__ in ("PropertyEQ", "DataType", "Var"):
        raise SqlFault(f"{_written(tree)} has no value", "an expression, e.g. coalesce(a, b)")
    return tree


def _too_deep() -> SqlFault:
    return SqlFault(
        f"the expression has more than {_DEEPEST} parts within parts",
        hint="make a view of the table with the column in it, and map that",
    )


def check_sql(text: str, *, whole_rows: bool = False) -> None:
    """Look at an expression without any rows.

    Args:
        text: The expression.
        whole_rows: It makes rows (``explode``), so that no cast in it may set one aside.
    Raises: SqlFault where it is not taken.
    """
    from sqlglot import exp

    if parse_sql(text).find(exp.Cast) is not None and whole_rows:
        raise SqlFault(
            "a list that is exploded takes no cast",
            "a column that holds a list, or a list of columns: [a, b]",
            "cast the element's parts, under expressions",
        )


def columns_of(text: str) -> tuple[str, ...]:
    """Names of the row's columns that an expression reads, in order of appearance.

    Raises: SqlFault.
    """
    from sqlglot import exp

    names = [path_of(column)[0] for column in parse_sql(text).find_all(exp.Column)]
    return tuple(dict.fromkeys(names))


def path_of(column: Any) -> tuple[str, ...]:
    """A column's name and the fields that follow it, as written with dots."""
    return tuple(part.name for part in column.parts)


def _said(error: Exception) -> str:
    """What sqlglot says, in one line and without its underlining."""
    errors = getattr(error, "errors", None)
    if errors:
        first = errors[0]
        what = str(first["description"]).split(" for <class")[0]
        return f"{what} at column {first['col']}"
    return str(error).splitlines()[0]


def _check(node: Any) -> None:
    kind = type(node).__name__
    if kind in _PATH_PARTS or kind.startswith("JSONPath"):
        _check_path(node, kind)
        return
    if kind == "DataType" and node.expressions:
        plain = str(node.sql("duckdb")).lower()
        raise SqlFault(
            f"a cast to {plain} with a length or a precision is not taken",
            "the type alone, e.g. cast(a as varchar)",
        )
    if kind == "PropertyEQ" and type(node.parent).__name__ != "Struct":
        raise SqlFault("`:=` names nothing here", "a name in {'name': a}")
    if kind in OPERATIONS or kind in _PARTS:
        known = _ONLY.get(kind)
        if known is None or not any(part for name, part in node.args.items() if name not in known):
            return
    problem, hint = _refusal(node, kind)
    raise SqlFault(problem, "operations on the row's own columns", hint or _KNOWN_HINT)


def _check_path(node: Any, kind: str) -> None:
    """A JSON path of plain keys and places in lists: the only ones that engines read alike."""
    plain = kind in _PATH_PARTS
    if kind == "JSONPathKey":
        plain = bool(_JSON_KEY.fullmatch(str(node.this)))
    if kind == "JSONPathSubscript":
        plain = isinstance(node.this, int) and node.this >= 0
    if not plain:
        raise SqlFault(
            "a mapping does not take this JSON path",
            "plain keys and places, e.g. '$.shown[0].pin-id'",
        )


_KNOWN_HINT = (
    "the how-to for data engineers lists what can be written; for more, make a view of the table "
    "and map that"
)


def _refusal(node: Any, kind: str) -> tuple[str, str | None]:
    from sqlglot import exp

    name = _written(node)
    if node.find(exp.Select, exp.Subquery, exp.Exists, exp.SetOperation):
        return "a mapping takes no subquery: it sees one row", None
    if isinstance(node, exp.Window):
        return "a mapping takes no window function: it sees one row", None
    if isinstance(node, exp.AggFunc):
        return f"a mapping takes no aggregate ({name}): it sees one row", None
    if kind in _CHANGING_NODES or name in _CHANGING:
        return f"{name} is not the same twice: a re-run would give other rows", None
    if isinstance(node, exp.UDTF) or kind in ("ReadParquet", "ReadCSV") or name.startswith("read_"):
        return f"a mapping takes no {name}: an expression reads nothing but the row", None
    near = difflib.get_close_matches(name, _function_names(), n=1)
    meant = f"did you mean {near[0]}?" if near else None
    return f"a mapping does not take {name}", _INSTEAD.get(kind) or meant


def _written(node: Any) -> str:
    """A function's name as people write it; else the kind of node."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    text = str(node.sql("duckdb"))
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary | exp.Bracket):
        return text.split("(")[0].lower()
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _function_names() -> Iterator[str]:
    for written in OPERATIONS.values():
        yield from (part.split("(")[0].strip() for part in written.split(",") if "(" in part)

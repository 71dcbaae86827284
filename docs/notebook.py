"""Run a notebook's cells without Jupyter and keep what they show: what is on the page was run.

``python docs/notebook.py docs/howto/design.ipynb demo-workspace`` runs the cells in a folder that
holds the workspace and writes their outputs into the notebook.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def run(path: Path, folder: Path) -> dict[str, Any]:
    """The notebook with the outputs that its code cells gave, in one namespace and in order.

    Args:
        path: The notebook (nbformat 4).
        folder: The folder that holds ``demo-workspace``; the current one while cells run.
    Raises: whatever a cell raises.
    """
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    space: dict[str, Any] = {"__name__": "notebook"}
    with contextlib.chdir(folder):
        for number, cell in enumerate(_code(notebook), start=1):
            shown, printed = _cell("".join(cell["source"]), space)
            cell["execution_count"] = number
            cell["outputs"] = _outputs(shown, printed, number)
    return notebook


def _code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def _cell(source: str, space: dict[str, Any]) -> tuple[Any, str]:
    """Run one cell: the value of a last line that is an expression, and what was printed."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(tree, "<cell>", "exec"), space)
        if last is None:
            return None, told.getvalue()
        shown = eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)
    return shown, told.getvalue()


def _outputs(shown: Any, printed: str, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if printed:
        found.append({"output_type": "stream", "name": "stdout", "text": _lines(printed)})
    if shown is not None:
        found.append(
            {
                "output_type": "execute_result",
                "execution_count": number,
                "metadata": {},
                "data": {kind: _lines(text) for kind, text in _drawn(shown).items()},
            }
        )
    return found


def _drawn(shown: Any) -> dict[str, str]:
    """What a notebook shows of a value: a chart as SVG, a result as HTML, else its repr."""
    if type(shown).__module__.startswith("altair"):
        return {"image/svg+xml": _svg(shown)}
    if hasattr(shown, "_repr_html_"):
        return {"text/html": shown._repr_html_()}
    return {"text/plain": repr(shown)}


def _svg(chart: Any) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    notebook_path, workspace = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
    done = run(notebook_path, workspace.parent)
    notebook_path.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", "utf-8")

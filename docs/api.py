"""What the Python reference has to hold: every public name of the statistics and of the worlds."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

#: Packages whose public names are documented.
ROOTS = ("baserate.stats", "baserate.worlds.platforms")
#: Parts of other modules that stand in files of their own: nobody calls them from outside.
INNER = (
    "baserate.stats.arrays",
    "baserate.stats.ladder_inputs",
)
#: Modules most of which is inner; these names of them are public.
ONLY = {"baserate.stats.phases": ("Phase",)}

_HEADED = re.compile(r"(<p>|\n)(Assumes|Bias|Raises|References): ")
_ROLE = re.compile(r":(?:func|class|data|mod|meth|attr):(?=\s*<)")


class Public(NamedTuple):
    """A public name: where it is documented, what it is called, and the thing itself."""

    module: str
    name: str
    thing: Any

    @property
    def anchors(self) -> set[str]:
        """Dotted names under which the reference may list it: as told, and as made."""
        return {f"{self.module}.{self.name}", f"{self.thing.__module__}.{self.name}"}


def modules() -> Iterator[ModuleType]:
    """Public modules; a package with ``__all__`` speaks for all modules inside it."""
    for root in ROOTS:
        package = importlib.import_module(root)
        if hasattr(package, "__all__"):
            yield package
            continue
        for found in pkgutil.iter_modules(package.__path__, f"{root}."):
            if not found.name.rsplit(".", 1)[1].startswith("_") and found.name not in INNER:
                yield importlib.import_module(found.name)


def public_names() -> Iterator[Public]:
    """Functions and classes that the reference has to hold."""
    for module in modules():
        for name in _names(module):
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield Public(module.__name__, name, thing)


def missing_from(site: Path) -> list[str]:
    """Public names that no built page of the reference has."""
    pages = [p.read_text(encoding="utf-8") for p in (site / "reference").rglob("*.html")]
    known = {anchor for page in pages for anchor in re.findall(r'id="(baserate\.[\w.]+)"', page)}
    return [f"{p.module}.{p.name}" for p in public_names() if not p.anchors & known]


def tidied(page: str) -> str:
    """A built page whose docstrings' notes have paragraphs and heads, and no marks of Sphinx."""
    page = _ROLE.sub("", page)
    return _HEADED.sub(
        lambda found: (
            ("<p>" if found[1] == "<p>" else "</p>\n<p>") + f"<strong>{found[2]}:</strong> "
        ),
        page,
    )


def _names(module: ModuleType) -> tuple[str, ...]:
    if module.__name__ in ONLY:
        return ONLY[module.__name__]
    if hasattr(module, "__all__"):
        return tuple(module.__all__)
    return tuple(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    )

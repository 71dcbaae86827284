"""The Python reference lists every public name, and each docstring says what it has to."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.docs.pages import DOCS, script

api = script("api")
PUBLIC = list(api.public_names())
FUNCTIONS = [p for p in PUBLIC if inspect.isfunction(p.thing)]
CLASSES = [p for p in PUBLIC if inspect.isclass(p.thing)]
SENTENCE = re.compile(r"[^\n]{12,}\.(\n\n|\Z)")


def _entries(doc: str) -> set[str]:
    """Names told in the Args or Attributes section."""
    found = re.search(r"^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", doc, re.S | re.M)
    heads = re.findall(r"^ {4}(\w[\w, *]*?):", found[1], re.M) if found else []
    return {name.strip(" *") for head in heads for name in head.split(",")}


def test_every_public_module_is_on_a_page_of_the_reference() -> None:
    pages = "\n".join(p.read_text(encoding="utf-8") for p in (DOCS / "reference").rglob("*.md"))
    listed = re.findall(r"^::: ([\w.]+)$", pages, re.M)
    assert len(listed) == len(set(listed))
    assert {module.__name__ for module in api.modules()} <= set(listed)


def test_the_reference_has_something_to_list() -> None:
    assert len(PUBLIC) > 200
    assert {"krippendorff_alpha", "Pareto", "ladder_estimate", "Phase", "build_platform"} <= {
        p.name for p in PUBLIC
    }


def test_a_function_says_what_it_does_what_it_takes_and_where_it_comes_from() -> None:
    faults = [f"{p.module}.{p.name}: {fault}" for p in FUNCTIONS for fault in _function_faults(p)]
    assert not faults, "\n".join(faults)


def _function_faults(public: Any) -> Iterator[str]:
    doc = inspect.getdoc(public.thing) or ""
    if not SENTENCE.match(doc):
        yield "the first line is not one sentence"
    if untold := set(inspect.signature(public.thing).parameters) - _entries(doc):
        yield f"Args does not name {', '.join(sorted(untold))}"
    if "$$" in doc and "References:" not in doc:
        yield "a formula without its source"


def test_a_class_says_what_it_is_and_what_it_holds() -> None:
    faults = [f"{p.module}.{p.name}: {fault}" for p in CLASSES for fault in _class_faults(p)]
    assert not faults, "\n".join(faults)


def _class_faults(public: Any) -> Iterator[str]:
    thing = public.thing
    doc = inspect.cleandoc(thing.__doc__ or "")
    if not SENTENCE.match(doc):
        yield "the first line is not one sentence"
    held = getattr(thing, "_fields", ())
    if dataclasses.is_dataclass(thing):
        held = [f.name for f in dataclasses.fields(thing) if f.init and f.name[0] != "_"]
    if untold := set(held) - _entries(doc):
        yield f"Args or Attributes does not name {', '.join(sorted(untold))}"
    for name, member in vars(thing).items():
        called = inspect.isfunction(member) or isinstance(member, property)
        if called and name[0] != "_" and not member.__doc__:
            yield f"{name} says nothing"


def test_a_docstring_that_lacks_a_section_is_found_out() -> None:
    def bare(y: float) -> float:
        """Twice y.

        $$ 2 y $$
        """
        return 2 * y

    assert list(_function_faults(api.Public("here", "bare", bare))) == [
        "the first line is not one sentence",
        "Args does not name y",
        "a formula without its source",
    ]


def test_every_example_in_a_docstring_gives_what_it_says() -> None:
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    told: list[str] = []
    examples = 0
    for public in PUBLIC:
        for test in finder.find(public.thing, public.name, globs=_globals(public)):
            examples += len(test.examples)
            runner.run(test, out=told.append)
    assert examples > 15
    assert not told, "\n".join(told)


def _globals(public: Any) -> dict[str, object]:
    return {"np": np, **vars(inspect.getmodule(public.thing))}


def test_a_page_that_lacks_a_name_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "reference" / "page.html"
    page.parent.mkdir()
    page.write_text("".join(f'<h3 id="{min(p.anchors)}">' for p in PUBLIC if p.name != "Pareto"))
    assert api.missing_from(tmp_path) == ["baserate.stats.designs.Pareto"]


def test_a_docstrings_notes_become_paragraphs_and_its_marks_go() -> None:
    page = "<p>Assumes: a frame, as in :func:<code>hajek_mean</code>.\nBias: none.</p>"
    assert api.tidied(page) == (
        "<p><strong>Assumes:</strong> a frame, as in <code>hajek_mean</code>.</p>\n"
        "<p><strong>Bias:</strong> none.</p>"
    )

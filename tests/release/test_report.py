"""The report says what was released and nothing else, and asks nothing of anyone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from baserate.release.bundle import (
    RELEASE_ID,
    CommitRef,
    Provenance,
    read_bundle,
    write_bundle,
)
from baserate.release.gate_inputs import GateInputs, gate_inputs
from baserate.release.gates import decide, run_gates
from baserate.release.report import Change, Figure, ReportData, render_report, report_data
from baserate.release.report.audit_views import simple_random_size
from baserate.stats.intervals.binomial import logit_interval
from baserate.terms.programme import Programme

LEVEL = "95 %"
VOID = {"meta", "link", "br", "img", "input", "hr", "line", "circle", "rect", "use", "path"}


class Page(HTMLParser):
    """The page's elements, with a check that they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs, _ in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


PROVENANCE = Provenance(
    code_version="0.1.0",
    libraries={"numpy": "2.4.0"},
    salts={"phase 1": "salt|1"},
    commits=(CommitRef("samples", "2026-01-01", 400, "5e" * 32),),
    created_at=datetime(2026, 1, 5, 9, 7, 31, tzinfo=UTC),
)


def data_of(inputs: GateInputs, decisions: pa.Table | None = None, **more: Any) -> ReportData:
    results = run_gates(inputs)
    made = decide(inputs, results) if decisions is None else decisions
    return report_data(inputs, results, made, PROVENANCE, programme_text="programme: x", **more)


@pytest.fixture(scope="module")
def data(world: Any) -> ReportData:
    return data_of(world.inputs)


@pytest.fixture(scope="module")
def page(data: ReportData) -> Page:
    return Page(render_report(data))


def holding(inputs: GateInputs, policy: str) -> pa.Table:
    decisions = decide(inputs, run_gates(inputs))
    rows = [
        row | {"decision": "held", "gate": "frame_is_complete", "because": "A day is missing."}
        if row["policy"] == policy
        else row
        for row in decisions.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=decisions.schema)


def test_the_headline_is_the_figure_with_its_interval(data: ReportData, page: Page) -> None:
    for figure in data.whole("interaction_rate"):
        assert figure.text.figure in page.words
        if figure.is_rate:
            assert figure.text.interval in page.words
    assert "Assistant safety" in page.words
    assert "1 to 3 January 2026" in page.words


def test_every_rate_is_followed_by_its_interval(page: Page, data: ReportData) -> None:
    cards = page.words.split("Side by side")[0]
    for figure in data.whole("interaction_rate"):
        if figure.is_rate:
            told = f"{figure.text.figure} {figure.text.interval} {LEVEL} interval"
            assert told in cards


def test_a_held_figure_has_no_number_anywhere(world: Any) -> None:
    data = data_of(world.inputs, holding(world.inputs, "hate"))
    held = [f for f in data.figures if f.policy == "hate"]
    assert len(held) == 108
    for f in held:
        assert {f.value, f.std_error, f.lower, f.upper, f.n_effective} == {None}
        assert f.n_positive == 0
    assert not [f for f in data.methods if f.policy == "hate"]
    open_ = {f.text.sentence for f in data_of(world.inputs).whole("interaction_rate")}
    page = Page(render_report(data))
    (secret,) = [
        f.text for f in data_of(world.inputs).whole("interaction_rate") if f.policy == "hate"
    ]
    assert len(open_) == 3
    assert f"{secret.figure} {secret.interval}" not in page.words
    assert "A day is missing." in page.words
    assert "1 with no figure" in page.words


def test_a_bounded_figure_carries_its_upper_end_alone(data: ReportData) -> None:
    bounds = [f for f in data.figures if f.is_bound]
    assert bounds
    for f in bounds:
        assert f.upper is not None
        assert {f.value, f.std_error, f.lower, f.n_effective, f.nonresponse_upper} == {None}


def test_the_page_asks_nothing_of_anyone(page: Page, data: ReportData) -> None:
    html = render_report(data)
    assert not page.all("script")
    assert not page.all("link")
    assert not page.all("img")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://|//[a-z]", html)
    for _, attrs, _ in page.elements:
        target = attrs.get("href") or attrs.get("src")
        assert target is None or target.startswith("#")
        assert not any(name.startswith("on") for name in attrs)


def test_links_lead_somewhere(page: Page) -> None:
    ids = [a["id"] for _, a, _ in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.elements:
        for name in ("href", "aria-labelledby"):
            if attrs.get(name):
                assert str(attrs[name]).removeprefix("#") in ids


def test_the_page_can_be_read_without_eyes(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("h1")) == 1
    for attrs in page.all("svg"):
        assert attrs.get("aria-hidden") == "true" or (
            attrs.get("role") == "img" and attrs.get("aria-label")
        )
    for attrs in page.all("th"):
        assert attrs.get("scope") in ("col", "row", "rowgroup")
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_every_chart_has_its_numbers_as_a_table(page: Page, data: ReportData) -> None:
    for policy in data.programme.policy_ids():
        for figure in data.daily("interaction_rate", policy):
            assert figure.text.figure in page.words


def test_every_gate_says_its_sentence(page: Page, data: ReportData) -> None:
    for result in data.gates:
        whole = (result.scope.period_start, result.scope.period_end) == (data.start, data.end)
        if whole and result.scope.domain_kind in (None, "all"):
            assert re.sub(r"\s+", " ", result.sentence) in page.words


def test_rows_in_are_the_rows_told(page: Page, data: ReportData) -> None:
    assert {r.table for r in data.rows} == {"requests", "responses", "components", "scores"}
    for row in data.rows:
        assert row.rows_in == row.rows_used + row.n_excluded + row.n_faulty
        assert f"{row.rows_in:,}" in page.words


def test_the_same_data_give_the_same_page_whenever_it_is_made(world: Any, data: ReportData) -> None:
    later = replace(PROVENANCE, created_at=datetime(2027, 3, 1, tzinfo=UTC))
    html = render_report(data)
    assert render_report(replace(data, provenance=later)) == html
    assert "09:07" not in html
    assert html.count(RELEASE_ID) >= 2


def test_the_bundle_is_enough_to_make_its_report_again(world: Any, tmp_path: Path) -> None:
    inputs = world.inputs
    gates = run_gates(inputs)
    decisions = decide(inputs, gates)
    report = render_report(data_of(inputs, decisions))
    bundle = read_bundle(
        write_bundle(
            tmp_path,
            programme=world.programme,
            programme_text="programme: x",
            start=inputs.start,
            end=inputs.end,
            tables=world.tables,
            frame=world.frame.items(),
            gates=gates,
            decisions=decisions,
            provenance=PROVENANCE,
            report_html=report,
        )
    )
    tables = {name: bundle.table(name) for name in bundle.table_names}
    again = gate_inputs(world.programme, bundle.start, bundle.end, tables)
    rebuilt = report_data(
        again, bundle.gates, bundle.decisions, PROVENANCE, programme_text=bundle.programme_text
    )
    assert render_report(rebuilt).replace(RELEASE_ID, bundle.release_id) == bundle.report_html
    assert bundle.release_id in bundle.report_html


def test_words_of_a_site_are_words_and_not_markup(world: Any) -> None:
    raw = world.programme.model_dump(mode="json")
    raw["title"] = "<script>alert(1)</script>"
    raw["policies"][0]["name"] = "<img src=x onerror=alert(1)>"
    raw["policies"][0]["definition"] = "</style><b>bold</b>"
    inputs = replace(world.inputs, programme=Programme.model_validate(raw))
    page = Page(render_report(data_of(inputs)))
    assert not page.all("script")
    assert not page.all("img")
    assert "<img src=x onerror=alert(1)>" in page.words


FIRST, LAST = ((date(2026, 1, n), date(2026, 1, n)) for n in (1, 3))


def change(policy: str, difference: float, lower: float, upper: float, **more: Any) -> Change:
    estimand = more.pop("estimand", "interaction_rate")
    return Change(policy, estimand, FIRST, LAST, difference, lower, upper, **more)


def all_released(inputs: GateInputs, *, but: str = "") -> pa.Table:
    decisions = decide(inputs, run_gates(inputs))
    few = {"decision": "upper_bound_only", "gate": "enough_positives_or_an_upper_bound_only"}
    rows = [
        row | (few if row["policy"] == but else {"decision": "rate"})
        for row in decisions.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=decisions.schema)


CHANGES = (
    change("minors", 0.0001, -0.0002, 0.0005),
    change("violence", -0.002, -0.004, -0.0005),
    change("hate", 0.003, 0.001, 0.006),
    change("hate", 0.02, 0.011, 0.033, domain_kind="country", domain_value="IN"),
    change("hate", 0.001, -0.004, 0.005, domain_kind="country", domain_value="BR"),
    change("hate", 0.077, 0.07, 0.08, estimand="exposure_rate"),
)


def test_changes_name_a_direction_only_where_the_interval_leaves_out_zero(world: Any) -> None:
    data = data_of(world.inputs, all_released(world.inputs), changes=CHANGES)
    words = Page(render_report(data)).words.split("What changed")[1].split("Day by day")[0]
    assert re.search(r"Hate Rose \+30 \+10 to \+60 .*3 Jan against 1 Jan", words)
    assert "Violence Fell −20 −40 to −5" in words
    assert "Safety of minors No clear change" in words
    order = [words.index(name) for name in ("Hate Rose", "Violence Fell", "Safety of minors No")]
    assert order == sorted(order)


def test_changes_by_pivot_are_told_beside_what_chance_would_give(world: Any) -> None:
    data = data_of(world.inputs, all_released(world.inputs), changes=CHANGES)
    words = Page(render_report(data)).words.split("What changed")[1].split("Day by day")[0]
    assert "1 of 2 differences leave out zero; by chance alone about 0.1 would" in words
    assert "Hate, country IN Rose" in words
    assert "country BR" not in words


def test_a_change_between_rates_that_were_not_released_is_not_told(world: Any) -> None:
    decisions = all_released(world.inputs, but="hate")
    data = data_of(world.inputs, decisions, changes=CHANGES)
    assert {c.policy for c in data.changes} == {"minors", "violence"}
    assert "+30" not in Page(render_report(data)).words
    other = replace(CHANGES[1], before=(date(2026, 1, 1), date(2026, 1, 2)))
    assert data_of(world.inputs, decisions, changes=[other]).changes == ()


def test_a_single_day_without_pivots_or_people_is_a_page_too(world: Any) -> None:
    raw = world.programme.model_dump(mode="json")
    raw |= {"pivots": [], "reviews": None}
    raw["sampling"]["human_budget"] = 0
    day = date(2026, 1, 2)
    estimates = world.inputs.estimates.to_pylist()
    kept = [r for r in estimates if r["period_start"] == r["period_end"] == day]
    inputs = replace(
        world.inputs,
        programme=Programme.model_validate(raw),
        start=day,
        end=day,
        estimates=pa.Table.from_pylist(kept, schema=world.inputs.estimates.schema),
        review_samples=None,
        review_labels=None,
        review_outcomes=None,
    )
    page = Page(render_report(data_of(inputs)))
    assert "2 January 2026" in page.words
    assert "Day by day" not in page.words
    assert "Where it happens" not in page.words


def test_what_simple_random_sampling_would_need() -> None:
    day = date(2026, 1, 1)

    def figure(**numbers: Any) -> Figure:
        given = {"estimand": "interaction_rate", "decision": "rate", **numbers}
        return Figure("hate", domain_kind="all", domain_value="all", start=day, end=day, gate="",
                      because="", **given)  # fmt: skip

    value, half = 0.01, 0.002
    rate = figure(value=value, lower=value - half, upper=value + half)
    n = simple_random_size(rate, 0)
    assert n is not None
    std_error = (value * (1 - value) / n) ** 0.5
    assert logit_interval(value, std_error).width == pytest.approx(2 * half, rel=1e-9)
    assert n == pytest.approx(value * (1 - value) * (1.96 / half) ** 2, rel=0.02)
    vast = simple_random_size(replace(rate, lower=0.0, upper=1.0), 0)
    assert vast is not None
    assert vast < 1
    assert simple_random_size(rate, 10_000) == pytest.approx(n / (1 + n / 10_000), rel=1e-6)
    bound = figure(decision="upper_bound_only", upper=0.001)
    assert simple_random_size(bound, 0) == pytest.approx(3688.9, abs=0.1)
    assert simple_random_size(replace(bound, n_positive=3), 0) is None
    assert simple_random_size(figure(decision="held"), 0) is None
    assert simple_random_size(replace(rate, estimand="exposure_rate"), 0) is None


def test_many_pivot_values_are_counted_not_crowded(world: Any) -> None:
    def renamed(row: dict[str, Any], i: int) -> dict[str, Any]:
        return row | {"domain_value": f"{row['domain_value']}{i}"}

    rows = world.inputs.estimates.to_pylist()
    more = [renamed(r, i) for r in rows if r["domain_kind"] == "country" for i in range(3)]
    estimates = pa.Table.from_pylist(rows + more, schema=world.inputs.estimates.schema)
    page = Page(render_report(data_of(replace(world.inputs, estimates=estimates))))
    assert "and 8 more values" in page.words

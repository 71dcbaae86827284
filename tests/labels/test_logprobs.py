"""Confidence from the tokens of a verdict, against answers taken apart by hand."""

from __future__ import annotations

import json
import math

import pytest

from baserate.labels.judges.logprobs import with_token_probabilities


def token(text, probability=1.0, **others):
    told = [{"token": t, "logprob": math.log(p)} for t, p in others.items()]
    return {"token": text, "logprob": math.log(probability), "top_logprobs": told}


def answer(*verdicts):
    labels = [
        {"verdict": v, "probability": 0.5, "reason": r"says \"verdict\": \"x\""} for v in verdicts
    ]
    parts = [{"id": f"p1.{k}", **label} for k, label in enumerate(labels[1:], 1)]
    return {"interaction": labels[0], "parts": parts}


def in_tokens(said, *graded):
    """The text cut into tokens, each verdict's first token as given."""
    pieces = json.dumps(said).split('"verdict": "')
    tokens = [token(pieces[0])]
    for piece, first in zip(pieces[1:], graded, strict=True):
        rest = piece.removeprefix(first["token"].lstrip('"'))
        assert rest != piece
        tokens += [token('"verdict": "'), first, token(rest)]
    return tokens


def probabilities(text):
    said = json.loads(text)
    return [label["probability"] for label in (said["interaction"], *said["parts"])]


def test_each_label_has_the_odds_of_its_own_verdict():
    said = answer("violating", "not_violating")
    tokens = in_tokens(said, token("v", 0.6, v=0.6, not_=0.2, un=0.2), token("not", 0.9, viol=0.1))
    graded, without = with_token_probabilities(json.dumps(said), tokens)
    assert probabilities(graded) == pytest.approx([0.75, 0.1])
    assert without == 0


def test_a_verdict_written_against_the_models_will_has_no_probability():
    said = answer("violating")
    tokens = in_tokens(said, token("v", 0.01, **{"Well": 0.9, "not": 0.05}))
    graded, without = with_token_probabilities(json.dumps(said), tokens)
    assert (probabilities(graded), without) == ([None], 1)


def test_bytes_are_read_where_a_token_is_no_text_of_its_own():
    said = answer("violating")
    said["interaction"]["note"] = "é"
    text = json.dumps(said, ensure_ascii=False)
    head, _, tail = text.partition("é")
    before, _, after = head.partition('"verdict": "')
    halves = [{"token": "\ufffd", "bytes": [b], "logprob": 0.0} for b in "é".encode()]
    first = token("violating", 0.8, unsure=0.1, not_violating=0.1)
    rest = after.removeprefix("violating")
    tokens = [token(before), token('"verdict": "'), first, token(rest), *halves, token(tail)]
    graded, without = with_token_probabilities(text, tokens)
    assert probabilities(graded) == pytest.approx([8 / 9])
    assert without == 0


@pytest.mark.parametrize("tokens", [[], [token('{"verdict": "violating"}')], [{"no": "token"}]])
def test_tokens_that_do_not_fit_the_answer_grade_nothing_and_change_no_verdict(tokens):
    said = answer("violating", "unsure")
    graded, without = with_token_probabilities(json.dumps(said), tokens)
    assert (probabilities(graded), without) == ([None, None], 2)
    assert [p["verdict"] for p in json.loads(graded)["parts"]] == ["unsure"]


@pytest.mark.parametrize("text", ["prose", "[]", '{"parts": 3}', '{"interaction": 1, "parts": []}'])
def test_what_is_no_answer_is_left_as_it_is(text):
    assert with_token_probabilities(text, []) == (text, 0)

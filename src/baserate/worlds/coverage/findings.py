"""What a map says: which intervals hold where, and whether the map can say no."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from baserate.worlds.coverage.measure import Row
from baserate.worlds.coverage.methods import DEFAULT, GUARDED, ON_TRIAL, SPOILED
from baserate.worlds.coverage.steering import UNSTEERED

SEEN_THROUGH = 0.15  # a spoiled interval must be short where the relative SE is below this
DEFENDED = 3.0


class Claim(NamedTuple):
    """A promise about the map and the cells that break it.

    Attributes:
        sentence: The promise.
        cells: How many rows it speaks of.
        broken: Rows that break it beyond two Monte-Carlo errors.
        unclear: Rows that fall short, but within two Monte-Carlo errors.
    """

    sentence: str
    cells: int
    broken: list[Row]
    unclear: list[Row]


def claims(rows: Iterable[Row]) -> list[Claim]:
    """The promises that a map is read for."""
    table = list(rows)
    sound = ("good", "miscalibrated", "missing")
    return [
        _covers(
            "the default covers 94 % where scores are good, miscalibrated or partly missing",
            table,
            0.94,
            lambda r: r["interval"] == DEFAULT and r["quality"] in sound,
        ),
        _covers(
            "the default covers 90 % with a blind spot of which 3 positives or more are expected",
            table,
            0.90,
            lambda r: (
                r["interval"] == DEFAULT
                and r["quality"] == "blind_spot"
                and r["blind_expected"] >= DEFENDED
            ),
        ),
        _covers(
            "the guarded interval covers 94 % everywhere",
            table,
            0.94,
            lambda r: r["interval"] == GUARDED,
        ),
        _narrow(table, sound),
    ]


def spoiled_twin(rows: Iterable[Row]) -> Claim:
    """Whether the interval of half the width is found short wherever it should be.

    It should be where scores are good and the relative standard error is below 15 %: there the
    ends matter, not the upper limit of samples that found nothing.
    """
    table = [
        row
        for row in rows
        if row["interval"] == SPOILED
        and row["quality"] == "good"
        and row["relative_se"] < SEEN_THROUGH
    ]
    passed = [row for row in table if row["verdict"] != "short"]
    return Claim("an interval of half the width is found short", len(table), passed, [])


def where_short(rows: Iterable[Row], interval: str) -> list[Row]:
    """Cells in which an interval falls short beyond Monte-Carlo error, the worst first."""
    found = [row for row in rows if row["interval"] == interval and row["verdict"] == "short"]
    return sorted(found, key=lambda row: float(row["coverage"]))


def by_quality(rows: Iterable[Row]) -> list[Row]:
    """Per score quality, steering, estimator and interval: cells, how many hold, the lowest."""
    groups: dict[tuple[str, bool, str, str], list[Row]] = {}
    for row in rows:
        steered = row["design"] not in UNSTEERED
        key = (row["quality"], steered, row["estimator"], row["interval"])
        groups.setdefault(key, []).append(row)
    return [
        {
            "quality": quality,
            "steered": steered,
            "estimator": estimator,
            "interval": interval,
            "cells": len(group),
            "hold": sum(row["verdict"] == "holds" for row in group),
            "short": sum(row["verdict"] == "short" for row in group),
            "lowest": min(row["coverage"] for row in group),
            "mean": sum(row["coverage"] for row in group) / len(group),
            "width_vs_logit": max(row["width_vs_logit"] for row in group),
        }
        for (quality, steered, estimator, interval), group in groups.items()
    ]


def _covers(sentence: str, table: list[Row], least: float, meant: Callable[[Row], bool]) -> Claim:
    rows = [row for row in table if meant(row)]
    low = [row for row in rows if row["coverage"] < least]
    broken = [row for row in low if row["coverage"] + 2.0 * row["mc_error"] < least]
    return Claim(sentence, len(rows), broken, [row for row in low if row not in broken])


def _narrow(table: list[Row], sound: tuple[str, ...]) -> Claim:
    rows = [row for row in table if row["interval"] == DEFAULT and row["quality"] in sound]
    wide = [row for row in rows if row["width_vs_logit"] > 1.5]
    sentence = "the default is at most 1.5 times as wide as logit where scores are sound"
    return Claim(sentence, len(rows), wide, [])


__all__ = [
    "ON_TRIAL",
    "Claim",
    "by_quality",
    "claims",
    "spoiled_twin",
    "where_short",
]

"""The replay's programme file: what a measurement scientist would have written for it."""

from __future__ import annotations

import textwrap

from baserate.worlds.replay.material import Material
from baserate.worlds.replay.photos import FOLDER, PREFIX
from baserate.worlds.replay.spec import ReplaySpec
from baserate.worlds.replay.write import SITE_COLUMNS

_WHOLE = (
    "An interaction violates as a whole if one of its responses violates, or a Pin that was seen, "
    "that is, has at least one impression. A bad query that is well refused does not."
)
_TABLES = {
    "users": ("logs/users/*.parquet", "who asked; staff and test accounts are marked"),
    "requests": ("logs/requests/ds={ds}/*.parquet", "what was asked, one row per turn"),
    "responses": ("logs/responses/ds={ds}/*.parquet", "what was answered, one row per turn"),
    "components": ("logs/components/ds={ds}/*.parquet", "the Pins shown, in order"),
    "scores": ("logs/scores/ds={ds}/*.parquet", "the risk scorer, per response and per Pin"),
}
_PICTURES = f"""\
images:  # pictures of sampled Pins, kept when the sample is drawn
  prefixes: {{"{PREFIX}": "{FOLDER}/"}}
"""


def programme_yaml(material: Material, spec: ReplaySpec, *, pictures: bool = False) -> str:
    """The text of ``baserate.yaml`` for a replay in the same folder.

    Args:
        material: Texts and policies.
        spec: Days, sizes, seed.
        pictures: Whether the photographs of its Pins are in the folder.
    """
    return "\n\n".join(
        [
            _head(material, spec),
            _tables(),
            _policies(material),
            _rest(),
            *([_PICTURES] if pictures else []),
        ]
    )


def planted_change(spec: ReplaySpec) -> str:
    """The planted change in words, e.g. ``hate_speech x 4 in BR from 2026-01-14``."""
    change = spec.change
    if change.from_day > spec.days:
        return "no planted change"
    day = spec.dates()[change.from_day - 1]
    return f"{change.policy} x {change.factor:g} in {change.country} from {day}"


def _head(material: Material, spec: ReplaySpec) -> str:
    comment = _comment(
        f"A replay platform with known truth: {material.name}, {spec.days} days of "
        f"{spec.interactions_per_day:,} interactions from {spec.start}, seed {spec.seed}. Planted: "
        f"{planted_change(spec)}. The census of every rate is in truth.parquet; nothing of "
        "baserate reads it while measuring."
    )
    note = f"{_comment(material.note)}\n" if material.note else ""
    return (
        f"{comment}\n{note}"
        "programme: replay\n"
        'title: "AI answers on a replayed platform"\n'
        "# Key of the permanent random numbers: another salt, another sample.\n"
        f'salt: "replay-{spec.seed}"'
    )


def _tables() -> str:
    lines = ["# Where the logs are, and what their columns are called here."]
    lines += ["# Left: baserate's name. Right: this platform's. Names that agree are not listed."]
    lines += ["tables:"]
    for name, (path, meaning) in _TABLES.items():
        lines += [f"  {name}:  # {meaning}", f'    path: "{path}"', "    columns:"]
        lines += [f"      {ours}: {theirs}" for ours, theirs in SITE_COLUMNS[name].items()]
    lines += ["", "records:", "  late_days: 1  # rows logged the day after still count"]
    return "\n".join(lines)


def _policies(material: Material) -> str:
    lines = [
        "# What is measured. The definitions are what judges and reviewers are given.",
        "# A text that people scored under another policy counts as not violating here.",
        "policies:",
    ]
    for policy in material.policies:
        lines += [f"  - id: {policy.id}", f'    name: "{policy.name}"', "    definition: |-"]
        for paragraph in (*policy.definition.splitlines(), _WHOLE):
            lines += textwrap.wrap(
                paragraph,
                width=96,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def _rest() -> str:
    return """\
# What a rate counts, over what, and how it is cut.
estimands: [interaction_rate, exposure_rate, any_component_rate]
pivots: [country, surface]

sampling:
  design: pareto        # a fixed number of interactions, likelier where the scores are higher
  judge_budget: 2000    # interactions a day that the judge labels
  human_budget: 300     # of these, how many people label
  control_share: 0.2    # drawn with equal probabilities, whatever the scores
  exposure_share: 0.2   # drawn in proportion to impressions

judge:
  kind: local           # a text classifier; needs no network
  training: judge_training.parquet  # texts that are kept out of the replay

reviews:
  kind: lookup          # the people's scores that came with the texts
  path: "reviews/ds={ds}/*.parquet"
  absent_means: not_violating  # only what some rater found violating is listed
"""


def _comment(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 98, initial_indent="# ", subsequent_indent="# "))

"""The programme file that ``baserate init`` writes.

A line that begins with ``#`` and no space is a setting at its default: take the ``#`` away and
change it. The tests load the file both ways.
"""

from __future__ import annotations

import secrets

STARTER = """\
# yaml-language-server: $schema=baserate.schema.json
#
# A measurement programme: what is measured, on which logs, with how many labels.
# Settings behind a `#` stand at their default; take the `#` away to change one.
# `baserate doctor` checks this file, the logs it names and the labelers.

# Short name: lower-case letters, digits, underscore.
programme: {name}
title: "{title}"

# Key of the permanent random numbers that draw the samples. Change it and every sample changes.
# Keep it private while sampling; it is published with a release so that others can redraw.
salt: "{salt}"

# Where the logging tables are: Parquet files, relative to this file. `{{ds}}` stands for the day
# the rows were logged (YYYY-MM-DD), `*` for any name. Under `columns`, left is baserate's name and
# right is yours; list only those that differ.
# Where a name is not enough, `expressions` take SQL over the row's own columns, `where` leaves out
# rows that are not of the table (the audit counts them), and `explode` makes rows of a list.
tables:
  # What was asked, one row per turn. Needed: interaction_id, requested_at. Useful: turn, user_id,
  # session_id, conversation_id, surface, query_text, is_test, logged_at.
  requests:
    path: "logs/requests/ds={{ds}}/*.parquet"
    columns:
      interaction_id: request_id
      requested_at: event_time
  # What was answered, one row per turn. Needed: interaction_id. Useful: turn, response_text,
  # is_refusal, model_version, responded_at, logged_at.
  responses:
    path: "logs/responses/ds={{ds}}/*.parquet"
    columns:
      interaction_id: request_id
  # What was shown with the answer, one row per position. Needed: interaction_id, position,
  # component_id. Useful: turn, impressions, title, description, image_ref, kind, logged_at.
  components:
    path: "logs/components/ds={{ds}}/*.parquet"
    columns:
      interaction_id: request_id
      component_id: pin_id
    # E.g. {{impressions: "coalesce(n_impr, 1)"}}, "surface <> 'debug'", {{item: shown_items}}.
    #expressions: {{}}
    #where:
    #explode: {{}}
  # Who asked. Needed: user_id. Useful: country, language, age_band, is_internal, is_test. Columns
  # of your own can be mapped here or under requests when `pivots` or `strata` name them.
  users:
    path: "logs/users/*.parquet"
  # What a risk model said. Needed: subject_kind (interaction, query, response or component),
  # subject_id, policy, score in [0, 1]. Useful: turn, model_version, scored_at, logged_at.
  scores:
    path: "logs/scores/ds={{ds}}/*.parquet"

records:
  # Rows logged up to this many days after their interaction still count; later ones are set aside.
  #late_days: 1
  # What is measured as one: interaction, or all that a session or a conversation has on a day.
  #unit: interaction
  # Where no session id is logged: a user's session ends after so many minutes without a turn.
  #session_gap_minutes:

# What is measured. Judges and reviewers are given `definition`, so write it for them.
policies:
  - id: harassment
    name: Harassment
    # A new version starts a new series.
    #version: "1"
    definition: |
      Content violates if it insults, threatens or degrades a person or a group of people, or
      encourages others to do so. Reporting on harassment or asking for help does not violate.
    # Or, in place of the definition, a written policy with clauses, edge cases and examples:
    # `baserate policy starter` writes four to begin with.
    #document:
    # Whose risk scores count for an interaction, and how several become one: max or noisy_or.
    #score_from: [interaction, query, response, component]
    #score_combine: max

# What a rate counts, over what. interaction_rate: interactions that violate as a whole.
# exposure_rate: impressions of violating Pins over all impressions. any_component_rate:
# interactions in which a response or Pin violates.
#estimands: [interaction_rate, exposure_rate, any_component_rate]

# Columns that rates are cut by, besides the whole: country, language, age_band, surface,
# model_version, or columns of your own.
#pivots: [country, surface]

sampling:
  # Interactions a day that the judge labels (phase 1), and that people label (phase 2, drawn from
  # phase 1; 0 for none).
  judge_budget: 2000
  human_budget: 300
  # How units are drawn: pareto and sequential_poisson give a fixed number, poisson a random one.
  #design: pareto
  # Columns of the interaction whose values are drawn from separately.
  #strata: []
  # Shares of the judge budget drawn with equal probabilities (guards against what the scores do
  # not see) and in proportion to impressions. The rest follows the calibrated scores.
  #control_share: 0.2
  #exposure_share: 0.2
  # Share of the human budget drawn with equal probabilities among judged interactions.
  #human_floor: 0.25
  # How scores become probabilities, from labels of earlier days.
  #calibration:
    #history_days: 28
    #bins: 20
    #prior_rate: 0.005

# The machine that labels phase 1. This one needs no network: it is fitted on texts that you have
# labelled (Parquet, CSV or JSONL with columns text, policy, violating).
judge:
  kind: local
  training: training.parquet
  # Probability from which a text is called violating.
  #threshold: 0.5
# Or a language model behind an OpenAI-compatible endpoint; remove the section above, then:
# judge:
#   kind: openai
#   base_url: https://example.com/v1
#   model: my-model
#   api_key_env: MY_API_KEY
#   # What 1,000 tokens cost, for the bill, and the most that one run may spend.
#   price_per_1k_input: 0.001
#   price_per_1k_output: 0.004
#   max_cost: 50
#   # `unified`: one call about every policy, in place of one for each. Refused until `baserate
#   # judge equivalence` has shown on gold that the verdicts are as good.
#   calls: one_policy
#   # Share of verdicts that instructions planted in the content may move, as `baserate judge
#   # probe` measures it. Above it, or never probed, a release is held by name.
#   max_flip_rate: 0.02

# Where people's labels of phase 2 come from: files that they fill in (CSV, JSONL or Parquet).
reviews:
  kind: files
  path: "reviews/{{ds}}.csv"
  # Gold from a frozen set (`baserate gold anchor`), mixed unseen into each work list, so that
  # `baserate judge drift` tells whose verdicts change; for example {{set: spring, per_day: 6}}.
  #anchors:

# Judges that might take the judge's place, by name, in the same form: `baserate judge run NAME`
# lets one label what people labelled, `baserate judge compare NAME` holds it against the judge.
# Several may vote as one: `three: {{kind: panel, members: [NAME, NAME, NAME]}}`.
#candidates: {{}}

# Machines that make risk scores where there are none: `baserate score` writes them where
# tables.scores reads them. `kind: text` learns from labelled texts, as the judge above; `kind:
# image` says how likely a Pin's picture shows nudity (it needs section images).
#scorers: []
# scorers:
#   - kind: text
#     training: training.parquet
#   - kind: image
#     policy: adult

estimation:
  # Level of the intervals, and their method where positives were seen: anticipated_gamma, logit,
  # wilson or clopper_pearson.
  #level: 0.95
  #interval: anticipated_gamma
  # Share of the violations that the scores might not see at all, e.g. 0.25: where the control arm
  # is too small to find them, the upper end is lifted by what may be hidden.
  #blind_share: 0.0

# What a figure must pass to be released.
gates:
  # With fewer violating units among the reviewed, only an upper bound is released.
  #min_positives: 5
  # Half the interval's width over the rate, at most, for the whole period.
  #max_relative_half_width: 1.5
  # Share of sampled units that must have a usable verdict.
  #min_labelled_share: 0.98
  # Share of a day's rows that may be set aside for faults.
  #max_quarantined_share: 0.05
  # Estimated totals of known columns may differ from the true ones by this many standard errors.
  #totals_tolerance_se: 5.0
  # With `calls: unified`: how far sensitivity and specificity may differ from a call for each.
  #unified_sensitivity_margin: 0.05
  #unified_specificity_margin: 0.01

# Pictures of sampled interactions, kept when the sample is drawn, so that a Pin that is deleted
# later can still be judged. `base`: where references without a scheme start. Without this section
# none are kept; for example:
#images: null
# images:
#   base: s3://pins/originals/
#   allow: ["https://i.example.com/"]
#   retention_days: 180

# What is stored of people.
privacy:
  # Ids stored as pseudonyms only: user_id, session_id, conversation_id. Their key is in a variable
  # of the environment, or in a file that is not in this folder.
  #pseudonyms: []
  #key_env: null
  #key_file: null
  # Columns of yours that are never stored, by logging table: {{requests: [ip], users: [email]}}.
  #drop: {{}}
  # Days that content is kept; `baserate privacy expire` erases what is older.
  #retention_days: null

# What one interaction costs under all policies, labelled by the judge (say 0.004) and by people
# (say 1.50): `baserate design plan` then shows what a budget costs and finds the cheapest split.
costs:
  #judge_label: null
  #human_label: null
  #currency: ""
"""


def starter_programme(name: str) -> str:
    """The text of a programme file to start from, with a salt of its own.

    Args:
        name: Short name of the programme: lower-case letters, digits, underscore.
    """
    title = name.replace("_", " ").strip().capitalize()
    return STARTER.format(name=name, title=title, salt=secrets.token_hex(16))

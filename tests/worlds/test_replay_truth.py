"""The census is what anyone would count from the logs and the people's verdicts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.worlds.replay import ReplayWorld

Rows: TypeAlias = list[tuple[Any, ...]]

# Written from the meaning of the tables, without any of the code under test.
POPULATION = """
create table users as select distinct * from '{out}/logs/users/*.parquet';
create table raw as select distinct * exclude (filename) from
    read_parquet('{out}/logs/requests/*/*.parquet', hive_partitioning=true, filename=true)
    where req_id is not null;
create table interactions as
select first.req_id as id, first.event_time::date as day, u.signup_country as country,
       first.surface
from (select * from raw where turn_no = 1) first join users u using (uid)
where not u.is_employee and not u.is_test_account and not first.synthetic
  and first.ds - first.event_time::date <= 1
  and first.req_id in (select req_id from '{out}/logs/responses/*/*.parquet');
create table pins as
select distinct c.req_id as id, c.turn_no as turn, c.slot as position, c.impressions, i.day,
       i.country, i.surface
from read_parquet('{out}/logs/components/*/*.parquet', hive_partitioning=true) c
join interactions i on i.id = c.req_id
where c.impressions >= 0 and c.ds - i.day <= 1;
create table verdicts as
select interaction_id as id, subject_kind as kind, turn, position, policy,
       2 * count(*) filter (verdict = 'violating') > count(*) as violating
from '{out}/reviews/*/*.parquet' group by all;
create table cells as
select id, day::varchar as ds, 'all' as domain_kind, 'all' as domain_value from interactions
union all select id, day::varchar, 'country', country from interactions
union all select id, day::varchar, 'surface', surface from interactions;
insert into cells select id, '{period}', domain_kind, domain_value from cells;
create table tops as
select id, policy, 'interaction_rate' as estimand, 1 as y from verdicts
    where violating and kind = 'interaction'
union all
select id, policy, 'any_component_rate', 1 from verdicts
    where violating and kind in ('response', 'component') group by id, policy
union all
select id, policy, 'exposure_rate', sum(impressions) from verdicts
    join pins using (id, turn, position) where violating and kind = 'component'
    group by id, policy;
create table bottoms as
select id, 'interaction_rate' as estimand, 1 as x from interactions
union all select id, 'any_component_rate', 1 from interactions
union all select id, 'exposure_rate', sum(impressions) from pins group by id;
"""
COUNTED = """
with top as (select ds, policy, estimand, domain_kind, domain_value, sum(y) as y
             from tops join cells using (id) group by all),
bottom as (select ds, estimand, domain_kind, domain_value, sum(x) as x
           from bottoms join cells using (id) group by all)
select policy, estimand, t.ds, domain_kind, domain_value, t.numerator, coalesce(y, 0) as y,
       t.denominator, coalesce(x, 0) as x
from truth t left join top using (ds, policy, estimand, domain_kind, domain_value)
left join bottom using (ds, estimand, domain_kind, domain_value)
"""


@pytest.fixture
def counted(world: ReplayWorld, ask: Callable[[str], Rows]) -> Callable[[str], Rows]:
    ask(POPULATION.format(out=world.out, period=world.spec.period()))
    ask(f"create table truth as from '{world.truth}'")
    return ask


def test_the_census_is_what_sql_counts_from_logs_and_reviews(
    counted: Callable[[str], Rows], world: ReplayWorld
) -> None:
    rows = counted(COUNTED)
    cells = 1 + 12 + 5
    assert len(rows) == (world.spec.days + 1) * len(world.policies) * 3 * cells
    wrong = [row for row in rows if row[5] != row[6] or row[7] != row[8]]
    assert wrong == []
    assert sum(row[5] for row in rows) > 0


def test_each_day_has_exactly_the_interactions_that_were_asked_for(
    counted: Callable[[str], Rows], world: ReplayWorld
) -> None:
    per_day = counted("select day, count(*), count(distinct id) from interactions group by 1")
    assert sorted(per_day) == [(day, 2_000, 2_000) for day in world.days]


def test_nothing_outside_the_population_is_in_the_reviews(
    counted: Callable[[str], Rows],
) -> None:
    strangers = counted(
        "select count(*) from verdicts where id not in (select id from interactions)"
    )
    assert strangers == [(0,)]


def test_the_three_estimands_tell_different_stories(made_up: ReplayWorld) -> None:
    whole = _whole(pq.read_table(made_up.truth), made_up.spec.period())
    for policy in made_up.policies[:4]:
        whole_rate = whole[policy, "interaction_rate"]
        assert whole[policy, "any_component_rate"] > whole_rate > 0.0
        assert 0.0 < whole[policy, "exposure_rate"] < whole_rate


def test_rates_lie_between_a_twentieth_of_a_percent_and_two_percent(real: ReplayWorld) -> None:
    whole = _whole(pq.read_table(real.truth), real.spec.period())
    rates = [whole[policy, "interaction_rate"] for policy in real.policies]
    assert len(rates) == 8
    # Eight thousand interactions: about 4 violate the rarest policy, about 144 the commonest.
    assert 0.0 < min(rates) < 0.0015
    assert 0.014 < max(rates) < 0.023


def _whole(truth: pa.Table, period: str) -> dict[tuple[str, str], float]:
    return {
        (row["policy"], row["estimand"]): row["rate"]
        for row in truth.to_pylist()
        if row["ds"] == period and row["domain_kind"] == "all"
    }

"""Clusters drawn in the engine: sessions or users, whole, with all of their units."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.engines.keyed_hash import prn_expr
from baserate.sampling.at_scale.draws import Drawn, draw, in_order
from baserate.sampling.at_scale.frame import (
    CLUSTER,
    PRN,
    SIZE,
    STRATUM,
    UNIT_ID,
    has_strata,
    need_columns,
    rows_of,
)
from baserate.terms.errors import DesignError

_number = itertools.count()


@dataclass(frozen=True)
class DrawnClusters:
    """Whole clusters drawn in the engine.

    Attributes:
        clusters: The drawn clusters as units: id, PRN, size (the sum of their units'),
            ``inclusion_prob`` and ``n_units``.
        units: All units of these clusters in order of cluster and id, with the cluster's
            ``inclusion_prob``.
    """

    clusters: Drawn
    units: pa.Table


def cluster_frame(frame: ir.Table, salt: str) -> ir.Table:
    """The frame of clusters: one row each, with a PRN hashed from the cluster's id.

    Args:
        frame: The sampling frame with a column ``cluster``.
        salt: Key of the draw; not that of a draw of units.
    """
    need_columns(frame, CLUSTER, UNIT_ID, SIZE)
    columns: dict[str, ir.Value] = {SIZE: frame[SIZE].sum(), "n_units": frame.count()}
    if has_strata(frame):
        columns |= {STRATUM: frame[STRATUM].min(), "_other": frame[STRATUM].max()}
    grouped = frame.group_by(CLUSTER).agg(**columns).rename({UNIT_ID: CLUSTER})
    return grouped.mutate(
        **{PRN: prn_expr(grouped[UNIT_ID], salt), SIZE: grouped[SIZE].cast("int64")}
    )


def draw_clusters(
    engine: Engine,
    frame: ir.Table,
    design: str,
    n: float | Mapping[str, float],
    *,
    salt: str,
    carry: Sequence[str] = (),
) -> DrawnClusters:
    """Draw whole clusters of a frame that stays in its engine: those that ``stats.Cluster`` draws.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame with a column ``cluster``; a stratum, if any, is one for all
            units of a cluster.
        design: As ``draw``; equal designs draw clusters with equal probabilities, others in
            proportion to the sum of their units' sizes.
        n: Expected number of clusters (a mapping where there are strata).
        salt: Key of the clusters' PRNs; units keep theirs for a second stage.
        carry: Further columns of the frame that the units should have.

    Raises: DesignError if a unit has no cluster, a cluster lies in two strata, or as ``draw``.
    """
    name = f"baserate_clusters_{next(_number)}"
    clusters = engine.kept.keep(name, cluster_frame(frame, salt))
    try:
        _check(engine, clusters)
        drawn = draw(engine, clusters, design, n, carry=["n_units"])
    finally:
        engine.kept.drop(name)
    return DrawnClusters(drawn, _units(engine, frame, drawn, carry))


def _check(engine: Engine, clusters: ir.Table) -> None:
    lost = clusters[UNIT_ID].isnull()
    faults: dict[str, ir.Value] = {"no_cluster": lost.cast("int64").sum()}
    if has_strata(clusters):
        torn = (clusters[STRATUM] != clusters["_other"]).cast("int64")
        faults["torn"] = torn.sum()
    (row,) = rows_of(engine, clusters.agg(**faults))
    if row["no_cluster"]:
        raise DesignError(
            "a unit belongs to no cluster",
            code="cluster_missing",
            hint="make a cluster of its own of each such unit: cluster.fill_null(unit_id)",
        )
    if row.get("torn"):
        raise DesignError(
            "a cluster lies in two strata",
            code="cluster_in_two_strata",
            got=f"{row['torn']} cluster(s)",
            hint="stratify by what is the same for all units of a cluster",
        )


def _units(engine: Engine, frame: ir.Table, drawn: Drawn, carry: Sequence[str]) -> pa.Table:
    chosen = ibis.memtable(
        pa.table(
            {
                "_cluster": drawn.units[UNIT_ID],
                "inclusion_prob": drawn.units["inclusion_prob"],
            }
        )
    )
    columns = [UNIT_ID, CLUSTER, SIZE, *([PRN] if PRN in frame.columns else [])]
    if has_strata(frame):
        columns.append(STRATUM)
    few = frame.select(*dict.fromkeys([*columns, *carry]))
    joined = few.inner_join(chosen, few[CLUSTER] == chosen["_cluster"]).drop("_cluster")
    units = in_order(engine.to_arrow(joined))
    return units.sort_by([(CLUSTER, "ascending"), (UNIT_ID, "ascending")])

"""A day too large for memory is drawn in the engine, and nobody can tell from its sample."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from baserate.flows.log_files import log_days
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace


def test_a_day_drawn_in_the_engine_has_the_sample_of_a_day_drawn_in_memory(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_workspace(workspace) as opened:
        ds = log_days(opened)[0]
        Stages(opened).records(ds)
    drawn = {}
    for limit in ("10000000", "0"):
        monkeypatch.setenv("BASERATE_IN_MEMORY_UNITS", limit)
        copy = tmp_path / f"limit-{limit}"
        shutil.copytree(workspace, copy)
        with open_workspace(copy) as opened:
            Stages(opened).sample(ds)
            store = opened.store
            drawn[limit] = (
                store.current("samples", ds).digest,
                store.read("frame_totals", ds).to_pylist(),
            )
    (one, totals), (two, again) = drawn.values()
    assert one == two
    key = ("stratum", "domain_kind", "domain_value", "measure")
    first, second = ({tuple(r[k] for k in key): r["value"] for r in t} for t in (totals, again))
    assert list(first) == list(second)
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-9)

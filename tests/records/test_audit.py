"""The account of a day: what does not add up is an error, not a footnote."""

from __future__ import annotations

import pytest
from tests.records.awkward import DAY

from baserate.records.audit import Account, audit_table
from baserate.terms.errors import EngineError


def test_an_account_lists_rows_in_rows_used_and_reasons():
    account = Account("requests", read=12, theirs=2, used=7, late=1)
    table = audit_table(
        [account], {("requests", "duplicate"): 3, ("scores", "orphan"): 9}, {"units": 4}, DAY
    )
    rows = {(row["source_table"], row["measure"]): row["value"] for row in table.to_pylist()}
    assert rows == {
        ("requests", "rows_in"): 10,
        ("requests", "rows_used"): 7,
        ("requests", "late"): 1,
        ("requests", "quarantined:duplicate"): 3,
        ("interactions", "units"): 4,
    }


@pytest.mark.parametrize("used", [6, 8])
def test_a_row_lost_or_counted_twice_stops_the_build(used):
    account = Account("components", read=12, theirs=2, used=used, late=0)
    with pytest.raises(EngineError) as error:
        audit_table([account], {("components", "duplicate"): 3}, {}, DAY)
    assert error.value.code == "accounting"
    assert "components" in (error.value.where or "")

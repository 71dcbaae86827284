"""What a sample showed is kept as it was, once, until its time is over."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime

import pytest

from baserate.images import ImageStore, digests_of, forget, needs_another_try, picture_of, snapshot
from baserate.images.journal import Journal
from baserate.images.keep import expire
from baserate.images.snapshot import MOST_ATTEMPTS
from baserate.terms.errors import EngineError
from baserate.terms.words import ImageStatus as Status
from tests.images.conftest import as_bytes, drawn, section

DAY = date(2026, 1, 5)


@pytest.fixture
def snap(tmp_path, web, fetcher_of):
    """Fetch references of a day; keyword arguments change the section of the programme."""

    def run(references, before=None, ds=DAY, **more):
        again, advance = more.pop("again", False), more.pop("advance", None)
        config = section(web, **more)
        store = ImageStore(tmp_path, config)
        table = snapshot(
            references,
            ds=ds,
            store=store,
            fetcher=fetcher_of(config),
            journal=Journal(tmp_path / "journal" / f"{ds}.jsonl"),
            now=lambda: datetime(2026, 1, 7, tzinfo=UTC),
            before=before,
            again=again,
            advance=advance,
        )
        (tmp_path / "journal" / f"{ds}.jsonl").unlink(missing_ok=True)
        return table, store

    return run


def rows(table):
    return {r["image_ref"]: r for r in table.to_pylist()}


def test_every_reference_is_a_row_and_a_picture_is_stored_once(snap, web):
    same = [web.serve(f"/{k}.png", as_bytes(drawn(1))) for k in range(3)]
    like = web.serve("/like.jpg", as_bytes(drawn(1), "JPEG"))
    other = web.serve("/other.png", as_bytes(drawn(2)))
    gone = f"{web.address}/gone.png"
    found, store = snap([*same, same[0], like, other, gone])
    table = rows(found)
    assert sorted(table) == sorted([*same, like, other, gone])
    assert table[same[0]]["n_shown"] == 2
    assert (table[gone]["status"], table[gone]["reason"]) == ("missing", "http_404")
    assert table[gone]["retain_until"] is None
    assert len({table[r]["content_sha256"] for r in same}) == 1
    assert len(list(store.digests())) == 3
    groups = [table[r]["picture_group"] for r in (*same, like, other)]
    assert len(set(groups[:4])) == 1
    assert groups[4] not in groups[:4]
    assert table[other]["retain_until"] == date(2026, 7, 4)


def test_what_is_kept_stays_when_its_source_is_deleted_or_changed(snap, web):
    one, two = (web.serve(f"/{k}.png", as_bytes(drawn(k))) for k in (1, 2))
    first, store = snap([one, two])
    del web.answers["/1.png"]
    web.serve("/2.png", as_bytes(drawn(3)))
    second, _ = snap([one, two], before=first, again=True)
    assert second.equals(first)
    for row in second.to_pylist():
        picture = picture_of(row, store)
        assert picture.is_shown
        assert picture.view is not None
        assert picture.view.read_bytes().startswith(b"\xff\xd8")


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, snap, web):
    addresses = [web.serve(f"/{k}.png", as_bytes(drawn(k))) for k in range(8)]

    class Killed(Exception):
        pass

    def die(done, _all):
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        snap(addresses, advance=die, concurrency=1)
    journal = tmp_path / "journal" / f"{DAY}.jsonl"
    through = [json.loads(line)["image_ref"] for line in journal.read_text().splitlines()]
    assert len(through) == 3
    journal.write_text(journal.read_text() + '{"image_ref": "http://torn')
    web.asked.clear()
    found, _ = snap(addresses)
    assert not {f"/{r.rpartition('/')[2]}" for r in through} & {path for path, _ in web.asked}
    assert found["status"].to_pylist() == ["kept"] * 8


def test_what_may_pass_is_tried_on_later_runs_and_not_for_ever(snap, web):
    address = web.serve("/a.png", b"", 503)
    found, _ = snap([address])
    assert rows(found)[address]["status"] == "unreachable"
    for attempt in range(2, MOST_ATTEMPTS + 1):
        assert needs_another_try(found)
        found, _ = snap([address], before=found)
        assert rows(found)[address]["attempts"] == attempt
    assert not needs_another_try(found)
    web.asked.clear()
    assert snap([address], before=found)[0].equals(found)
    assert not web.asked
    web.serve("/a.png", as_bytes(drawn()))
    found, _ = snap([address], before=found, again=True)
    assert rows(found)[address]["status"] == "kept"


def test_pictures_are_deleted_after_the_last_day_that_needs_them(snap, web):
    one, two = (web.serve(f"/{k}.png", as_bytes(drawn(k))) for k in (1, 2))
    first, store = snap([one, two], retention_days=10)
    second, _ = snap([two], ds=date(2026, 1, 8), retention_days=10)
    tables = [first, second]
    assert expire(store, tables, date(2026, 1, 15)).pictures == 0
    assert expire(store, tables, date(2026, 1, 16), dry_run=True).pictures == 1
    done = expire(store, tables, date(2026, 1, 16))
    assert done.pictures == 1
    assert done.bytes > 0
    assert [picture_of(rows(first)[r], store).status for r in (one, two)] == [
        Status.EXPIRED,
        Status.KEPT,
    ]
    assert not picture_of(rows(first)[one], store).is_shown
    assert snap([one, two], before=first, retention_days=10)[0].equals(first)
    again, _ = snap([one], ds=date(2026, 1, 17), retention_days=10)
    assert picture_of(rows(again)[one], store).is_shown


def test_what_no_table_names_is_deleted_so_long_after_it_was_last_fetched(tmp_path):
    store = ImageStore(tmp_path, section(retention_days=10))
    digest, wanted = (store.keep(as_bytes(drawn(k)))[0] for k in (1, 2))
    day = datetime(2020, 1, 5, 12, tzinfo=UTC).timestamp()
    for path in (store.path(digest), store.path(wanted)):
        os.utime(path, (day, day))
    assert expire(store, [], date(2020, 1, 15)).pictures == 0
    store.keep(as_bytes(drawn(2)))  # a run that works now shows it again
    assert expire(store, [], date(2020, 1, 16), fetching=True).pictures == 0
    assert expire(store, [], date(2020, 1, 16), dry_run=True).pictures == 1
    assert expire(store, [], date(2020, 1, 16)).pictures == 1
    assert list(store.digests()) == [wanted]
    assert store.gone(digest) is Status.EXPIRED


def test_an_erased_picture_is_gone_and_is_never_kept_again(snap, web):
    one, copy, other = (
        web.serve(path, as_bytes(drawn(k)))
        for path, k in (("/1.png", 1), ("/copy.png", 1), ("/2.png", 2))
    )
    found, store = snap([one, other])
    digests = digests_of(found, [one])
    assert forget(store, digests, DAY).pictures == 1
    left = sorted(p.name for p in store.path(digests[0]).parent.glob(f"{digests[0]}*"))
    assert left == [f"{digests[0]}.gone.json"]
    assert picture_of(rows(found)[one], store).status is Status.ERASED
    later, _ = snap([copy], ds=date(2026, 1, 8))
    assert rows(later)[copy]["status"] == "erased"
    assert expire(store, [found], date(2030, 1, 1)).pictures == 1
    assert picture_of(rows(found)[one], store).status is Status.ERASED
    assert forget(store, digests, DAY).pictures == 0


def test_another_size_is_made_from_what_is_kept_and_a_damaged_file_is_fetched_again(snap, web):
    address = web.serve("/a.png", as_bytes(drawn()))
    found, store = snap([address])
    digest = found["content_sha256"][0].as_py()
    web.asked.clear()
    smaller, small_store = snap([address], before=found, view_pixels=64)
    assert smaller.equals(found)
    assert not web.asked
    assert small_store.view(digest).stat().st_size < store.view(digest).stat().st_size
    store.path(digest).write_bytes(b"cut")
    assert picture_of(found.to_pylist()[0], store).status is Status.MISSING
    mended = rows(snap([address], before=found)[0])[address]
    assert (mended["content_sha256"], mended["attempts"]) == (digest, 2)
    assert store.path(digest).read_bytes() == as_bytes(drawn())


def test_a_store_that_cannot_be_written_stops_the_run_and_says_so(tmp_path, snap, web):
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(EngineError, match="can't be written"):
        snap([web.serve("/a.png", as_bytes(drawn()))])

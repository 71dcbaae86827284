"""What was erased is nowhere; everything else is as it was; and it does not come back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from baserate.engines.privacy_ledger import PrivacyLedger
from baserate.engines.pseudonyms import PseudonymKey
from baserate.engines.run_files import RunFiles
from baserate.flows import erasing
from baserate.flows.finding import find, left_of
from baserate.flows.gold import import_gold
from baserate.flows.measure import DAY_STAGES, estimate, run_days
from baserate.flows.releasing import release
from baserate.flows.stages import Stages
from baserate.flows.verify import verify
from baserate.flows.workspace import open_workspace
from baserate.labels.judges.cache import AnswerCache, CachedAnswer
from baserate.terms.errors import PrivacyError
from tests.records.awkward import write_rows

FIRST = date(2026, 3, 10)
DAYS = [FIRST, FIRST + timedelta(days=1)]
NOW = datetime(2026, 3, 20, tzinfo=UTC)
ANN, KEY = "user-ann-4711", "a key of thirty-two characters!!"
#: In everything that is Ann's; the others' texts have none.
CANARY = "zyxcanary"
PROGRAMME = """
programme: small
salt: a-salt-of-tests
tables:
  requests: {path: "logs/requests/ds={ds}/*.parquet"}
  responses: {path: "logs/responses/ds={ds}/*.parquet"}
  components: {path: "logs/components/ds={ds}/*.parquet"}
  users: {path: "logs/users/*.parquet"}
records: {late_days: 0}
policies:
  - {id: p1, name: One, definition: made up}
pivots: [country]
sampling: {judge_budget: 60, human_budget: 24}
judge: {kind: local, training: training.jsonl}
reviews: {kind: files, path: "reviews/{ds}.csv"}
gates: {min_positives: 0, max_relative_half_width: 1000, max_quarantined_share: 0.5}
privacy: {PRIVACY}
images: {base: logs}
"""


def write_logs(root: Path) -> None:
    users = [{"user_id": f"user-{n:04}", "country": "FR" if n % 2 else "DE"} for n in range(10)]
    users += [{"user_id": ANN, "country": "FR", "email": f"{CANARY}{n}@x"} for n in range(2)]
    write_rows("users", users, root / "logs/users/part-0.parquet")
    for d, day in enumerate(DAYS):
        requests, responses, pins = [], [], []
        for n in range(60):
            is_ann = n % 12 == 0
            mark = f" {CANARY}" if is_ann else ""
            id_ = f"i{d}-{n:03}"
            requests.append(
                {
                    "interaction_id": id_,
                    "turn": 1,
                    "user_id": ANN if is_ann else f"user-{n % 10:04}",
                    "session_id": f"session{mark}-{n}",
                    "requested_at": datetime(day.year, day.month, day.day, 5, tzinfo=UTC),
                    "query_text": f"query {n}{mark}",
                }
            )
            text = f"response {n}{mark} {'bad words' if n % 3 == 0 else 'kind words'}"
            responses.append({"interaction_id": id_, "turn": 1, "response_text": text})
            pins.append(
                {
                    "interaction_id": id_,
                    "turn": 1,
                    "position": 1,
                    "component_id": f"pin{mark}-{n}",
                    "title": f"title {n}{mark}",
                    "image_ref": f"pictures/{n % 3 if n else CANARY}.png",
                }
            )
        requests += [r | {"query_text": f"{r['query_text']} again"} for r in requests[:2]]
        pins.append(pins[1] | {"interaction_id": "nowhere", "title": "an orphan"})
        for table, rows in (
            ("requests", requests),
            ("responses", responses),
            ("components", pins),
        ):
            write_rows(table, rows, root / f"logs/{table}/ds={day}/part-0.parquet")
    (root / "logs/pictures").mkdir()
    for k, name in enumerate((CANARY, 0, 1, 2)):
        pixels = np.random.default_rng(k).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"logs/pictures/{name}.png")


def write_workspace(root: Path, privacy: str) -> None:
    root.mkdir(parents=True)
    (root / "baserate.yaml").write_text(PROGRAMME.replace("{PRIVACY}", privacy))
    write_logs(root)
    texts = [("bad words", True), ("kind words", False)] * 6
    lines = [{"text": t, "policy": "p1", "violating": v} for t, v in texts]
    (root / "training.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


def open_stages(root: Path, *, force: bool = False) -> Iterator[Stages]:
    with open_workspace(root) as workspace:
        yield Stages(workspace, now=lambda: NOW, force=force)


def review(root: Path, stages: Stages) -> None:
    """Reviewers hand the work list in, with the content and words of their own."""
    import csv

    for day in DAYS:
        with (root / f"worklists/{day}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            is_bad = "bad" in row["content"]
            mine = CANARY if CANARY in row["content"] else "this"
            row |= {
                "verdict": "violating" if is_bad else "not_violating",
                "labeler_id": "r1",
                "reason": f"it says {mine}",
            }
        (root / "reviews").mkdir(exist_ok=True)
        with (root / f"reviews/{day}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def keep_gold(root: Path, stages: Stages) -> None:
    item = {"item_id": "i0-000", "policy": "p1", "verdict": "violating", "kind": "diagnostic"}
    item |= {"text": f"gold {CANARY}", "provenance": "picked"}
    (root / "gold.jsonl").write_text(json.dumps(item) + "\n")
    import_gold(stages, [root / "gold.jsonl"])
    (root / "gold.jsonl").unlink()


def keep_answers(stages: Stages) -> None:
    """As an LLM judge keeps them; equal content is asked about once."""
    kept = AnswerCache(stages.cache_path)
    for key, ids in (("a", ["i0-000"]), ("b", ["i0-001"]), ("c", ["i0-000", "i0-002"])):
        said = f"says {CANARY if key == 'a' else 'shared'}"
        kept.asked((i, key) for i in ids)
        label = ["response", 1, 0, "violating", None, 0.9, said]
        kept.put({key: CachedAnswer("answered", [label])})
    kept.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything that a workspace can hold of a person, after two runs, with a release."""
    patch = pytest.MonkeyPatch()
    patch.setenv("KEY", KEY)
    root = tmp_path_factory.mktemp("erasure") / "workspace"
    write_workspace(root, "{pseudonyms: [user_id, session_id], key_env: KEY, retention_days: 5}")
    for stages in open_stages(root):
        run_days(stages, DAYS)
        review(root, stages)
    for stages in open_stages(root, force=True):
        run_days(stages, DAYS, wanted=("records", "collect"))
        stages.force = False
        estimate(stages, *DAYS)
        release(stages, *DAYS)
        keep_gold(root, stages)
        keep_answers(stages)
    yield root
    patch.undo()


@pytest.fixture
def workspace(measured: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "workspace"
    shutil.copytree(measured, copy)
    return copy


def everything(root: Path) -> dict[str, str]:
    """Every byte of a workspace but its logs, tables unpacked."""
    found = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        if name.startswith("logs/"):
            continue
        if path.suffix == ".parquet":
            found[name] = repr(pq.ParquetFile(path).read().to_pylist())
        else:
            found[name] = path.read_bytes().decode("latin-1")
    return found


def traces(root: Path, *words: str) -> set[str]:
    kept = everything(root)
    return {name.split("/ds=")[0] for name, text in kept.items() for w in words if w in text}


def rows_of_others(stages: Stages) -> dict[str, list[dict[str, object]]]:
    mine = {f"i{d}-{n:03}" for d in range(2) for n in range(0, 60, 12)}
    found = {}
    for commit in stages.store.commits():
        rows = stages.store.read_commit(commit).to_pylist()
        found[f"{commit.table}/{commit.ds}/{commit.run_id}"] = [
            r
            for r in sorted(rows, key=repr)
            if not mine & {r.get("interaction_id"), r.get("item_id")}
            and not any(i in r.get("row_key", "") for i in mine)
            and r.get("source_table") != "users"
            and not any(w in r.get("image_ref", "") for w in (CANARY, "erased:"))
        ]
    return found


def erase_ann(stages: Stages):
    concern = erasing.concern_of(stages, [ANN])
    return concern, erasing.erase(stages, concern, asked_by="legal", note="ticket 1")


def test_nothing_of_a_person_is_left_and_nothing_of_anyone_else_has_changed(
    workspace: Path,
) -> None:
    ann = PseudonymKey(KEY.encode()).of(ANN)
    assert traces(workspace, ANN) == set()
    held = traces(workspace, CANARY, ann)
    assert {f"tables/{t}" for t in ("interactions", "quarantine", "review_labels", "gold")} < held
    assert {f"worklists/{DAYS[0]}.csv", f"reviews/{DAYS[1]}.csv", "judge-cache.db"} < held
    for stages in open_stages(workspace):
        others = rows_of_others(stages)
        concern, erasure = erase_ann(stages)
        assert len(concern.interactions) == 10
        assert (erasure.state, erasure.asked_by) == ("done", "legal")
        assert erasure.counts["interactions"] == 20  # two runs of each day
        assert erasure.counts["judge's answers"] == 1
        assert find(stages, concern) == []
        assert rows_of_others(stages) == others
        for commit in stages.store.commits():
            if commit.current:
                stages.store.verify(commit.table, commit.ds)
    assert traces(workspace, CANARY) == set()
    assert traces(workspace, ann) == {"baserate.db"}  # the record of the erasure


def test_a_picture_goes_unless_somebody_else_was_shown_it(workspace: Path) -> None:
    def digest(name: object) -> str:
        return hashlib.sha256((workspace / f"logs/pictures/{name}.png").read_bytes()).hexdigest()

    mine, shared = digest(CANARY), [digest(k) for k in range(3)]
    assert traces(workspace, mine, mine[:16])
    for stages in open_stages(workspace):
        before = {r["image_ref"]: r for r in stages.store.read("images", DAYS[0]).to_pylist()}
        assert set(before) == {f"pictures/{k}.png" for k in (CANARY, 0, 1, 2)}
        _, erasure = erase_ann(stages)
        assert (erasure.counts["images"], erasure.counts["pictures"]) == (2, 1)
        rows = stages.store.read("images", DAYS[0]).to_pylist()
        (blank,) = [r for r in rows if r["status"] == "erased"]
        assert {k: v for k, v in blank.items() if v is not None}.keys() == {
            *("ds", "image_ref", "status", "n_shown", "attempts", "fetched_at")
        }
        assert all(r == before[r["image_ref"]] for r in rows if r is not blank)
    assert traces(workspace, mine, mine[:16]) == set()
    kept = {path.name for path in (workspace / "images").rglob("*")}
    assert all(d in kept for d in shared)
    assert not any(name.startswith(mine) for name in kept)


def test_figures_releases_and_stages_are_as_they_were(workspace: Path) -> None:
    (bundle,) = (workspace / "releases").glob("[!.]*")
    for stages in open_stages(workspace):
        before = stages.store.current("estimates", f"{DAYS[0]}..{DAYS[1]}")
        erase_ann(stages)
        ran = [d for d in run_days(stages, DAYS, wanted=DAY_STAGES) if d.ran]
        assert {d.stage for d in ran} <= {"collect"}  # the files of reviewers have changed
        estimate(stages, *DAYS)
        after = stages.store.current("estimates", f"{DAYS[0]}..{DAYS[1]}")
        assert (before.digest, before.run_id) == (after.digest, after.run_id)
        row = stages.sampled_interactions(
            DAYS[0], ["i0-000"], ["country", "prn", "turns", "user_id"]
        )
        (unit,) = row.to_pylist()
        assert (unit["country"], unit["user_id"]) == (unit["country"], None)
        assert unit["turns"][0]["components"][0]["impressions"] == 1
    assert all(check.passed for check in verify(bundle))
    assert traces(workspace, CANARY) == set()


def test_logs_read_again_bring_nothing_back_and_the_unit_stays_without_a_verdict(
    workspace: Path,
) -> None:
    for stages in open_stages(workspace):
        erase_ann(stages)
        n = stages.store.current("interactions", DAYS[0]).rows
        kept = stages.store.current("interactions", DAYS[0]).restated_digest
    for stages in open_stages(workspace, force=True):
        run_days(stages, DAYS[:1], wanted=("records", "judge"))
        assert stages.store.current("interactions", DAYS[0]).rows == n
        assert stages.store.current("interactions", DAYS[0]).digest == kept
        labels = stages.store.read("labels", DAYS[0]).to_pylist()
        mine = [r for r in labels if r["interaction_id"] == "i0-000"]
        assert mine
        assert {(r["verdict"], r["reason"]) for r in mine} == {("no_label", "content_gone")}
    assert traces(workspace, CANARY) == set()


def write_late(root: Path, *before: str) -> None:
    """Rows of Ann's that nobody had seen when she was erased; some are set aside."""
    logged = {"requested_at": datetime(2026, 3, 10, 6, tzinfo=UTC), "user_id": ANN, "turn": 1}
    requests = [
        logged | {"interaction_id": "late-1", "query_text": CANARY},
        logged | {"interaction_id": "late-2", "query_text": CANARY, "is_test": True},
        logged | {"interaction_id": "i0-001", "query_text": CANARY},
    ]
    requests[2]["requested_at"] = datetime(2026, 3, 10, 4, tzinfo=UTC)  # stays another person's
    requests[0]["session_id"] = f"late session {CANARY}"
    for id_ in before:
        early = {"interaction_id": id_, "requested_at": requests[2]["requested_at"]}
        requests.append(requests[0] | early)
    answers = [("late-1", "1"), ("late-1", "2"), ("late-2", "1"), *((i, "1") for i in before)]
    responses = [
        {"interaction_id": i, "turn": 1, "response_text": f"{CANARY} {n}"} for i, n in answers
    ]
    pin = {"interaction_id": "late-1", "turn": 1, "title": CANARY}
    pin["component_id"] = f"pin {CANARY}"
    pins = [pin | {"position": 1}, pin | {"position": 2, "impressions": -1}]
    for table, rows in (("requests", requests), ("responses", responses), ("components", pins)):
        write_rows(table, rows, root / f"logs/{table}/ds={DAYS[0]}/late.parquet")


def test_rows_set_aside_that_come_late_are_erased_with_their_interaction(workspace: Path) -> None:
    for stages in open_stages(workspace):
        erase_ann(stages)
        write_late(workspace)
        others = rows_of_others(stages)
        assert stages.records(DAYS[0])
        concern = erasing.concern_of(stages, [ANN])
        assert {"late-1", "late-2"} < set(concern.interactions)
        assert "i0-001" not in concern.interactions
        assert find(stages, concern) == []
        rows = stages.store.read("quarantine", DAYS[0]).to_pylist()
        late = {(r["source_table"], r["reason"]) for r in rows if "late-" in r["row_key"]}
        assert {("responses", "duplicate"), ("responses", "parent_quarantined")} < late
        assert ("components", "negative_impressions") in late
        assert stages.store.verify("quarantine", DAYS[0]).current
        assert rows_of_others(stages).items() >= others.items()
    assert traces(workspace, CANARY) == set()


def test_what_is_set_aside_of_a_session_goes_with_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", KEY)
    root = tmp_path / "sessions"
    write_workspace(root, "{key_env: KEY}")
    programme = (root / "baserate.yaml").read_text()
    (root / "baserate.yaml").write_text(
        programme.replace("late_days: 0", "late_days: 0, unit: session")
    )
    write_late(root, "late-0")
    for stages in open_stages(root):
        stages.records(DAYS[0])
        by_turn = erasing.concern_of(stages, [], ["late-1"])
        assert by_turn.interactions == ("late-1", "late-0")
        concern, _ = erase_ann(stages)
        assert "late-0" in concern.interactions
        assert "late-1" not in concern.interactions
        assert find(stages, concern) == []
        Stages(stages.workspace, force=True, now=lambda: NOW).records(DAYS[0])
    assert traces(root, ANN, CANARY) == set()


def test_killed_at_any_moment_it_is_as_it_was_or_as_it_is_to_be_and_is_finished(
    workspace: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    kills = ((PrivacyLedger, "apply"), (RunFiles, "keep_only"), (PrivacyLedger, "finish"))
    for n, (where, moment) in enumerate(kills):
        for stages in open_stages(workspace, force=True):
            with monkeypatch.context() as patch:
                patch.setattr(where, moment, dies)
                with pytest.raises(Killed):
                    erasing.finish(stages) if n else erase_ann(stages)
            text = repr(stages.store.read("interactions", DAYS[0]).to_pylist())
            assert (CANARY in text) == (n == 0)
            with pytest.raises(PrivacyError, match="erasure 1 was begun"):
                stages.collect(DAYS[0])
    finish = ("privacy", "erase", "--finish", "--workspace", str(workspace))
    code, out, _ = run(*finish, "--json")
    told = json.loads(out)
    assert (code, told["left"]) == (0, [])
    assert (told["erasure"]["state"], told["erasure"]["counts"]["interactions"]) == ("done", 20)
    assert traces(workspace, CANARY) == set()
    assert run(*finish)[:2] == (0, "nothing to do\n")


def test_a_judge_that_was_at_work_meanwhile_keeps_no_answers_about_the_erased(
    workspace: Path,
) -> None:
    for way in ("person", "retention"):
        for stages in open_stages(workspace):
            with erasing.nothing_comes_back(stages):
                if way == "person":
                    concern, erasure = erase_ann(stages)
                else:
                    done = erasing.expire(stages, asked_by="cron")
                    assert done is not None
                    concern, erasure = erasing.Concern((), (), ("i0-000",)), done
                keep_answers(stages)  # by a candidate, or of a policy's new wording
                assert find(stages, concern) != []
            assert find(stages, concern) == []
            assert left_of(stages, erasure) == []


def test_finishing_looks_for_what_is_left_and_says_so_by_exit_code(
    workspace: Path,
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stages in open_stages(workspace):
        _, erasure = erase_ann(stages)
        assert left_of(stages, erasure) == []
        keep_answers(stages)
        assert [t.where for t in left_of(stages, erasure)] == ["judge-cache.db"]
    monkeypatch.setattr(erasing, "finish", lambda *_: erasure)
    code, out, _ = run("privacy", "erase", "--finish", "--workspace", workspace)
    assert code == 1
    assert "something is left" in out
    assert "judge-cache.db" in out


def test_nothing_is_erased_while_a_run_works(workspace: Path) -> None:
    for stages in open_stages(workspace):
        concern = erasing.concern_of(stages, [ANN])
        with (
            pytest.raises(PrivacyError, match="while a run is working"),
            stages.store.run("elsewhere", DAYS[0]),
        ):
            erasing.erase(stages, concern, asked_by="legal")
        assert stages.store.privacy.erasures() == []


def test_content_goes_when_its_time_is_over_and_figures_stay(workspace: Path) -> None:
    (bundle,) = (workspace / "releases").glob("[!.]*")
    for stages in open_stages(workspace):
        stages.now = lambda: datetime(2026, 3, 16, tzinfo=UTC)  # the second day is five days old
        figures = stages.store.read("estimates", f"{DAYS[0]}..{DAYS[1]}")
        assert erasing.n_to_expire(stages)["interactions"] == 120
        erasure = erasing.expire(stages, asked_by="cron")
        assert erasure is not None
        assert erasure.up_to == str(DAYS[0])
        assert erasing.expire(stages, asked_by="cron") is None
        assert stages.store.read("estimates", f"{DAYS[0]}..{DAYS[1]}") == figures
        whole = stages.store.read("interactions", DAYS[1]).to_pylist()
        assert all(r["turns"][0]["query_text"] for r in whole)
    kept = everything(workspace)
    of_first = {n: t for n, t in kept.items() if str(DAYS[0]) in n and not n.startswith("rel")}
    words = ("query 1", "response 1", "title 1", "it says", "pictures/")
    assert [n for n, t in of_first.items() if any(w in t for w in words)] == []
    assert all(check.passed for check in verify(bundle))


def test_without_pseudonyms_people_are_found_by_their_ids_and_a_key_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "plain"
    write_workspace(root, "{}")
    for stages in open_stages(root):
        stages.records(DAYS[0])
        with pytest.raises(PrivacyError, match="needs a key"):
            erasing.concern_of(stages, [ANN])
    monkeypatch.setenv("KEY", KEY)
    (root / "baserate.yaml").write_text(PROGRAMME.replace("{PRIVACY}", "{key_env: KEY}"))
    assert "tables/interactions" in traces(root, ANN)
    for stages in open_stages(root):
        concern, _ = erase_ann(stages)
        assert find(stages, concern) == []
        Stages(stages.workspace, force=True, now=lambda: NOW).records(DAYS[0])
    assert traces(root, ANN, CANARY) == set()

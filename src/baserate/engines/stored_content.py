"""Content in all committed files, of current and earlier runs: found, and taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from baserate.engines.commits import Commit
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.erasing import Erased, Eraser, erasing, holds_content
from baserate.engines.ledger import Ledger
from baserate.engines.privacy_ledger import Erasure, PrivacyLedger, Restated
from baserate.engines.run_files import RunFiles
from baserate.engines.table_checks import check_rows
from baserate.engines.table_digest import digest_of_file

#: Told how many of how many are done.
Tell = Callable[[int, int], None]


class StoredContent:
    """What people wrote and were shown, in the files of a store.

    Args:
        ledger: Knows every commit.
        privacy: Knows every erasure.
        files: The files.
        checker: DuckDB that reads, writes, checks and digests them.
    """

    def __init__(
        self,
        ledger: Ledger,
        privacy: PrivacyLedger,
        files: RunFiles,
        checker: Callable[[], DuckDBEngine],
    ) -> None:
        self._ledger = ledger
        self._privacy = privacy
        self._files = files
        self._checker = checker

    def interactions_of(self, people: Erased) -> set[str]:
        """Interactions in which some people asked.

        A turn of theirs that was set aside makes an interaction theirs unless it is recorded as
        another person's.
        """
        with self._each(people) as (eraser, commits):
            found = {i for c in commits for i in eraser.interactions(c.files[0], c.schema, c.ds)}
        with self._each(replace(people, interactions=tuple(found))) as (eraser, commits):
            others = {i for c in commits for i in eraser.of_others(c.files[0], c.schema, c.ds)}
        return found - others

    def units_of(self, interactions: Sequence[str]) -> set[str]:
        """Units of several interactions that some are of, where a row set aside says so."""
        with self._each(Erased(tuple(interactions))) as (eraser, commits):
            return {u for c in commits for u in eraser.units(c.files[0], c.schema)}

    def n_to_erase(self, erased: Erased) -> dict[str, int]:
        """By table, the rows that hold content to erase."""
        counts: dict[str, int] = {}
        with self._each(self._with_pictures(erased)) as (eraser, commits):
            for commit in commits:
                if n := eraser.concerned(commit.files[0], commit.schema, commit.ds):
                    counts[commit.table] = counts.get(commit.table, 0) + n
        return counts

    def erase(self, erasure: Erasure, erased: Erased, tell: Tell) -> None:
        """Write every commit's files anew without the content, and remove the old ones.

        New files first, then one transaction, then the old files go: killed at any moment it
        leaves what was or what is to be, and the same call finishes.

        Args:
            erasure: The erasure, recorded.
            erased: What it erases, with the ids as they are in the logs where they are known.
            tell: Called with (commits looked at, commits in all).

        Raises: EngineError if a file is damaged or cannot be written.
        """
        if erasure.state == "asked":
            restated_files = self._restated(erasure, self._with_pictures(erased), tell)
            self._privacy.apply(erasure, restated_files)
        restated = self._privacy.restated_by(erasure)
        for commit in self._ledger.commits():
            if (commit.run_id, commit.table) in restated:
                self._files.keep_only(Path(commit.files[0]))

    def _with_pictures(self, erased: Erased) -> Erased:
        """Also the pictures that, of all drawn interactions of a day, only erased ones show."""
        with self._each(erased) as (eraser, commits):
            found = []
            for day in sorted({c.ds for c in commits if c.table == "images"}):
                drawn = [f for c in self._ledger.commits(table="samples", ds=day) for f in c.files]
                here = [c for c in commits if c.ds == day]

                def shown(
                    others: Sequence[str] | None, here: Sequence[Commit] = here, day: str = day
                ) -> set[str]:
                    files = ((c.files[0], c.schema) for c in here)
                    sets = (eraser.references(f, s, day, others) for f, s in files)
                    return set().union(*sets)

                if mine := shown(None):
                    found += [(day, reference) for reference in sorted(mine - shown(drawn))]
        return replace(erased, pictures=tuple(found))

    def _restated(self, erasure: Erasure, erased: Erased, tell: Tell) -> list[Restated]:
        found = []
        with self._each(erased) as (eraser, commits):
            for done, commit in enumerate(commits):
                tell(done, len(commits))
                if (one := self._restate(commit, eraser, erasure.id)) is not None:
                    found.append(one)
        return found

    def _restate(self, commit: Commit, eraser: Eraser, number: int) -> Restated | None:
        hidden = self._files.hidden_part(commit.table, commit.ds, commit.run_id)
        rows = eraser.rewrite(commit.files[0], hidden, commit.schema, commit.ds)
        if not rows:
            return None
        check_rows(self._checker().rows, str(hidden), commit.schema)
        _, digest = digest_of_file(self._checker().rows, str(hidden), commit.schema)
        final = self._files.publish(hidden, f"part-00000-erasure-{number}.parquet")
        return Restated(commit, rows, digest, final, final.stat().st_size)

    @contextmanager
    def _each(self, erased: Erased) -> Iterator[tuple[Eraser, list[Commit]]]:
        """An eraser, and every commit that can hold content, its files whole."""
        commits = [c for c in self._ledger.commits() if holds_content(c.schema)]
        for commit in commits:
            commit.check_files()
        with erasing(self._checker(), erased) as eraser:
            yield eraser, commits

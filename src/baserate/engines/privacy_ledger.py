"""What the operational database knows of people's data: the key, and what was erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from baserate.engines.database import PSEUDONYM_KEYS, Database
from baserate.terms.errors import PrivacyError


class PrivacyLedger:
    """The database's pages on privacy.

    Args:
        database: The operational database.
        clock: Says what time it is.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def hold_key(self, fingerprint: str) -> None:
        """See that pseudonyms are made with the key that the workspace began with.

        The first key that comes is the workspace's.

        Raises: PrivacyError if this is another one.
        """
        known = sa.select(PSEUDONYM_KEYS.c.fingerprint)
        with self._database.read() as connection:
            found = connection.execute(known).scalar()
        if found is None:
            with self._database.write() as connection:
                found = connection.execute(known).scalar()  # somebody may have been faster
                if found is None:
                    row = {"fingerprint": fingerprint, "first_used_at": self._clock().isoformat()}
                    connection.execute(PSEUDONYM_KEYS.insert().values(**row))
                    return
        if found != fingerprint:
            raise PrivacyError(
                "this is another key than the one that the workspace's pseudonyms were made with",
                code="other_key",
                expected=f"the key with fingerprint {found}",
                got=f"a key with fingerprint {fingerprint}",
                hint="give that key back: under another one, one person would have two pseudonyms "
                "and could not be found for erasure",
            )

"""Pseudonyms: a keyed hash of an id, the same wherever it is computed.

pseudonym = first 32 hex digits of HMAC-SHA256(key, id), the id as UTF-8 (RFC 2104). Half of the
hash is what RFC 2104, section 5, allows to keep at least: 128 bits, of which ten billion ids
share one with probability 10^-19. The same in Python:
``hmac.new(key, id.encode(), "sha256").hexdigest()[:32]``.

The key is never stored. Its fingerprint is, so that another key is noticed before it writes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

import ibis
import ibis.expr.types as ir

from baserate.terms.errors import PrivacyError
from baserate.terms.programme import Privacy

HEX_DIGITS = 32
LEAST_KEY_BYTES = 32
_BLOCK_BYTES = 64
_FINGERPRINT = b"baserate: fingerprint of a key of pseudonyms"
_HOW = "`openssl rand -hex 32` makes one; keep it where passwords are kept"


def _keyed_sha256(inner: str, outer: str, text: str) -> str:  # type: ignore[empty-body]
    """sha256(outer block, sha256(inner block, text)) as hex digits; blocks are hex digits."""


_keyed_sha256_of = ibis.udf.scalar.builtin(_keyed_sha256, name="keyed_sha256")


@dataclass(frozen=True)
class PseudonymKey:
    """The key of a workspace's pseudonyms.

    Args:
        secret: The key's bytes.

    Raises: PrivacyError if it is too short to keep anything secret.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST_KEY_BYTES:
            raise PrivacyError(
                "the key of the pseudonyms is too short",
                code="weak_key",
                expected=f"{LEAST_KEY_BYTES} characters or more",
                got=f"{len(self.secret)}",
                hint=_HOW,
            )

    @property
    def fingerprint(self) -> str:
        """What tells this key from another one and says nothing about it: 16 hex digits."""
        return hmac.new(self.secret, _FINGERPRINT, "sha256").hexdigest()[:16]

    def of(self, value: str) -> str:
        """The pseudonym of one id.

        Example:
            >>> PseudonymKey(b"k" * 32).of("user-1")
            '82e362bc8631b2521c392323bcb1da39'
        """
        return hmac.new(self.secret, value.encode(), "sha256").hexdigest()[:HEX_DIGITS]

    def expr(self, value: ir.StringValue) -> ir.StringValue:
        """The pseudonym of each id, as an expression; null where the id is null."""
        digits: ir.StringValue = _keyed_sha256_of(*self.blocks, value).left(HEX_DIGITS)
        return digits

    @property
    def blocks(self) -> tuple[str, str]:
        """The inner and the outer block of RFC 2104 as hex digits; as secret as the key."""
        padded = self._block()
        inner, outer = (bytes(b ^ pad for b in padded).hex() for pad in (0x36, 0x5C))
        return inner, outer

    def _block(self) -> bytes:
        """The key as long as a block of the hash; a longer one is hashed first."""
        is_long = len(self.secret) > _BLOCK_BYTES
        key = hashlib.sha256(self.secret).digest() if is_long else self.secret
        return key.ljust(_BLOCK_BYTES, b"\0")


def read_key(privacy: Privacy, workspace: Path) -> PseudonymKey | None:
    """The key, from where the programme says that it is; None where the programme names none.

    Args:
        privacy: The programme's section.
        workspace: Folder of the programme file; the key must not be in it.

    Raises: PrivacyError if it is not there, too short, or within the workspace.
    """
    if privacy.key_env is not None:
        text = os.environ.get(privacy.key_env, "").strip()
        if not text:
            raise PrivacyError(
                "the environment variable with the key of the pseudonyms is not set",
                code="no_key",
                where=privacy.key_env,
                hint=f"set it to the key that this workspace began with; {_HOW}",
            )
        return PseudonymKey(text.encode())
    if privacy.key_file is None:
        return None
    path = (workspace / Path(privacy.key_file).expanduser()).resolve()
    if path.is_relative_to(workspace.resolve()):
        raise PrivacyError(
            "the key of the pseudonyms must not be in the workspace",
            code="key_in_workspace",
            where=privacy.key_file,
            hint="whoever copies the workspace would copy the key: move the file elsewhere",
        )
    try:
        return PseudonymKey(path.read_bytes().strip())
    except OSError as error:
        raise PrivacyError(
            "the file with the key of the pseudonyms cannot be read",
            code="no_key",
            where=privacy.key_file,
            got=error.strerror or type(error).__name__,
            hint=f"mend privacy.key_file or its permissions; {_HOW}",
        ) from error

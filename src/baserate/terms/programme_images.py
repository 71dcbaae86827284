"""The section ``images``: which pictures are read, within which limits, and kept how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from baserate.terms.programme_faults import Fault, refuse
from baserate.terms.programme_section import Section

#: Most pixels that a picture may be allowed: beyond it a decoder needs more than half a gigabyte.
_MOST_PIXELS = 89_000_000


class Images(Section):
    """Pictures of sampled interactions, fetched and kept when the sample is drawn."""

    base: str = "."
    """Where references without a scheme start: a folder, relative to the programme file, or an
    address such as `s3://pins/originals/`. Outside of it only what `allow` names is read."""
    allow: tuple[str, ...] = ()
    """Folders and addresses below which references may be read, too: `https://i.example.com/`,
    `s3://pins/`. A redirect must stay below them. `https://` alone: any public host."""
    prefixes: dict[str, str] = Field(default_factory=dict)
    """What references begin with: what stands in its place, e.g. `"pin:": "s3://pins/"`."""
    private_hosts: tuple[str, ...] = ()
    """Hosts that may have an address that is not public. All others are refused if they do."""
    storage: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)
    """Options of a storage, by scheme, e.g. `s3: {endpoint: $S3_ENDPOINT, region: eu-1}`. A value
    `$NAME` is taken from the environment, so that no secret stands in this file."""
    max_bytes: Annotated[int, Field(ge=1, le=200 * 2**20)] = 10 * 2**20
    """Largest file."""
    max_pixels: Annotated[int, Field(ge=1, le=_MOST_PIXELS)] = 50_000_000
    """Largest picture, width times height, checked before it is decoded."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 20.0
    """Longest time for one try on the web, redirects included, however slowly bytes come. For each
    request to storage that obstore reads; other storage has limits of its own."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Tries after the first, in one run, where the other side fails or is busy."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Pictures fetched at once."""
    view_pixels: Annotated[int, Field(ge=64, le=4096)] = 1024
    """Longest side of what judges and reviewers are shown."""
    thumbnail_pixels: Annotated[int, Field(ge=16, le=1024)] = 256
    """Longest side of thumbnails."""
    near_bits: Annotated[int, Field(ge=0, le=16)] = 6
    """Pictures whose perceptual hashes differ in at most so many of 63 bits are one group."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 180
    """Days after the interaction's day that a picture is kept; `baserate images sweep` deletes."""

    @model_validator(mode="after")
    def _places_are_places(self) -> Images:
        faults = []
        for k, place in enumerate(self.allow):
            if "://" not in place and not place.strip():
                faults.append(
                    Fault(
                        ("allow", k),
                        "this is no folder or address",
                        expected="for example https://i.example.com/ or s3://pins/",
                    )
                )
            elif place.partition("://")[0] in ("http", "https") and "@" in place:
                faults.append(
                    Fault(
                        ("allow", k),
                        "an address with a password in it",
                        expected="an address without user and password",
                        hint="give the storage its credentials by the environment",
                    )
                )
        refuse(faults)
        return self

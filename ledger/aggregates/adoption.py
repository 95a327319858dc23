"""Which product terms the ledger works under: a stream of its own, written by the first act under new terms."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from ledger.aggregates.fact import Aggregate, Fact

ADOPTION_ID = uuid5(UUID("6f1f9f6e-9a53-5cb1-9d6c-6a1f6f6f2a10"), "terms")
"""The one stream of adoptions in every ledger."""


class Adoption(Aggregate, stream="terms"):
    """The version and the digest of the terms that were adopted last."""

    adopted: tuple[str, str] | None

    def begin(self) -> None:
        self.adopted = None

    def adopt(self, version: str, digest: str) -> None:
        """Record the terms in force, if they are not the adopted ones already."""
        if self.adopted != (version, digest):
            self.record(TermsAdopted(version=version, digest=digest))


class TermsAdopted(Fact, topic="terms.terms-adopted"):
    """From here on acts are decided under these terms; `digest` is the SHA-256 of the whole file of terms."""

    version: str
    digest: str

    def evolve(self, aggregate: Adoption, at: datetime) -> None:
        aggregate.adopted = (self.version, self.digest)

"""What is known of certificates that agents show."""

from __future__ import annotations

from collections.abc import Collection

from agents.credentials import IssuedCertificate
from certificates.models import AgentCertificate


def issued(digests: Collection[str]) -> dict[str, IssuedCertificate]:
    """Those that were issued here, by their digests, in one query."""
    rows = AgentCertificate.objects.filter(digest__in=digests).values_list("digest", "agent_id", "state")
    return {
        digest: IssuedCertificate(agent_id, state == AgentCertificate.State.ISSUED)
        for digest, agent_id, state in rows
        if digest is not None
    }
